import { copyFile, link, mkdir, readdir, rename, rm, rmdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isErrno } from '../trees/errors.js';
import { directoryFeed } from '../trees/feed/directory.js';
import { feedFile } from '../trees/feed/feed.js';
import { writeFileAtomic } from '../trees/feed/files.js';
import { readFeedFile, writeIndexPair } from '../trees/feed/index-pair.js';
import { type BundleEntry, type FeedIndex, indexLimits } from '../trees/feed/schema.js';
import { syncDirectory } from '../trees/store/files.js';
import { BUNDLE_SUFFIX } from './bundle-file.js';
import type { Destination, Publishing, SignedIndex } from './destination.js';
import type { Published } from './published.js';
import { SCRATCH_LOCK, type ScratchOptions, withScratch } from './scratch.js';

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

/** Completes what a publisher that was killed between two renames left undone. */
async function completeSwitch(directory: string, published: Published | undefined): Promise<void> {
  const next = await readFeedFile(directoryFeed(directory), feedFile.next, { limit: indexLimits.bytes });
  if (next === undefined) return;
  const path = join(directory, feedFile.next);
  if (published !== undefined && next.equals(published.input.index))
    await rename(path, join(directory, feedFile.index));
  else await rm(path);
  await syncDirectory(directory);
}

/** The same file under another name; a copy where the file system cannot have both. */
async function linkOrCopy(from: string, to: string): Promise<void> {
  await rm(to, { force: true });
  try {
    await link(from, to);
  } catch (error) {
    if (!isErrno(error, 'EXDEV', 'EMLINK', 'EPERM', 'EOPNOTSUPP')) throw error;
    await copyFile(from, to);
  }
}

async function switchIndex(directory: string, scratch: string, signed: SignedIndex): Promise<void> {
  for (const { file } of signed.made) await rename(join(scratch, file), join(directory, file));
  await writeFileAtomic(join(directory, feedFile.publicKey), signed.publicKey);
  // Before the index: who meets a new key asks who has named it.
  if (signed.successors !== undefined) {
    await writeFileAtomic(join(directory, feedFile.successors), signed.successors);
  }
  // The bundles' names must be on disk before an index names them.
  await syncDirectory(directory);
  await writeIndexPair(directory, { index: signed.bytes, signature: signed.signature });
}

async function pruneBundles(directory: string, indexes: readonly (FeedIndex | undefined)[]): Promise<string[]> {
  const named = new Set(indexes.flatMap((index) => index?.bundles.map(({ file }) => file) ?? []));
  const stale = (await readdir(directory)).filter((file) => file.endsWith(BUNDLE_SUFFIX) && !named.has(file));
  for (const file of stale) await rm(join(directory, file), { force: true });
  return stale;
}

function publishingTo(directory: string, scratch: string): Publishing {
  return {
    scratch,
    recover: async (published) => await completeSwitch(directory, published),
    async deliver(entry, path) {
      const delivered = join(scratch, entry.file);
      await linkOrCopy(path, delivered);
      return { entry, path: delivered };
    },
    place: (entry) => entry,
    async publish(signed) {
      await switchIndex(directory, scratch, signed);
      return true;
    },
    abandon: async () => await Promise.resolve(),
    prune: async (...indexes) => await pruneBundles(directory, indexes),
  };
}

/** A feed in a directory. One publisher at a time: the others wait for its lock. */
export function directoryDestination(directory: string, options: ScratchOptions): Destination {
  return {
    url: `dir:${directory}`,
    feed: directoryFeed(directory),
    async present(bundles) {
      const present: BundleEntry[] = [];
      for (const bundle of bundles) {
        const found = await stat(join(directory, bundle.file)).catch(() => undefined);
        if (found?.size === bundle.size) present.push(bundle);
      }
      return present;
    },
    async publishing(action) {
      const created = await mkdir(directory, { recursive: true });
      try {
        return await withScratch(directory, options, async (scratch) => await action(publishingTo(directory, scratch)));
      } catch (error) {
        if (created !== undefined) await removeCreated(directory, created);
        throw error;
      }
    },
  };
}
