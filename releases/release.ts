import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isErrno, TreesError } from '../trees/errors.js';
import { feedFile } from '../trees/feed/feed.js';
import { writeFileAtomic } from '../trees/feed/files.js';
import { formatPublicKey } from '../trees/feed/minisign.js';
import type { BundleEntry, Channel, FeedIndex } from '../trees/feed/schema.js';
import { isSameKey } from '../trees/feed/succession.js';
import { verifyIndex } from '../trees/feed/verify-index.js';
import type { Repo } from '../trees/ostree/index.js';
import type { Reporter } from '../trees/reporter.js';
import { composeTree } from '../trees/store/compose.js';
import { composeChecksum, openBorrowing, openBuildRepo } from './build-repo.js';
import { type Built, fingerprint, readBuilt } from './built.js';
import { type BundleCache, bundleCache } from './bundle-cache.js';
import { clearCache, type Encoding, makeBundles } from './bundles.js';
import { type Content, type Measure, mergeContent } from './content.js';
import type { Destination, Publishing } from './destination.js';
import type { Edge } from './edges.js';
import type { SecretKey } from './key-file.js';
import { compareIndexes, freshEdges, makePlan, nextIndex, type Plan, type ReleaseStatus } from './plan.js';
import { inPortions, joinResults } from './portions.js';
import { type Published, readPublished } from './published.js';
import { hasCommit, recallCommit } from './recall.js';
import { withScratch } from './scratch.js';
import { signCommit, signFile } from './sign.js';

export interface PublishOptions {
  /** `<settings.root>/build`: the repository of `trees build` and what is remembered between releases. */
  readonly build: string;
  readonly destination: Destination;
  readonly key: SecretKey;
  /** `successors.json`, in which the key of the feed names `key` its successor; default: what is published. */
  readonly successors?: Uint8Array | undefined;
  readonly expiresDays: number;
  /** How many versions before the newest get a way to it. */
  readonly back: number;
  /** Encodings of new bundles, the first for everybody. */
  readonly encodings: readonly Encoding[];
  /** Make bundles several times faster, several percent larger. */
  readonly quick?: boolean | undefined;
  readonly dryRun: boolean;
  readonly now: Date;
  readonly lockTimeout: number;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal | undefined;
}

export interface ReleaseOptions extends PublishOptions {
  /** Bases and apps to release; none: everything that was built. */
  readonly names: readonly string[];
  /** Versions of each base and app to keep in the index, for each architecture. */
  readonly keep: number;
  /** Channel of the versions that are new; default stable. */
  readonly channel?: Channel | undefined;
}

export interface ReleaseResult {
  readonly status: ReleaseStatus;
  readonly index: FeedIndex;
  /** Bundles that are new in this release; with `dryRun` those that would be. */
  readonly made: readonly BundleEntry[];
  readonly reused: readonly BundleEntry[];
  readonly declined: readonly Edge[];
  readonly pruned: readonly string[];
}

/** What the feed shall offer, given what it offers now. */
export type ContentChange = (previous: FeedIndex | undefined, measure: Measure) => Promise<Content>;

/** What one publication works with. */
interface Work {
  readonly repo: Repo;
  readonly change: ContentChange;
  readonly options: PublishOptions;
  /** Directory for scratch repositories and downloads, beside the build repository. */
  readonly scratch: string;
  readonly cache: BundleCache;
  readonly declined: Map<string, number>;
  readonly delivered: Map<string, BundleEntry>;
}

const DECLINED_FILE = 'declined-bundles.json';

async function obtain(work: Work, published: Published | undefined, commit: string): Promise<boolean> {
  if (await hasCommit(work.repo, commit)) return true;
  const { destination, key, reporter, signal } = work.options;
  return await recallCommit(work.repo, commit, {
    feed: destination.feed,
    bundles: published?.index.bundles ?? [],
    keys: [key.public, ...(published?.former ?? [])],
    scratch: work.scratch,
    reporter,
    signal,
  });
}

