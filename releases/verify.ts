import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { applyBundle } from '../trees/delta/index.js';
import { TreesError } from '../trees/errors.js';
import { fetchBundle } from '../trees/feed/download.js';
import { type Feed, feedFile } from '../trees/feed/feed.js';
import type { PublicKey } from '../trees/feed/minisign.js';
import type { BundleEntry, FeedIndex } from '../trees/feed/schema.js';
import { predecessorsOf, readSuccessors } from '../trees/feed/succession.js';
import { Repo } from '../trees/ostree/index.js';
import type { Reporter } from '../trees/reporter.js';
import { commitKey } from '../trees/store/metadata.js';
import { text } from '../trees/store/tree-commit.js';
import { composeChecksum, repoMode } from './build-repo.js';
import { readSignedIndex } from './feed-to-read.js';
import { proveBundle } from './prove.js';
import { hasCommit } from './recall.js';

export interface VerifyFeedOptions {
  readonly keys: readonly PublicKey[];
  readonly now: Date;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal | undefined;
}

export interface FeedProblem {
  readonly code: string;
  /** The bundle's file, or `etcd 3.5.0 x86_64`. */
  readonly what: string;
  readonly message: string;
}

export interface FeedReport {
  readonly index: FeedIndex;
  readonly signedBy: PublicKey;
  readonly stale: boolean;
  /** Bundles that were fetched, applied and found sound. */
  readonly sound: readonly BundleEntry[];
  readonly bytes: number;
  /** Versions that can be installed by somebody who has nothing. */
  readonly versions: number;
  readonly problems: readonly FeedProblem[];
}

interface Check {
  readonly feed: Feed;
  readonly repo: Repo;
  readonly scratch: string;
  /** Keys that may have signed commits: the one that signed the index, and those it has succeeded. */
  readonly keys: readonly PublicKey[];
  readonly options: VerifyFeedOptions;
  readonly problems: FeedProblem[];
}

const REF = 'verified';

/** Keeps an expected failure for the report. @returns whether `action` succeeded */
async function noted({ problems, options }: Check, what: string, action: () => Promise<void>): Promise<boolean> {
  try {
    await action();
    return true;
  } catch (error) {
    options.signal?.throwIfAborted();
    if (!(error instanceof TreesError)) throw error;
    problems.push({ code: error.code, what, message: error.message });
    return false;
  }
}

/** Fetches a bundle and applies it: alone with its origin as a user would, then beside what was applied before. */
async function checkBundle(check: Check, entry: BundleEntry): Promise<void> {
  const { feed, repo, scratch, keys, options } = check;
  const { reporter, signal } = options;
  const path = await fetchBundle(feed, entry, join(scratch, 'downloads'), { reporter, signal });
  try {
    await proveBundle(path, entry, { repo, keys, scratch, signal });
    if (await hasCommit(repo, entry.to)) return;
    await applyBundle({ repoPath: repo.path, path, ref: `${REF}/${entry.to}`, signal });
  } finally {
    await rm(path, { force: true });
  }
}

/** Bundles in an order in which each one's origin is there; those that lead from nowhere are left. */
async function checkBundles(check: Check, bundles: readonly BundleEntry[]): Promise<BundleEntry[]> {
  const sound: BundleEntry[] = [];
  let left = [...bundles];
  for (let progress = true; progress; ) {
    progress = false;
    const later: BundleEntry[] = [];
    for (const entry of left) {
      if (entry.from !== null && !(await hasCommit(check.repo, entry.from))) {
        later.push(entry);
        continue;
      }
      progress = true;
      if (await noted(check, entry.file, async () => await checkBundle(check, entry))) sound.push(entry);
    }
    left = later;
  }
  // Versions that left the index may still be installed somewhere: their bundles cannot be tried, only fetched.
  for (const entry of left) {
    const { reporter, signal } = check.options;
    const fetched = await noted(check, entry.file, async () => {
      const path = await fetchBundle(check.feed, entry, join(check.scratch, 'downloads'), { reporter, signal });
      await rm(path, { force: true });
    });
    if (fetched) sound.push(entry);
  }
  return sound;
}

