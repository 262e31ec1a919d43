import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { isErrno, TreesError } from '../trees/errors.js';
import { writeFileAtomic } from '../trees/feed/files.js';
import { type BundleEntry, type FeedIndex, INDEX_SCHEMA_VERSION } from '../trees/feed/schema.js';
import { Repo } from '../trees/ostree/index.js';
import type { Reporter } from '../trees/reporter.js';
import { composeTree } from '../trees/store/compose.js';
import { type Built, readBuilt } from './built.js';
import { edgeKey, type MadeBundles, makeBundles } from './bundles.js';
import { type Content, type Measure, mergeContent } from './content.js';
import { considerEdges, type Edge } from './edges.js';
import type { SecretKey } from './key-file.js';
import {
  completeSwitch,
  type Published,
  presentBundles,
  pruneBundles,
  publishIndex,
  readPublished,
  withPublication,
} from './publication.js';
import { withScratch } from './scratch.js';
import { signCommit } from './sign.js';

export interface ReleaseOptions {
  /** `<settings.root>/build`: the repository of `trees build` and what is remembered between releases. */
  readonly build: string;
  /** Directory of the feed. */
  readonly directory: string;
  /** Bases and apps to release; none: everything that was built. */
  readonly names: readonly string[];
  readonly key: SecretKey;
  readonly expiresDays: number;
  /** Versions of each base and app to keep in the index, for each architecture. */
  readonly keep: number;
  readonly encoding: BundleEntry['encoding'];
  readonly dryRun: boolean;
  readonly now: Date;
  readonly lockTimeout: number;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal | undefined;
}

export interface ReleaseResult {
  /** `renewed`: only the dates are new. */
  readonly status: 'published' | 'renewed' | 'unchanged';
  readonly index: FeedIndex;
  /** Bundles that are new in this release. */
  readonly made: readonly BundleEntry[];
  readonly reused: readonly BundleEntry[];
  readonly declined: readonly Edge[];
  /** With `dryRun`: the bundles that would be made, and published if they pay. */
  readonly considered: readonly Edge[];
  readonly pruned: readonly string[];
}

const DAY = 24 * 60 * 60 * 1000;
const DECLINED_FILE = 'declined-bundles.json';

async function openBuildRepo(build: string): Promise<Repo> {
  const path = join(build, 'repo');
  const found = await stat(join(path, 'config')).catch(() => undefined);
  if (found !== undefined) return await Repo.open(path);
  throw new TreesError('APP_NOT_FOUND', `cannot release: nothing has been built (${path} is not there)`, {
    hint: 'trees build NAME builds a base or an app; --root has to be the same for both',
  });
}

