import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { type BundleInfo, bundleInfo } from '../delta/index.js';
import { reasonOf, TreesError } from '../errors.js';
import { readTail } from '../feed/bundle-tail.js';
import { fetchBundle } from '../feed/download.js';
import type { Feed } from '../feed/feed.js';
import { openFeed } from '../feed/open.js';
import { readRange } from '../feed/range.js';
import type { BundleEntry } from '../feed/schema.js';
import type { Selection } from '../feed/select.js';
import type { Checksum } from '../ostree/types.js';
import type { Generation } from './generations.js';
import { planBundles } from './install-plan.js';
import { linkSpeed } from './link-speed.js';
import type { FsckOptions } from './repair.js';
import type { Store } from './store.js';
import { wholeCommits } from './whole.js';

/** `checksum.type`, as objects are called in file names. */
export type ObjectKey = string;

/** Parts of a bundle, fetched for some objects. */
export interface PartSupply {
  readonly sha256: string;
  /** Sparse file: the bundle's tail and these parts. */
  readonly path: string;
  readonly to: Checksum;
  readonly parts: readonly number[];
  /** Whether the commit object is wanted. */
  readonly commit: boolean;
  /** What it is for. */
  readonly objects: ReadonlySet<ObjectKey>;
}

/** What was fetched to repair with, while others could go on working. */
export interface Supplies {
  readonly parts: readonly PartSupply[];
  /** Commits of which no part would do: all their bundles were downloaded. */
  readonly whole: ReadonlySet<Checksum>;
  /** Bytes. */
  readonly fetched: number;
}

/** A generation, and what a feed offers to repair it with. */
export interface Repairable {
  readonly generation: Generation;
  readonly selection: Selection;
}

/** Bundles that are known to be of no use, by SHA-256: their parts, or all of them. Grows from round to round. */
export interface Useless {
  readonly parts: Set<string>;
  readonly whole: Set<string>;
}

interface Work {
  readonly store: Store;
  readonly options: FsckOptions;
  readonly wanted: ReadonlySet<ObjectKey>;
  readonly broken: ReadonlyMap<Checksum, ReadonlySet<ObjectKey> | undefined>;
  readonly useless: Useless;
  readonly located: Set<ObjectKey>;
  readonly parts: PartSupply[];
  fetched: number;
}

/** What a zstd frame begins with. */
const ZSTD_MAGIC = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);

/** If parts are this much of a bundle, one request for all of it is better. */
const WORTHWHILE = 0.8;

/**
 * Fetches what damaged objects can be made from: the parts of bundles that hold them, found by the bundles' tails; for
 * commits of which no part will do, whole bundles. Nothing in the repository is changed. The caller holds the store's
 * shared lock.
 * @param damaged objects to replace
 * @param broken commits of the generations that lack some of them, with those; undefined where a directory is unreadable
 */
export async function fetchSupplies(
  store: Store,
  repairables: readonly Repairable[],
  context: {
    options: FsckOptions;
    damaged: ReadonlySet<ObjectKey>;
    broken: ReadonlyMap<Checksum, ReadonlySet<ObjectKey> | undefined>;
    useless: Useless;
  },
): Promise<Supplies> {
  const { damaged: wanted, ...rest } = context;
  const work: Work = { store, wanted, ...rest, located: new Set(), parts: [], fetched: 0 };
  const whole = new Set<Checksum>();
  const done = new Set<Checksum>();
  const sound = await wholeCommits(store.repo);
  for (const commit of work.broken.keys()) sound.delete(commit);
  for (const { generation, selection } of repairables) {
    const feed = openFeed(selection.feed.feed, work.options.network);
    for (const commit of [generation.base.commit, generation.layer]) {
      if (!work.broken.has(commit) || done.has(commit)) continue;
      done.add(commit);
      if (await locate(work, feed, { commit, selection, sound })) continue;
      // Those that come whole are there when the next one is made from them.
      if (await fetchWhole(work, feed, { selection, sound: new Set([...sound, ...whole]) })) whole.add(commit);
    }
  }
  return { parts: work.parts, whole, fetched: work.fetched };
}

interface Target {
  readonly selection: Selection;
  readonly sound: ReadonlySet<Checksum>;
}

/** @returns whether the parts that were fetched will do for a commit, as far as can be seen */
async function locate(work: Work, feed: Feed, target: Target & { commit: Checksum }): Promise<boolean> {
  const { commit, selection, sound } = target;
  const needed = work.broken.get(commit);
  const isDone = (): boolean => needed !== undefined && [...needed].every((key) => work.located.has(key));
  const candidates = selection.feed.index.bundles
    .filter(
      ({ from, to, sha256 }) => to === commit && (from === null || sound.has(from)) && !work.useless.parts.has(sha256),
    )
    .toSorted((a, b) => a.size - b.size);
  let found = false;
  for (const entry of candidates) {
    if (isDone()) break;
    try {
      found = (await takeParts(work, feed, entry)) || found;
    } catch (error) {
      giveUp(work, 'parts', { entry, error });
    }
  }
  // Behind an unreadable directory there may be more: that is for the next round.
  return needed === undefined ? found : isDone();
}