function wrong(what: string, why: string): TreesError {
  return new TreesError('INDEX_INVALID', `${what}: ${why}`);
}

/** That a commit is what the index says of it. */
async function checkVersion(
  check: Check,
  [kind, name]: readonly ['base' | 'layer', string],
  version: { version: string; arch: string; commit: string; size: number; files: number },
): Promise<void> {
  const { repo } = check;
  const what = `${name} ${version.version} ${version.arch}`;
  if (!(await hasCommit(repo, version.commit))) throw wrong(what, 'no sound bundle leads to it from nothing');
  const commit = await repo.readCommit(version.commit);
  const said = [commitKey.kind, commitKey.name, commitKey.arch, commitKey.version].map((key) => text(commit, key));
  const expected = [kind, name, version.arch, version.version];
  if (said.join('/') !== expected.join('/')) throw wrong(what, `its commit says it is ${said.join('/')}`);
  const { size, files } = await repo.commitSize(version.commit);
  if (size !== version.size || files !== version.files) {
    throw wrong(what, `it has ${size} bytes in ${files} files, the index says ${version.size} in ${version.files}`);
  }
}

async function checkVersions(check: Check, index: FeedIndex): Promise<number> {
  let good = 0;
  for (const [name, { versions }] of Object.entries(index.bases)) {
    for (const version of versions) {
      const what = `${name} ${version.version} ${version.arch}`;
      good += Number(await noted(check, what, async () => await checkVersion(check, ['base', name], version)));
    }
  }
  for (const [name, { versions }] of Object.entries(index.apps)) {
    for (const version of versions) {
      const what = `${name} ${version.version} ${version.arch}`;
      const tried = async (): Promise<void> => {
        await checkVersion(check, ['layer', name], version);
        const bases = index.bases[version.base.name]?.versions ?? [];
        const base = bases.find((one) => one.arch === version.arch && one.version === version.base.tested);
        if (base === undefined) throw wrong(what, `its base ${version.base.name} ${version.base.tested} is not listed`);
        const tree = await composeChecksum(check.repo, check.scratch, [base.commit, version.commit]);
        if (tree !== version.base.tree) throw wrong(what, `on its base it gives another tree than the index says`);
      };
      good += Number(await noted(check, what, tried));
    }
  }
  return good;
}

/**
 * Checks a whole feed as its users would find it: the index and its signature, every bundle's size, digest, signature
 * and objects, applied to what it leads from, and every version that comes out, composed with its base.
 * @throws TreesError where there is no index to check: FEED_UNREACHABLE, FEED_UNTRUSTED, SIGNATURE_INVALID, INDEX_INVALID
 */
export async function verifyFeed(feed: Feed, options: VerifyFeedOptions): Promise<FeedReport> {
  const { index, signedBy, stale } = await readSignedIndex(feed, options);
  const scratch = await mkdtemp(join(tmpdir(), 'trees-verify-'));
  try {
    using repo = await Repo.create(join(scratch, 'repo'), { mode: repoMode() });
    await repo.setConfig('core', 'fsync', 'false');
    const problems: FeedProblem[] = [];
    const published = await readSuccessors(feed, { signal: options.signal });
    const former = predecessorsOf(published?.successions ?? [], { key: signedBy, feed: index.feed });
    const check: Check = { feed, repo, scratch, keys: [signedBy, ...former], options, problems };
    if (stale)
      problems.push({ code: 'INDEX_EXPIRED', what: feedFile.index, message: `it expired at ${index.expires}` });
    const sound = await checkBundles(check, index.bundles);
    const versions = await checkVersions(check, index);
    const bytes = sound.reduce((sum, { size }) => sum + size, 0);
    return { index, signedBy, stale, sound, bytes, versions, problems };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