/** Composes in a scratch repository: only the checksum is wanted, and a dry run must not write to the real one. */
async function composeChecksum(
  repo: Repo,
  scratchParent: string,
  [base, layer]: readonly [string, string],
): Promise<string> {
  const directory = await mkdtemp(join(scratchParent, 'trees-compose-'));
  try {
    const path = join(directory, 'repo');
    using created = await Repo.create(path, { mode: 'bare-user' });
    await created.setConfig('core', 'parent', resolve(repo.path));
    using scratch = await Repo.open(path);
    return await composeTree(scratch, { base, layers: [layer] });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function measureOf(repo: Repo, scratch: string): Measure {
  return {
    size: async (commit) => await repo.commitSize(commit),
    has: async (commit) => (await repo.hasObject('commit', commit)) && !(await repo.isCommitPartial(commit)),
    compose: async (base, layer) => await composeChecksum(repo, scratch, [base, layer]),
  };
}

/** Signs every commit that a bundle may carry; the signature travels inside the bundle. */
async function signCommits(repo: Repo, commits: readonly string[], key: SecretKey): Promise<void> {
  for (const commit of commits) {
    const before = await repo.readDetachedMetadata(commit);
    const after = signCommit(await repo.readCommitBytes(commit), before, key);
    if (after !== before) await repo.writeDetachedMetadata(commit, after);
  }
}

async function readDeclined(path: string): Promise<Map<string, number>> {
  try {
    const entries: unknown = JSON.parse(await readFile(path, 'utf8'));
    return new Map(
      Object.entries(Object(entries)).filter((entry): entry is [string, number] => typeof entry[1] === 'number'),
    );
  } catch (error) {
    // Only a memory of sizes: without it some bundles are made once more to find that they do not pay.
    if (isErrno(error, 'ENOENT') || error instanceof SyntaxError) return new Map();
    throw error;
  }
}

/** Published bundles that the new index can go on naming. */
function stayingBundles(content: Content, bundles: readonly BundleEntry[]): BundleEntry[] {
  const commits = new Set<string>();
  for (const group of [content.bases, content.apps]) {
    for (const { versions } of Object.values(group)) for (const { commit } of versions) commits.add(commit);
  }
  return bundles.filter(({ to }) => commits.has(to));
}

interface Plan {
  readonly previous: Published | undefined;
  readonly content: Content;
  readonly existing: readonly BundleEntry[];
  readonly edges: readonly Edge[];
}

async function plan(measure: Measure, built: readonly Built[], options: ReleaseOptions): Promise<Plan> {
  const previous = await readPublished(options.directory, options.key, options);
  const content = await mergeContent(previous?.index, built, { keep: options.keep, measure });
  const present = await presentBundles(options.directory, previous?.index.bundles ?? []);
  const existing = stayingBundles(content, present);
  return { previous, content, existing, edges: considerEdges(content, previous?.index, existing) };
}

function nextIndex({ previous, content }: Plan, bundles: readonly BundleEntry[], options: ReleaseOptions): FeedIndex {
  const created = options.now.toISOString();
  return {
    schema: INDEX_SCHEMA_VERSION,
    feed: previous?.index.feed ?? randomUUID(),
    sequence: (previous?.index.sequence ?? 0) + 1,
    created,
    expires: new Date(options.now.getTime() + options.expiresDays * DAY).toISOString(),
    ...content,
    bundles: [...bundles],
  };
}

function compareIndexes(before: FeedIndex | undefined, after: FeedIndex, now: Date): ReleaseResult['status'] {
  const pick = ({ bases, apps, bundles }: FeedIndex) => ({ bases, apps, bundles });
  if (before === undefined || !isDeepStrictEqual(pick(before), pick(after))) return 'published';
  const half = (Date.parse(before.created) + Date.parse(before.expires)) / 2;
  return now.getTime() < half ? 'unchanged' : 'renewed';
}

/** Commits of the new content that a new bundle leads to. */
function commitsToSign(edges: readonly Edge[], existing: readonly BundleEntry[]): string[] {
  const fresh = edges.filter((edge) => !existing.some((bundle) => bundle.from === edge.from && bundle.to === edge.to));
  return [...new Set(fresh.map(({ to }) => to))];
}

async function publish(
  repo: Repo,
  built: readonly Built[],
  options: ReleaseOptions & { readonly buildScratch: string },
): Promise<ReleaseResult> {
  const { build, directory, key, now, signal, buildScratch } = options;
  const measure = measureOf(repo, buildScratch);
  return await withPublication(directory, options, async (scratch) => {
    const planned = await plan(measure, built, options);
    await completeSwitch(directory, planned.previous);
    await signCommits(repo, commitsToSign(planned.edges, planned.existing), key);
    const declinedPath = join(build, DECLINED_FILE);
    const declined = await readDeclined(declinedPath);
    const known = declined.size;
    const bundles: MadeBundles = await makeBundles(planned.edges, planned.existing, {
      repo,
      key: key.public,
      output: scratch,
      scratch: buildScratch,
      signal,
      encoding: options.encoding,
      reporter: options.reporter,
      declined,
      has: async (commit) => await measure.has(commit),
    });
    if (declined.size > known) {
      await writeFileAtomic(declinedPath, `${JSON.stringify(Object.fromEntries(declined), undefined, 1)}\n`);
    }
    const index = nextIndex(planned, bundles.bundles, options);
    const before = planned.previous?.index;
    const status = compareIndexes(before, index, now);
    if (status !== 'unchanged') {
      const { made } = bundles;
      await publishIndex(directory, index, { key, now, previous: planned.previous, scratch, made });
    }
    const pruned = status === 'unchanged' ? [] : await pruneBundles(directory, index, before);
    return {
      status,
      index: status === 'unchanged' && before !== undefined ? before : index,
      made: bundles.made,
      reused: planned.existing,
      declined: bundles.declined,
      considered: [],
      pruned,
    };
  });
}

async function preview(repo: Repo, built: readonly Built[], options: ReleaseOptions): Promise<ReleaseResult> {
  const planned = await plan(measureOf(repo, tmpdir()), built, options);
  const declined = await readDeclined(join(options.build, DECLINED_FILE));
  const considered = planned.edges.filter(
    ({ from, to }) =>
      !planned.existing.some((bundle) => bundle.from === from && bundle.to === to) &&
      !declined.has(edgeKey({ from, to }, options.encoding)),
  );
  const index = nextIndex(planned, planned.existing, options);
  const status = considered.length > 0 ? 'published' : compareIndexes(planned.previous?.index, index, options.now);
  return { status, index, made: [], reused: planned.existing, declined: [], considered, pruned: [] };
}

/**
 * Publishes what was built to a directory feed: signs the commits, makes the bundles that pay, proves each of them,
 * and switches the feed to a new signed index. Readers see the old release or the new one, whole. On any error the
 * feed still has the old one.
 * @throws TreesError APP_NOT_FOUND, RELEASE_FAILED, FEED_UNTRUSTED, LOCKED, NO_SPACE
 */
export async function release(options: ReleaseOptions): Promise<ReleaseResult> {
  using repo = await openBuildRepo(options.build);
  const built = await readBuilt(repo, options.names);
  if (built.length === 0) {
    throw new TreesError('APP_NOT_FOUND', `cannot release: nothing has been built in ${options.build}`, {
      hint: 'trees build NAME builds a base or an app',
    });
  }
  if (options.dryRun) return await preview(repo, built, options);
  // Scratch repositories lie beside the build repository, so that objects are lent by links, not copied.
  return await withScratch(options.build, options, async (buildScratch) => {
    return await publish(repo, built, { ...options, buildScratch });
  });
}
