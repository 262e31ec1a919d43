import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { TreesError } from '../errors.js';
import type { Reporter, Task } from '../reporter.js';
import { CannotSeek, ChangedFile, corruptBundle } from './bundle-bytes.js';
import type { Feed } from './feed.js';
import { CONNECTIONS, parallelBytes } from './parallel.js';
import { createRetries } from './retry.js';
import type { BundleEntry } from './schema.js';

/** Bytes that are on disk, from the first one on, unverified. */
export interface Available {
  readonly path: string;
  readonly bytes: number;
}

export interface TransferOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onAvailable?: ((download: Available) => void) | undefined;
  readonly onRestart?: (() => void) | undefined;
  /**
   * Asked when all bytes are on disk: whether somebody read them from there and found their SHA-256 right. Then they are
   * not hashed here. Whoever gives this uses the file at once and deletes it, so it is not synced either.
   */
  readonly isVerified?: (() => Promise<boolean>) | undefined;
}

/** A partial download: the file and the digest of what is in it, unless that is somebody else's business. */
export interface Partial {
  readonly path: string;
  readonly handle: FileHandle;
  hash: Hash | undefined;
  length: number;
}

export async function hashFile(path: string, hash: Hash, signal: AbortSignal | undefined): Promise<void> {
  for await (const chunk of createReadStream(path, signal === undefined ? {} : { signal })) hash.update(chunk);
}

export interface Transfer {
  readonly partial: Partial;
  readonly task: Task;
  readonly reporter: Reporter;
  readonly options: TransferOptions;
}

export async function emptyPartial(partial: Partial): Promise<void> {
  await partial.handle.truncate(0);
  if (partial.hash !== undefined) partial.hash = createHash('sha256');
  partial.length = 0;
}

async function startAgain({ partial, options }: Transfer): Promise<void> {
  if (partial.length === 0) return;
  options.onRestart?.();
  await emptyPartial(partial);
}

async function append(bytes: Buffer, { partial, task, options }: Transfer): Promise<void> {
  await partial.handle.appendFile(bytes);
  partial.hash?.update(bytes);
  partial.length += bytes.length;
  task.update(partial.length);
  options.onAvailable?.({ path: partial.path, bytes: partial.length });
}

/** Sockets give pieces of some 16 kB; each write and each word to whoever reads the file costs more than that. */
const BATCH = 256 * 1024;
/** Milliseconds that bytes wait for more at most, while more comes. */
const BATCH_TIME = 20;

/** Appends what comes, several pieces at once; also what came before a failure. */
async function appendAll(stream: AsyncIterable<Buffer>, total: number, transfer: Transfer): Promise<void> {
  let waiting: Buffer[] = [];
  let size = 0;
  let since = 0;
  const flush = async (): Promise<void> => {
    const bytes = Buffer.concat(waiting, size);
    waiting = [];
    size = 0;
    if (bytes.length > 0) await append(bytes, transfer);
  };
  try {
    for await (const bytes of stream) {
      if (size === 0) since = performance.now();
      waiting.push(bytes);
      size += bytes.length;
      const isLast = transfer.partial.length + size >= total;
      if (size >= BATCH || isLast || performance.now() - since >= BATCH_TIME) await flush();
    }
  } finally {
    await flush();
  }
}

/** Fetches what is missing, through failures that pass. */
async function fill(feed: Feed, entry: BundleEntry, transfer: Transfer): Promise<void> {
  const { partial, task, reporter } = transfer;
  const { signal } = transfer.options;
  const onWait = (text: string): void => task.update(partial.length, text);
  const retries = createRetries({ policy: feed.retries, signal, reporter, onWait });
  let empty = 0;
  let connections = CONNECTIONS;
  let validators: Map<string, string> | undefined = new Map();
  while (partial.length < entry.size) {
    const before = partial.length;
    try {
      const request = { offset: before, connections, signal, validators };
      await appendAll(parallelBytes(feed, entry, request), entry.size, transfer);
      // Nothing at all may be a hiccup of the server; twice is a file that is too short.
      empty = partial.length === before ? empty + 1 : 0;
      if (empty > 0 && (empty > 1 || feed.isRemote !== true)) {
        throw corruptBundle(feed, entry, `it ends after ${before} of ${entry.size} bytes`);
      }
    } catch (error) {
      signal?.throwIfAborted();
      if (partial.length > before) retries.progress();
      // A link that breaks is not loaded with several connections again.
      connections = 1;
      if (error instanceof ChangedFile) {
        // Servers that name the same file differently each time must not keep us here for ever.
        validators = undefined;
        await startAgain(transfer);
      } else if (!(error instanceof CannotSeek)) {
        await retries.failed(error);
      }
    }
  }
}

/** The digest of what is in the file. */
async function digestOf({ partial, options }: Transfer, entry: BundleEntry): Promise<string> {
  if (partial.hash !== undefined) return partial.hash.digest('hex');
  if ((await options.isVerified?.()) === true) return entry.sha256;
  options.signal?.throwIfAborted();
  const hash = createHash('sha256');
  await hashFile(partial.path, hash, options.signal);
  return hash.digest('hex');
}

/** Fills the partial file and checks it. What an earlier run left may be damaged: then all of it is fetched again. */
async function completeFrom(feed: Feed, entry: BundleEntry, transfer: Transfer): Promise<void> {
  const { partial } = transfer;
  const isResumed = partial.length > 0;
  await fill(feed, entry, transfer);
  let digest = await digestOf(transfer, entry);
  if (digest !== entry.sha256 && isResumed) {
    await startAgain(transfer);
    await fill(feed, entry, transfer);
    digest = await digestOf(transfer, entry);
  }
  if (digest === entry.sha256) return;
  throw corruptBundle(feed, entry, `its SHA-256 is ${digest}, the index says ${entry.sha256}`);
}

/** Whether another place with the same files may do better. */
function isOfThisPlace(error: unknown): error is TreesError {
  return error instanceof TreesError && (error.code === 'FEED_UNREACHABLE' || error.code === 'BUNDLE_CORRUPT');
}

/**
 * Completes a partial download from the feed, or from the first of its mirrors that can. What is whole and to be kept is synced.
 * What is wrong is not kept; what is merely incomplete is, also for the next mirror.
 * @throws TreesError what the feed itself failed with
 */
export async function completePartial(feed: Feed, entry: BundleEntry, transfer: Transfer): Promise<void> {
  const { partial, task, reporter, options } = transfer;
  const places = [feed, ...(feed.mirrors ?? [])];
  let first: TreesError | undefined;
  for (const [position, place] of places.entries()) {
    try {
      await completeFrom(place, entry, transfer);
      if (options.isVerified !== undefined) return;
      task.update(partial.length, 'writing to disk');
      await partial.handle.sync();
      return;
    } catch (error) {
      options.signal?.throwIfAborted();
      if (!isOfThisPlace(error)) throw error;
      first ??= error;
      if (error.code === 'BUNDLE_CORRUPT') await startAgain(transfer);
      const next = places[position + 1];
      if (next !== undefined) reporter.warn(`${error.message}; trying the mirror ${next.url}`);
    }
  }
  throw first ?? new Error('no place to fetch from');
}
