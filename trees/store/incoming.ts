import { closeSync, openSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { type Arrival, applyArriving, applyBundle } from '../delta/index.js';
import { TreesError } from '../errors.js';
import { verifyCommitSignature } from '../feed/commit-signature.js';
import { fetchBundle } from '../feed/download.js';
import type { Feed } from '../feed/feed.js';
import { readRange } from '../feed/range.js';
import { commitKeys } from '../feed/records.js';
import type { BundleEntry } from '../feed/schema.js';
import type { Selection } from '../feed/select.js';
import { refOf } from './install-plan.js';
import { bundleLock } from './leftovers.js';
import { measureLink } from './link-speed.js';
import type { Lock } from './locks.js';
import type { Store } from './store.js';

/** A bundle on its way into the store. Its lock is held until `finish` or `discard`. */
export interface Incoming {
  readonly bundle: BundleEntry;
  /** Resolves when all of it is here or about to be, to false if it will not be; never rejects. */
  readonly nearlyHere: Promise<boolean>;
  /** Applies it, while it arrives if it is still arriving. @throws TreesError of the download or of applying */
  apply(): Promise<void>;
  /** Gives it up, also while it is being applied: that fails then. What has been downloaded stays, for the next time. */
  discard(): Promise<void>;
}

/** Tail to ask for where the index does not say how long it is; enough for trees of some 5,000 files. */
const TAIL = 256 * 1024;

/**
 * Seconds before the end of a download at which the next one may begin, so that the link is not idle between them: what
 * a request takes, of a process that is busy applying. Not much more: the first bundle should be here, and applied,
 * while the second one arrives. Bytes, for what is not known to be faster.
 */
const NEARLY = { seconds: 0.1, bytes: 512 * 1024 } as const;

/** Failures that reading the same bytes again cannot cure; the download need not go on either. */
const FINAL = new Set(['CANCELLED', 'NO_SPACE', 'STORE_CORRUPT', 'STORE_UNUSABLE']);

/**
 * Starts bringing a bundle in. From a directory it is read where it is; otherwise the download begins now.
 * @param lock the bundle's, so that no other process brings the same one
 */
export function bringIn(
  store: Store,
  feed: Feed,
  options: { bundle: BundleEntry; selection: Selection; lock: Lock },
): Incoming {
  const { bundle, lock } = options;
  const path = bundle.pieces === undefined ? feed.localPath?.(bundle.file) : undefined;
  const work = path === undefined ? downloaded(store, feed, options) : local(store, feed, { ...options, path });
  return {
    bundle,
    nearlyHere: work.nearlyHere,
    apply: async () => {
      try {
        await work.apply();
      } finally {
        lock.releaseAndDelete();
      }
    },
    discard: async () => {
      try {
        await work.discard();
      } finally {
        lock.releaseAndDelete();
      }
    },
  };
}

interface Work {
  readonly nearlyHere: Promise<boolean>;
  apply(): Promise<void>;
  discard(): Promise<void>;
}

interface WorkOptions {
  readonly bundle: BundleEntry;
  readonly selection: Selection;
}

/** The digest is checked over the bytes that are applied, so it does not matter who else can write to the directory. */
function local(store: Store, feed: Feed, options: WorkOptions & { path: string }): Work {
  const { stop, signal } = stoppable(store);
  const stopped = { ...store, signal };
  return {
    nearlyHere: Promise.resolve(true),
    discard: async () => {
      stop.abort(givenUp(options.bundle));
      await Promise.resolve();
    },
    apply: async () => {
      try {
        await applyFile(stopped, options);
      } catch (error) {
        // The feed says better what is wrong with it.
        if (!(error instanceof TreesError && error.code === 'BUNDLE_UNREADABLE')) throw error;
        await downloaded(stopped, feed, options).apply();
      }
    },
  };
}

function downloaded(store: Store, feed: Feed, options: WorkOptions): Work {
  const { bundle } = options;
  const { stop, signal } = stoppable(store);
  const link = measureLink();
  const arriving = createArrival();
  const verdict = createVerdict();
  const nearly = createVerdict();
  const download = fetchBundle(feed, bundle, store.paths.downloads, {
    signal,
    reporter: store.reporter,
    onAvailable: ({ path, bytes }) => {
      link.update(bytes);
      arriving.report(path, bytes);
      const left = Math.max(NEARLY.bytes, NEARLY.seconds * (link.bytesPerSecond() ?? 0));
      if (bytes >= bundle.size - left) nearly.settle(true);
    },
    onRestart: () => arriving.restart(),
    isVerified: async () => await verdict.promise,
  });
  const ended = download.then(
    () => nearly.settle(true),
    () => nearly.settle(false),
  );
  // At once, so that it is there when the one before is applied.
  const tail = readTail(feed, bundle, { bytes: tailOf(bundle), signal });
  // Whoever needs it sees why it failed.
  tail.catch(() => undefined);
  return {
    nearlyHere: nearly.promise,
    discard: async () => {
      stop.abort(givenUp(bundle));
      verdict.settle(false);
      await ended;
      arriving.close();
    },
    apply: async () => {
      let path: string | undefined;
      try {
        const early = applyEarly(store, feed, { ...options, arrival: arriving.arrival, download, stop, tail });
        void early.then((outcome) => verdict.settle(outcome === 'applied'));
        try {
          path = await download;
        } catch (error) {
          const outcome = await early;
          // The reason why the download was stopped.
          throw outcome !== 'applied' && stop.signal.aborted && isFinal(outcome) ? outcome : error;
        }
        await link.record(store.paths.root, options.selection.feed.feed.name);
        const outcome = await early;
        if (outcome === 'applied') return;
        if (isFinal(outcome)) throw outcome;
        // Bytes of an earlier download may have been damaged, or the end that was fetched first.
        await applyFile(store, { ...options, path });
      } finally {
        arriving.close();
        // A bundle that fails here has the published digest: fetching the same bytes again would not help.
        if (path !== undefined && store.signal?.aborted !== true) await rm(path, { force: true });
      }
    },
  };
}

/** For work that ends with the whole command, or when it is given up. */
function stoppable({ signal }: Store): { readonly stop: AbortController; readonly signal: AbortSignal } {
  const stop = new AbortController();
  return { stop, signal: signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]) };
}

