import { mkdir, readdir, rename, rm, rmdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isErrno, TreesError } from '../trees/errors.js';
import { directoryFeed } from '../trees/feed/directory.js';
import { feedFile } from '../trees/feed/feed.js';
import { writeFileAtomic } from '../trees/feed/files.js';
import { readFeedFile, readIndexPair, writeIndexPair } from '../trees/feed/index-pair.js';
import { formatPublicKey } from '../trees/feed/minisign.js';
import { type BundleEntry, type FeedIndex, indexLimits } from '../trees/feed/schema.js';
import { type IndexInput, type VerifiedIndex, verifyIndex } from '../trees/feed/verify-index.js';
import { syncDirectory } from '../trees/store/files.js';
import { BUNDLE_SUFFIX } from './bundles.js';
import type { SecretKey } from './key-file.js';
import { SCRATCH_LOCK, type ScratchOptions, withScratch } from './scratch.js';
import { signFile } from './sign.js';

/** What a feed's directory holds now. */
export interface Published extends VerifiedIndex {
  readonly input: IndexInput;
}

/**
 * The index that a directory feed has; undefined if it has none.
 * @throws TreesError FEED_UNTRUSTED if another key signed it: then this is somebody else's feed; as `verifyIndex`
 */
export async function readPublished(
  directory: string,
  key: SecretKey,
  options: { now: Date; signal?: AbortSignal | undefined },
): Promise<Published | undefined> {
  const { now, signal } = options;
  const feed = directoryFeed(directory);
  const verification = { keys: [key.public], seen: undefined, now, allowStale: true, origin: feed.url };
  const accept = (input: IndexInput): Published => ({ ...verifyIndex(input, verification), input });
  try {
    return await readIndexPair(feed, accept, { signal });
  } catch (error) {
    if (!(error instanceof TreesError)) throw error;
    // A directory that is not there yet is one to create.
    if (error.code === 'FEED_UNREACHABLE' && isErrno(error.cause, 'ENOENT')) return undefined;
    if (error.code !== 'FEED_UNTRUSTED') throw error;
    throw new TreesError('FEED_UNTRUSTED', `cannot publish to ${feed.url}: ${error.message}`, {
      hint: 'publish with the key that the feed has, or to another directory',
      cause: error,
      ...(error.details === undefined ? {} : { details: error.details }),
    });
  }
}

/** Undoes `mkdir -p` as far as nothing else has come into the directories. */
async function removeCreated(directory: string, created: string): Promise<void> {
  await rm(join(directory, SCRATCH_LOCK), { force: true });
  for (let path = directory; path.startsWith(created); path = dirname(path)) {
    try {
      await rmdir(path);
    } catch (error) {
      if (isErrno(error, 'ENOTEMPTY', 'EEXIST', 'ENOENT')) return;
      throw error;
    }
  }
}

/**
 * Runs `action` as the only publisher to a directory feed, with a scratch directory on the same file system. If it
 * fails, the directory is as it was.
 */
export async function withPublication<T>(
  directory: string,
  options: ScratchOptions,
  action: (scratch: string) => Promise<T>,
): Promise<T> {
  const created = await mkdir(directory, { recursive: true });
  try {
    return await withScratch(directory, options, action);
  } catch (error) {
    if (created !== undefined) await removeCreated(directory, created);
    throw error;
  }
}

/** Completes what a publisher that was killed between two renames left undone. */
export async function completeSwitch(directory: string, published: Published | undefined): Promise<void> {
  const next = await readFeedFile(directoryFeed(directory), feedFile.next, { limit: indexLimits.bytes });
  if (next === undefined) return;
  const path = join(directory, feedFile.next);
  if (published !== undefined && next.equals(published.input.index))
    await rename(path, join(directory, feedFile.index));
  else await rm(path);
  await syncDirectory(directory);
}

/** Bundles of an index whose files are there in their full size. */
export async function presentBundles(directory: string, bundles: readonly BundleEntry[]): Promise<BundleEntry[]> {
  const present: BundleEntry[] = [];
  for (const bundle of bundles) {
    const found = await stat(join(directory, bundle.file)).catch(() => undefined);
    if (found?.size === bundle.size) present.push(bundle);
  }
  return present;
}

/**
 * Makes an index the feed's: signs it, has it checked by what clients check it with, brings in the new bundles, and
 * switches.
 * @param options.scratch where the files of `options.made` are
 * @throws TreesError as `verifyIndex`, before anything is changed
 */
export async function publishIndex(
  directory: string,
  index: FeedIndex,
  options: {
    key: SecretKey;
    now: Date;
    previous: Published | undefined;
    scratch: string;
    made: readonly BundleEntry[];
  },
): Promise<void> {
  const { key, now, previous, scratch } = options;
  const bytes = Buffer.from(`${JSON.stringify(index, undefined, 1)}\n`);
  const signature = signFile(bytes, key, { file: feedFile.index, sequence: index.sequence, now });
  const verification = { keys: [key.public], seen: previous?.seen, now, origin: `dir:${directory}` };
  verifyIndex({ index: bytes, signature }, verification);
  for (const { file } of options.made) await rename(join(scratch, file), join(directory, file));
  await writeFileAtomic(join(directory, feedFile.publicKey), formatPublicKey(key.public));
  // The bundles' names must be on disk before an index names them.
  await syncDirectory(directory);
  await writeIndexPair(directory, { index: bytes, signature });
}

/**
 * Deletes bundles that neither the index nor the one before it names: who has just fetched that one may still be
 * downloading.
 * @returns names of the deleted files
 */
export async function pruneBundles(
  directory: string,
  ...indexes: readonly (FeedIndex | undefined)[]
): Promise<string[]> {
  const named = new Set(indexes.flatMap((index) => index?.bundles.map(({ file }) => file) ?? []));
  const stale = (await readdir(directory)).filter((file) => file.endsWith(BUNDLE_SUFFIX) && !named.has(file));
  for (const file of stale) await rm(join(directory, file), { force: true });
  return stale;
}
