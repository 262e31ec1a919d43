import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isErrno, TreesError } from '../errors.js';
import { type Reporter, silentReporter, type Task } from '../reporter.js';
import { syncDirectory } from '../store/files.js';
import { BrokenTransfer, bundleBytes, ChangedFile, corruptBundle } from './bundle-bytes.js';
import type { Feed } from './feed.js';
import type { BundleEntry } from './schema.js';

export interface FetchOptions {
  signal?: AbortSignal | undefined;
  reporter?: Reporter | undefined;
  /**
   * Called whenever the first `bytes` bytes of the file at `path` are on disk, unverified. The file is renamed when it
   * is whole and verified; a descriptor opened before stays valid.
   */
  onAvailable?: ((download: { readonly path: string; readonly bytes: number }) => void) | undefined;
  /** Called before the download starts again at byte 0: nothing that was available is any more. */
  onRestart?: (() => void) | undefined;
}

/** Failures in a row, without a byte in between, after which a broken connection is given up. */
const ATTEMPTS = 4;
/** Milliseconds before the second attempt; doubled for each further one. */
const FIRST_PAUSE = 250;

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

async function hashFile(path: string, hash: Hash, signal: AbortSignal | undefined): Promise<void> {
  for await (const chunk of createReadStream(path, signal === undefined ? {} : { signal })) hash.update(chunk);
}

async function isVerified(path: string, entry: BundleEntry, signal: AbortSignal | undefined): Promise<boolean> {
  if ((await sizeOf(path)) !== entry.size) return false;
  const hash = createHash('sha256');
  await hashFile(path, hash, signal);
  return hash.digest('hex') === entry.sha256;
}

/** A partial download: the file and the digest of what is in it. */
interface Partial {
  readonly handle: FileHandle;
  hash: Hash;
  length: number;
}

interface Transfer {
  readonly partial: Partial;
  readonly task: Task;
  readonly options: FetchOptions;
  /** Path of the partial file. */
  readonly path: string;
  /** See `BundleBytesOptions`; undefined once the feed's names for versions turned out not to be reliable. */
  validators: Map<string, string> | undefined;
}

async function restart(partial: Partial): Promise<void> {
  await partial.handle.truncate(0);
  partial.hash = createHash('sha256');
  partial.length = 0;
}

async function startAgain({ partial, options }: Transfer): Promise<void> {
  options.onRestart?.();
  await restart(partial);
}

/** How a transfer ended: all there, the feed had no more, the connection broke, or the file has been replaced. */
type Outcome = 'complete' | 'short' | 'changed' | BrokenTransfer;

/** Appends what the feed sends. */
async function appendStream(feed: Feed, entry: BundleEntry, transfer: Transfer): Promise<Outcome> {
  const { partial, task, options, path, validators } = transfer;
  const request = { offset: partial.length, signal: options.signal, ...(validators && { validators }) };
  try {
    for await (const bytes of bundleBytes(feed, entry, request)) {
      await partial.handle.appendFile(bytes);
      partial.hash.update(bytes);
      partial.length += bytes.length;
      task.update(partial.length);
      options.onAvailable?.({ path, bytes: partial.length });
    }
  } catch (error) {
    options.signal?.throwIfAborted();
    if (error instanceof ChangedFile) return 'changed';
    if (error instanceof BrokenTransfer) return error;
    throw error;
  }
  return partial.length === entry.size ? 'complete' : 'short';
}

async function fill(feed: Feed, entry: BundleEntry, transfer: Transfer): Promise<void> {
  const { partial } = transfer;
  const { signal } = transfer.options;
  for (let failures = 0; ; ) {
    const before = partial.length;
    const outcome = await appendStream(feed, entry, transfer);
    if (outcome === 'complete') return;
    if (outcome === 'changed') {
      // Once is a replaced file. Servers that name the same file differently each time must not keep us here for ever.
      transfer.validators = undefined;
      await startAgain(transfer);
      continue;
    }
    // As long as something arrives the link works, however badly.
    if (partial.length > before) failures = 0;
    else if (outcome === 'short') throw corruptBundle(feed, entry, `it ends after ${before} of ${entry.size} bytes`);
    if (outcome === 'short') continue;
    failures += 1;
    if (failures === ATTEMPTS) {
      throw new TreesError('FEED_UNREACHABLE', `cannot fetch bundle ${entry.file} of ${feed.url}: ${outcome.message}`, {
        hint: `${before} of ${entry.size} bytes are kept; running the command again goes on from there`,
        cause: outcome,
      });
    }
    await sleep(FIRST_PAUSE * 2 ** (failures - 1), undefined, signal === undefined ? {} : { signal });
  }
}