/** @returns whether it holds anything that is wanted */
async function takeParts(work: Work, feed: Feed, entry: BundleEntry): Promise<boolean> {
  const { store, wanted, located } = work;
  const path = join(store.paths.downloads, `${entry.sha256}.parts`);
  const info = await openTail(work, feed, { entry, path });
  const isMissing = (key: ObjectKey): boolean => wanted.has(key) && !located.has(key);
  const parts = info.parts.flatMap((part, index) => {
    const objects = part.objects.map(({ type, checksum }) => `${checksum}.${type}`).filter(isMissing);
    return objects.length > 0 ? [{ index, part, objects }] : [];
  });
  const commit = isMissing(`${entry.to}.commit`);
  if (parts.length === 0 && !commit) return false;
  // Small parts have come with the tail.
  const missing = parts.filter(({ part }) => part.offset < entry.size - info.tail);
  if (missing.reduce((sum, { part }) => sum + part.compressedSize, 0) > entry.size * WORTHWHILE) return false;
  for (const { part } of missing) {
    const range = { offset: part.offset, length: part.compressedSize, signal: store.signal };
    const bytes = await readRange(feed, entry, range);
    work.fetched += bytes.length;
    await writeAt(path, bytes, part.offset);
  }
  const objects = new Set([...parts.flatMap((part) => part.objects), ...(commit ? [`${entry.to}.commit`] : [])]);
  for (const key of objects) located.add(key);
  work.parts.push({
    sha256: entry.sha256,
    path,
    to: entry.to,
    parts: parts.map(({ index }) => index),
    commit,
    objects,
  });
  return true;
}

/** Reads what a bundle holds from its end, into a sparse file of the bundle's size. */
async function openTail(
  work: Work,
  feed: Feed,
  { entry, path }: { entry: BundleEntry; path: string },
): Promise<BundleInfo & { tail: number }> {
  const { signal } = work.store;
  const tail = await readTail(feed, entry, signal);
  work.fetched += tail.length;
  await writeAt(path, tail, entry.size - tail.length, { size: entry.size });
  // That it has a seek table says what it is; a reader looks at its first bytes.
  if (tail.length < entry.size) await writeAt(path, ZSTD_MAGIC, 0);
  const info = await bundleInfo(path, { signal });
  if (info.to === entry.to && info.from === entry.from) return { ...info, tail: tail.length };
  throw new TreesError('BUNDLE_CORRUPT', `cannot use bundle ${entry.file}: it leads to ${info.to}, not ${entry.to}`, {
    hint: 'tell the publisher',
  });
}

async function writeAt(path: string, bytes: Buffer, offset: number, create?: { size: number }): Promise<void> {
  const file = await open(path, create === undefined ? 'r+' : 'w', 0o600);
  try {
    if (create !== undefined) await file.truncate(create.size);
    await file.write(bytes, 0, bytes.length, offset);
  } finally {
    await file.close();
  }
}

/** Downloads all bundles that a selection's broken commits take. @returns whether that worked */
async function fetchWhole(work: Work, feed: Feed, { selection, sound }: Target): Promise<boolean> {
  const { store, useless } = work;
  const bytesPerSecond = linkSpeed(store.paths.root, selection.feed.feed);
  for (;;) {
    let failed: BundleEntry | undefined;
    try {
      for (const entry of planBundles(selection, sound, { exclude: useless.whole, bytesPerSecond }).edges) {
        failed = entry;
        await fetchBundle(feed, entry, store.paths.downloads, { signal: store.signal, reporter: store.reporter });
        work.fetched += entry.size;
      }
      return true;
    } catch (error) {
      store.signal?.throwIfAborted();
      if (failed === undefined || useless.whole.has(failed.sha256)) {
        store.reporter.warn(reasonOf(error));
        return false;
      }
      giveUp(work, 'whole', { entry: failed, error });
    }
  }
}

function giveUp(
  { store, useless }: Work,
  what: keyof Useless,
  { entry, error }: { entry: BundleEntry; error: unknown },
): void {
  store.signal?.throwIfAborted();
  if (error instanceof TreesError && error.code === 'NO_SPACE') throw error;
  useless[what].add(entry.sha256);
  store.reporter.warn(`bundle ${entry.file} is of no use for the repair: ${reasonOf(error)}`);
}
