import { createHash, type Hash } from 'node:crypto';
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
}

/** A partial download: the file and the digest of what is in it. */
export interface Partial {
  readonly path: string;
  readonly handle: FileHandle;
  hash: Hash;
  length: number;
}

export interface Transfer {
  readonly partial: Partial;
  readonly task: Task;
  readonly reporter: Reporter;
  readonly options: TransferOptions;
}

export async function emptyPartial(partial: Partial): Promise<void> {
  await partial.handle.truncate(0);
  partial.hash = createHash('sha256');
  partial.length = 0;
}

async function startAgain({ partial, options }: Transfer): Promise<void> {
  if (partial.length === 0) return;
  options.onRestart?.();
  await emptyPartial(partial);
}

async function append(bytes: Buffer, { partial, task, options }: Transfer): Promise<void> {
  await partial.handle.appendFile(bytes);
  partial.hash.update(bytes);
  partial.length += bytes.length;
  task.update(partial.length);
  options.onAvailable?.({ path: partial.path, bytes: partial.length });
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
      for await (const bytes of parallelBytes(feed, entry, request)) await append(bytes, transfer);
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

/** Fills the partial file and checks it. What an earlier run left may be damaged: then all of it is fetched again. */
async function completeFrom(feed: Feed, entry: BundleEntry, transfer: Transfer): Promise<void> {
  const { partial } = transfer;
  const isResumed = partial.length > 0;
  await fill(feed, entry, transfer);
  let digest = partial.hash.digest('hex');
  if (digest !== entry.sha256 && isResumed) {
    await startAgain(transfer);
    await fill(feed, entry, transfer);
    digest = partial.hash.digest('hex');
  }
  if (digest === entry.sha256) return;
  throw corruptBundle(feed, entry, `its SHA-256 is ${digest}, the index says ${entry.sha256}`);
}

/** Whether another place with the same files may do better. */
function isOfThisPlace(error: unknown): error is TreesError {
  return error instanceof TreesError && (error.code === 'FEED_UNREACHABLE' || error.code === 'BUNDLE_CORRUPT');
}

/**
 * Completes a partial download from the feed, or from the first of its mirrors that can. What is whole is synced.
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