/** Fills the partial file and checks it. What an earlier run left may be damaged: then all of it is fetched again. */
async function complete(feed: Feed, entry: BundleEntry, transfer: Transfer): Promise<void> {
  const { partial } = transfer;
  const resumed = partial.length > 0;
  if (partial.length < entry.size) await fill(feed, entry, transfer);
  let digest = partial.hash.digest('hex');
  if (digest !== entry.sha256 && resumed) {
    await startAgain(transfer);
    await fill(feed, entry, transfer);
    digest = partial.hash.digest('hex');
  }
  if (digest !== entry.sha256)
    throw corruptBundle(feed, entry, `its SHA-256 is ${digest}, the index says ${entry.sha256}`);
  await partial.handle.sync();
}

async function openPartial(path: string, entry: BundleEntry, signal: AbortSignal | undefined): Promise<Partial> {
  const handle = await open(path, 'a', 0o600);
  try {
    const partial: Partial = { handle, hash: createHash('sha256'), length: (await handle.stat()).size };
    if (partial.length > entry.size) await restart(partial);
    else await hashFile(path, partial.hash, signal);
    return partial;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

function noSpace(path: string, entry: BundleEntry, cause: unknown): TreesError {
  return new TreesError(
    'NO_SPACE',
    `cannot download ${entry.file}: no space left for its ${entry.size} bytes in ${path}`,
    {
      hint: '`trees gc` deletes what no installed app needs',
      cause,
    },
  );
}

/**
 * Fetches a bundle into `downloadsDir` and checks size and SHA-256 while it streams. A verified file that is there
 * already is used; a partial one is resumed. Two callers that want the same bundle must hold the store's lock.
 * @returns path of the verified file, `<sha256>` in `downloadsDir`
 * @throws TreesError FEED_UNREACHABLE, BUNDLE_CORRUPT, NO_SPACE; the signal's reason when it is aborted
 */
export async function fetchBundle(
  feed: Feed,
  entry: BundleEntry,
  downloadsDir: string,
  options: FetchOptions = {},
): Promise<string> {
  const { signal, reporter = silentReporter } = options;
  const path = join(downloadsDir, entry.sha256);
  const partialPath = `${path}.partial`;
  if (await isVerified(path, entry, signal)) {
    reporter.debug(`using ${entry.file}, which was downloaded before`);
    options.onAvailable?.({ path, bytes: entry.size });
    return path;
  }
  await mkdir(downloadsDir, { recursive: true, mode: 0o700 });
  using task = reporter.task(`fetching ${entry.file}`, { total: entry.size, unit: 'bytes' });
  try {
    const partial = await openPartial(partialPath, entry, signal);
    try {
      if (partial.length > 0) options.onAvailable?.({ path: partialPath, bytes: partial.length });
      const transfer = { partial, task, options, path: partialPath, validators: new Map<string, string>() };
      await complete(feed, entry, transfer);
    } finally {
      await partial.handle.close();
    }
    await rename(partialPath, path);
    await syncDirectory(downloadsDir);
  } catch (error) {
    // What is wrong must not be resumed; what is merely incomplete is kept.
    if (error instanceof TreesError && error.code === 'BUNDLE_CORRUPT') await rm(partialPath, { force: true });
    if (isErrno(error, 'ENOSPC', 'EDQUOT')) throw noSpace(downloadsDir, entry, error);
    throw error;
  }
  task.done(`fetched ${entry.file}`);
  return path;
}