function givenUp({ file }: BundleEntry): TreesError {
  return new TreesError('CANCELLED', `fetching ${file} was given up`);
}

/** Bytes of the end of a bundle to ask for first. */
function tailOf({ size, tail = TAIL }: BundleEntry): number {
  return Math.min(size, tail);
}

async function readTail(
  feed: Feed,
  bundle: BundleEntry,
  { bytes, signal }: { bytes: number; signal: AbortSignal },
): Promise<Buffer> {
  return await readRange(feed, bundle, { offset: bundle.size - bytes, length: bytes, signal });
}

/** Applies while the download runs. Says how that went; never rejects. */
async function applyEarly(
  store: Store,
  feed: Feed,
  options: WorkOptions & {
    arrival: Arrival;
    download: Promise<string>;
    stop: AbortController;
    tail: Promise<Buffer>;
  },
): Promise<unknown> {
  const { arrival, bundle, download, stop, tail } = options;
  const end = new AbortController();
  const signal = AbortSignal.any(store.signal === undefined ? [end.signal] : [store.signal, end.signal]);
  download.catch((error: unknown) => end.abort(error));
  try {
    await withTask(store, options, async (common) => {
      await applyArriving({
        ...common,
        name: bundle.file,
        expect: expected(bundle),
        arrival,
        tail: tailOf(bundle),
        readTail: async (bytes) =>
          bytes === tailOf(bundle) ? await tail : await readTail(feed, bundle, { bytes, signal }),
        signal,
      });
    });
    return 'applied';
  } catch (error) {
    if (isFinal(error)) stop.abort(error);
    return error;
  }
}

async function applyFile(store: Store, options: WorkOptions & { path: string }): Promise<void> {
  await withTask(store, options, async (common) => {
    await applyBundle({ ...common, path: options.path, expect: expected(options.bundle), signal: store.signal });
  });
}

async function withTask(
  store: Store,
  { bundle, selection }: WorkOptions,
  work: (common: Omit<Parameters<typeof applyBundle>[0], 'path' | 'expect' | 'signal'>) => Promise<void>,
): Promise<void> {
  using task = store.reporter.task(`apply ${bundle.file}`, { total: bundle.writes, unit: 'bytes' });
  await work({
    repoPath: store.paths.repo,
    ref: refOf(selection.feed.index, bundle.to),
    verifyCommit: (commit, metadata) => {
      verifyCommitSignature(commit, metadata, { keys: commitKeys(selection.feed.feed), checksum: bundle.to });
    },
    onProgress: ({ done }) => task.update(done),
  });
  task.done();
}

function expected({ from, to, size, sha256, rawSize, writes }: BundleEntry) {
  return { from, to, size, sha256, rawSize, writes };
}

function isFinal(error: unknown): boolean {
  return error instanceof TreesError && FINAL.has(error.code);
}

/** A promise, and what settles it. */
function createVerdict(): { readonly promise: Promise<boolean>; readonly settle: (value: boolean) => void } {
  let settle: (value: boolean) => void = () => undefined;
  const promise = new Promise<boolean>((resolve) => {
    settle = resolve;
  });
  return { promise, settle };
}

/** Connects a download with whoever applies what it brings. */
function createArrival(): {
  arrival: Arrival;
  report(path: string, bytes: number): void;
  restart(): void;
  close(): void;
} {
  let known = 0;
  let fd: number | undefined;
  let listener: ((bytes: number) => void) | undefined;
  let resolve: (fd: number) => void = () => undefined;
  const file = new Promise<number>((settle) => {
    resolve = settle;
  });
  const tell = (bytes: number): void => {
    known = bytes;
    listener?.(bytes);
  };
  return {
    arrival: {
      file,
      listen: (next) => {
        listener = next;
        next(known);
      },
    },
    report: (path, bytes) => {
      // Now: later it has another name.
      fd ??= openSync(path, 'r');
      resolve(fd);
      tell(bytes);
    },
    restart: () => tell(0),
    close: () => {
      if (fd !== undefined) closeSync(fd);
      fd = undefined;
      listener = undefined;
    },
  };
}

/** Path of the lock that `bringIn` wants, with what to say about it. */
export function lockOf(store: Store, bundle: BundleEntry) {
  return { path: bundleLock(store, bundle), what: `bundle ${bundle.file}`, command: `fetch ${bundle.file}` };
}
