import { createHash } from 'node:crypto';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno, TreesError } from '../errors.js';
import { type Reporter, silentReporter } from '../reporter.js';
import { syncDirectory } from '../store/files.js';
import type { Feed } from './feed.js';
import { type Available, completePartial, emptyPartial, hashFile, type Partial } from './partial.js';
import type { BundleEntry } from './schema.js';

export interface FetchOptions {
  signal?: AbortSignal | undefined;
  reporter?: Reporter | undefined;
  /**
   * Called whenever the first `bytes` bytes of the file at `path` are on disk, unverified. The file is renamed when it
   * is whole and verified; a descriptor opened before stays valid.
   */
  onAvailable?: ((download: Available) => void) | undefined;
  /** Called before the download starts again at byte 0: nothing that was available is any more. */
  onRestart?: (() => void) | undefined;
  /**
   * For who reads the file while it grows, uses it at once and deletes it: asked when all bytes are there, says whether
   * their SHA-256 was found right. Then they are not hashed here; if not they are, and fetched again as without it. The
   * file is not synced: what a power cut leaves of it is checked before it is used.
   */
  isVerified?: (() => Promise<boolean>) | undefined;
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

async function isWhole(path: string, entry: BundleEntry, signal: AbortSignal | undefined): Promise<boolean> {
  if ((await sizeOf(path)) !== entry.size) return false;
  const hash = createHash('sha256');
  await hashFile(path, hash, signal);
  return hash.digest('hex') === entry.sha256;
}

async function openPartial(path: string, entry: BundleEntry, { signal, isVerified }: FetchOptions): Promise<Partial> {
  const handle = await open(path, 'a', 0o600);
  try {
    const hash = isVerified === undefined ? createHash('sha256') : undefined;
    const partial: Partial = { path, handle, hash, length: (await handle.stat()).size };
    if (partial.length > entry.size) await emptyPartial(partial);
    else if (hash !== undefined) await hashFile(path, hash, signal);
    return partial;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

function noSpace(path: string, entry: BundleEntry, cause: unknown): TreesError {
  const why = `no space left for its ${entry.size} bytes in ${path}`;
  return new TreesError('NO_SPACE', `cannot download ${entry.file}: ${why}`, {
    hint: '`trees gc` deletes what no installed app needs',
    cause,
  });
}

/** Says what is kept of a download that could not be finished. */
function withKept(error: TreesError, entry: BundleEntry, kept: number): TreesError {
  return new TreesError(error.code, error.message, {
    hint: `${error.hint ?? 'try again'}; ${kept} of ${entry.size} bytes of ${entry.file} are kept`,
    cause: error,
    details: { ...error.details, kept },
  });
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
  if (await isWhole(path, entry, signal)) {
    reporter.debug(`using ${entry.file}, which was downloaded before`);
    options.onAvailable?.({ path, bytes: entry.size });
    return path;
  }
  await mkdir(downloadsDir, { recursive: true, mode: 0o700 });
  using task = reporter.task(`fetching ${entry.file}`, { total: entry.size, unit: 'bytes' });
  let kept = 0;
  try {
    const partial = await openPartial(partialPath, entry, options);
    try {
      task.update(partial.length);
      if (partial.length > 0) options.onAvailable?.({ path: partialPath, bytes: partial.length });
      await completePartial(feed, entry, { partial, task, reporter, options });
    } finally {
      kept = partial.length;
      await partial.handle.close();
    }
    await rename(partialPath, path);
    if (options.isVerified === undefined) await syncDirectory(downloadsDir);
  } catch (error) {
    if (kept === 0) await rm(partialPath, { force: true });
    if (isErrno(error, 'ENOSPC', 'EDQUOT')) throw noSpace(downloadsDir, entry, error);
    throw error instanceof TreesError && kept > 0 ? withKept(error, entry, kept) : error;
  }
  task.done(`fetched ${entry.file}`);
  return path;
}