function measureOf(work: Work, published: Published | undefined): Measure {
  const { repo, scratch } = work;
  const has = async (commit: string): Promise<boolean> => await obtain(work, published, commit);
  return {
    size: async (commit) => await repo.commitSize(commit),
    has,
    // A dry run has a repository of its own for everything.
    compose: async (base, layer) =>
      work.options.dryRun
        ? await composeTree(repo, { base, layers: [layer] })
        : await composeChecksum(repo, scratch, [base, layer]),
    fingerprint: async (commit) => ((await has(commit)) ? await fingerprint(repo, commit) : undefined),
  };
}

/** Signs every commit that a bundle may carry; the signature travels inside the bundle. */
async function signCommits(work: Work, published: Published | undefined, edges: readonly Edge[]): Promise<void> {
  const { repo, options } = work;
  for (const commit of new Set(edges.map(({ to }) => to))) {
    if (!(await obtain(work, published, commit))) {
      throw new TreesError('RELEASE_FAILED', `cannot release commit ${commit}: it is neither here nor in the feed`, {
        hint: 'build it again, or publish from where it was built',
      });
    }
    const before = await repo.readDetachedMetadata(commit);
    const after = signCommit(await repo.readCommitBytes(commit), before, options.key);
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

async function plan(work: Work): Promise<Plan> {
  const { destination, key, back } = work.options;
  const previous = await readPublished(destination.feed, key.public, work.options);
  const content = await work.change(previous?.index, measureOf(work, previous));
  const present = await destination.present(previous?.index.bundles ?? []);
  return makePlan(previous, content, { present, back });
}

/**
 * The edges to decide on here. Of what was built elsewhere, whoever built it has decided which bundles pay; it is not
 * fetched back to decide again.
 */
async function edgesToTry({ repo }: Work, planned: Plan): Promise<Edge[]> {
  const edges: Edge[] = [];
  for (const edge of freshEdges(planned)) if (edge.required || (await hasCommit(repo, edge.to))) edges.push(edge);
  return edges;
}

/** Signs an index and has it checked by what clients check it with. @throws TreesError as `verifyIndex` */
function sign(index: FeedIndex, previous: Published | undefined, { key, now, destination }: PublishOptions) {
  const bytes = Buffer.from(`${JSON.stringify(index, undefined, 1)}\n`);
  const signature = signFile(bytes, key, { file: feedFile.index, sequence: index.sequence, now });
  const verification = { keys: [key.public], seen: previous?.seen, now, origin: destination.url };
  verifyIndex({ index: bytes, signature }, verification);
  const { successors } = previous ?? {};
  return { index, bytes, signature, previous, publicKey: formatPublicKey(key.public), successors };
}

/** One attempt. @returns undefined if another publisher was first */
async function attempt(work: Work, publishing: Publishing | undefined): Promise<ReleaseResult | undefined> {
  const { options, repo, cache, declined } = work;
  const planned = await plan(work);
  const before = planned.previous?.index;
  await publishing?.recover(planned.previous);
  const edges = await edgesToTry(work, planned);
  await signCommits(work, planned.previous, edges);
  const bundles = await makeBundles(edges, planned.existing, {
    encodings: options.encodings,
    cache,
    declined,
    delivered: work.delivered,
    signal: options.signal,
    obtain: async (commit) => await obtain(work, planned.previous, commit),
    deliver: publishing?.deliver,
    proof: { repo, keys: [options.key.public], scratch: work.scratch, signal: options.signal },
  });
  const sequence = (before?.sequence ?? 0) + 1;
  const made = bundles.made.map((entry) => publishing?.place(entry, sequence) ?? entry);
  const index = nextIndex(planned, [...planned.existing, ...made], options);
  const compared = compareIndexes(before, index, options.now);
  const isRotating = planned.previous !== undefined && !isSameKey(planned.previous.signedBy, options.key.public);
  const status = compared === 'unchanged' && isRotating ? 'renewed' : compared;
  const result = { made, reused: planned.existing, declined: bundles.declined };
  if (status === 'unchanged') {
    await publishing?.abandon();
    return { ...result, status, index: before ?? index, pruned: [] };
  }
  if (publishing === undefined) return { ...result, status, index, pruned: [] };
  if (!(await publishing.publish({ ...sign(index, planned.previous, options), made }))) return undefined;
  return { ...result, status, index, pruned: await prune(publishing, [index, before], options) };
}

/** What is published is published: that something old could not be deleted must not look like a failure. */
async function prune(
  publishing: Publishing,
  [index, before]: readonly [FeedIndex, FeedIndex | undefined],
  { reporter, signal }: PublishOptions,
): Promise<readonly string[]> {
  try {
    return await publishing.prune(index, before);
  } catch (error) {
    signal?.throwIfAborted();
    if (!(error instanceof TreesError)) throw error;
    reporter.warn(`published, but what nobody needs any more is still there: ${error.message}`);
    return [];
  }
}

async function publish(work: Work): Promise<ReleaseResult> {
  const { options, declined } = work;
  const known = declined.size;
  const result = await options.destination.publishing(async (publishing) => {
    for (;;) {
      options.signal?.throwIfAborted();
      const published = await attempt(work, publishing);
      if (published !== undefined) return published;
    }
  });
  if (declined.size > known) {
    const text = `${JSON.stringify(Object.fromEntries(declined), undefined, 1)}\n`;
    await writeFileAtomic(join(options.build, DECLINED_FILE), text);
  }
  await clearCache(work.cache);
  return result;
}

async function workOn(repo: Repo, change: ContentChange, options: PublishOptions, scratch: string): Promise<Work> {
  const { build, key, reporter, signal, dryRun } = options;
  // What is made to be looked at only goes with the scratch directory.
  const directory = join(dryRun ? scratch : build, 'bundles');
  const cache = bundleCache(directory, {
    repoPath: repo.path,
    keyId: key.public.id,
    quick: options.quick,
    reporter,
    signal,
  });
  const declined = await readDeclined(join(build, DECLINED_FILE));
  return { repo, change, options, scratch, cache, declined, delivered: new Map() };
}

/** Does all but deliver and publish, in a directory and a repository of its own. */
async function preview(repo: Repo, change: ContentChange, options: PublishOptions): Promise<ReleaseResult> {
  const scratch = await mkdtemp(join(tmpdir(), 'trees-release-'));
  try {
    using borrowing = await openBorrowing(repo, join(scratch, 'repo'));
    const result = await attempt(await workOn(borrowing, change, options, scratch), undefined);
    if (result === undefined) throw new Error('a dry run cannot be overtaken');
    return result;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/**
 * Publishes a changed index: signs the commits, makes the bundles that pay, delivers and proves each of them, and
 * switches the feed. Readers see the old release or the new one, whole. On any error the feed still has the old one.
 * @throws TreesError RELEASE_FAILED, FEED_UNTRUSTED, FEED_UNREACHABLE, LOCKED, NO_SPACE
 */
export async function publishChange(
  repo: Repo,
  change: ContentChange,
  options: PublishOptions,
): Promise<ReleaseResult> {
  if (options.dryRun) return await preview(repo, change, options);
  // Scratch repositories lie beside the build repository, so that objects are lent by links, not copied.
  return await withScratch(options.build, options, async (scratch) => {
    return await publish(await workOn(repo, change, options, scratch));
  });
}

/**
 * Publishes what was built.
 * @throws TreesError APP_NOT_FOUND; as `publishChange`
 */
export async function release(options: ReleaseOptions): Promise<ReleaseResult> {
  using repo = await openBuildRepo(options.build);
  const built: readonly Built[] = await readBuilt(repo, options.names);
  if (built.length === 0) {
    throw new TreesError('APP_NOT_FOUND', `cannot release: nothing has been built in ${options.build}`, {
      hint: 'trees release NAME builds it from its definition first',
    });
  }
  const { keep, channel } = options;
  let result: ReleaseResult | undefined;
  // A dry run looks at everything at once: nothing of an earlier portion would be there.
  const portions = options.dryRun ? [built] : inPortions(built, options);
  for (const portion of portions) {
    const change: ContentChange = async (previous, measure) => {
      return await mergeContent(previous, portion, { keep, channel, measure });
    };
    result = joinResults(result, await publishChange(repo, change, options));
  }
  if (result === undefined) throw new Error('there is at least one portion');
  return result;
}
