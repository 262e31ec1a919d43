import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, copyFile, mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod/mini';
import { $ZodError } from 'zod/v4/core';
import { isErrno, TreesError } from '../errors.js';
import { type Reporter, silentReporter } from '../reporter.js';
import { syncDirectory } from '../store/files.js';
import { acquireLock } from '../store/locks.js';
import { directoryFeed } from './directory.js';
import { fetchBundle } from './download.js';
import { type Feed, feedFile } from './feed.js';
import { type FetchedIndex, fetchIndex, readTrustedIndex } from './fetch-index.js';
import { removeTemporaries, writeFileAtomic } from './files.js';
import { readFeedFile, writeIndexPair } from './index-pair.js';
import { formatPublicKey, type PublicKey } from './minisign.js';
import { readAnySuccessors } from './new-key.js';
import { type BundleEntry, type FeedIndex, indexLimits } from './schema.js';

/** Where files are put together before readers can need them. Kept while a copy is unfinished. */
const INCOMING = '.trees-mirror';
/** Which files of the directory are ours: nothing else is ever deleted. */
const RECORD = '.trees-mirror.json';
/** The same as a publisher's: a directory has one writer, whoever it is. */
const LOCK = '.trees-publish.lock';
/** Small bundles cost a round trip each; more connections than this help nobody but the server's rate limit. */
const AT_ONCE = 3;
/** Anybody may read what a web server serves. */
const MODE = 0o644;

const recordSchema = z.object({ files: z.array(z.string()) });

export interface MirrorOptions {
  /** Keys, one of which has to have signed the feed. */
  readonly keys: readonly PublicKey[];
  readonly now: Date;
  /** Seconds to wait for another writer of the directory. */
  readonly lockTimeout: number;
  readonly allowStale?: boolean | undefined;
  /** Read every file that is there already, too, and fetch it again if it is damaged. */
  readonly check?: boolean | undefined;
  readonly dryRun?: boolean | undefined;
  readonly reporter?: Reporter | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface MirroredFile {
  readonly file: string;
  /** Bytes. */
  readonly size: number;
}

export interface MirrorResult {
  readonly index: FeedIndex;
  readonly signedBy: PublicKey;
  /** Sequence of the index that was there before; null if there was none. */
  readonly before: number | null;
  /** Files that were fetched; with `dryRun` those that would be. */
  readonly copied: readonly MirroredFile[];
  /** Files that were there already. */
  readonly kept: readonly MirroredFile[];
  /** Files that neither this index nor the one before names. */
  readonly pruned: readonly string[];
}

/** One file of a feed as something to fetch. */
type File = BundleEntry;

/** The files that an index names, each once: a bundle in pieces is one file for each. */
function filesOf(index: FeedIndex | undefined, origin: string): Map<string, File> {
  const files = new Map<string, File>();
  for (const { pieces, ...bundle } of index?.bundles ?? []) {
    for (const { file, size, sha256 } of pieces ?? [bundle]) {
      const known = files.get(file);
      // A feed that keeps files per release may use a name twice; a directory cannot.
      if (known !== undefined && known.sha256 !== sha256) {
        throw new TreesError('UNSUPPORTED', `cannot mirror ${origin}: two of its releases have a file ${file}`, {
          hint: 'add this feed itself; only its publisher can give the files other names',
          details: { file },
        });
      }
      files.set(file, { ...bundle, file, size, sha256 });
    }
  }
  return files;
}

async function hasDigest(path: string, sha256: string, signal: AbortSignal | undefined): Promise<boolean> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, signal === undefined ? {} : { signal })) hash.update(chunk);
  return hash.digest('hex') === sha256;
}

interface Here {
  readonly directory: string;
  /** What its index says of its files: those were checked when they came. */
  readonly files: ReadonlyMap<string, File>;
}

async function isHere(file: File, { directory, files }: Here, options: MirrorOptions): Promise<boolean> {
  const path = join(directory, file.file);
  const found = await stat(path).catch(() => undefined);
  if (found?.isFile() !== true || found.size !== file.size) return false;
  if (options.check !== true && files.get(file.file)?.sha256 === file.sha256) return true;
  return await hasDigest(path, file.sha256, options.signal);
}

/** The index that the directory has, if any. It has to be one of the same feed: what is there is not replaced by another. */
async function readMirrored(
  directory: string,
  { keys, now, signal }: MirrorOptions,
): Promise<FetchedIndex | undefined> {
  try {
    const request = { keys, seen: undefined, now, allowStale: true, signal };
    const found = await readTrustedIndex(directoryFeed(directory), request);
    return found === 'unchanged' ? undefined : found;
  } catch (error) {
    if (!(error instanceof TreesError)) throw error;
    if (error.code === 'FEED_UNREACHABLE' && isErrno(error.cause, 'ENOENT')) return undefined;
    throw new TreesError(error.code, `cannot mirror to ${directory}: ${error.message}`, {
      hint: 'it holds another feed or a damaged one: choose another directory, or empty this one',
      cause: error,
    });
  }
}

async function readRecord(directory: string): Promise<Set<string>> {
  try {
    const { files } = z.parse(recordSchema, JSON.parse(await readFile(join(directory, RECORD), 'utf8')));
    return new Set(files.filter((file) => !file.includes('/')));
  } catch (error) {
    // Without it nothing is known to be ours, so that nothing of before is deleted.
    if (isErrno(error, 'ENOENT') || error instanceof SyntaxError || error instanceof $ZodError) return new Set();
    throw error;
  }
}

async function writeRecord(directory: string, files: Iterable<string>): Promise<void> {
  const text = `${JSON.stringify({ files: [...new Set(files)].toSorted() }, undefined, 1)}\n`;
  await writeFileAtomic(join(directory, RECORD), text);
}

async function fetchAll(source: Feed, files: readonly File[], incoming: string, options: MirrorOptions): Promise<void> {
  const { reporter, signal } = options;
  const stop = new AbortController();
  const both = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
  // Two files of one digest are fetched once, under its name.
  const queue = [...new Map(files.map((file) => [file.sha256, file])).values()];
  const run = async (): Promise<void> => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      const path = await fetchBundle(source, file, incoming, { reporter, signal: both });
      await chmod(path, MODE);
    }
  };
  const runs = Array.from({ length: AT_ONCE }, async () => {
    try {
      await run();
    } catch (error) {
      // The first failure is the one to tell; the others need not go on.
      queue.length = 0;
      stop.abort(error);
      throw error;
    }
  });
  const results = await Promise.allSettled(runs);
  signal?.throwIfAborted();
  if (stop.signal.aborted) throw stop.signal.reason;
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

interface Planned {
  readonly fetched: FetchedIndex;
  readonly before: FetchedIndex | undefined;
  /** `successors.json`, if the feed has one. */
  readonly successors: Uint8Array | undefined;
  readonly wanted: ReadonlyMap<string, File>;
  readonly missing: readonly File[];
  readonly kept: readonly File[];
}

async function planMirror(source: Feed, directory: string, options: MirrorOptions): Promise<Planned> {
  const before = await readMirrored(directory, options);
  const { keys, now, allowStale, signal, reporter } = options;
  const request = { keys, seen: before?.seen, now, allowStale, signal, reporter };
  const fetched = await fetchIndex(source, request);
  if (fetched === 'unchanged') throw new Error('unchanged, although nothing was known');
  const wanted = filesOf(fetched.index, source.url);
  const here: Here = { directory, files: filesOf(before?.index, directory) };
  const missing: File[] = [];
  const kept: File[] = [];
  for (const file of wanted.values()) ((await isHere(file, here, options)) ? kept : missing).push(file);
  const successors = await readAnySuccessors(source, { signal, reporter });
  return { fetched, before, successors: successors?.bytes, wanted, missing, kept };
}

/** Puts the fetched files where the index names them, then the index: readers see the old feed or the new one. */
async function switchMirror(directory: string, planned: Planned, ours: ReadonlySet<string>): Promise<void> {
  const { fetched, before, missing } = planned;
  const incoming = join(directory, INCOMING);
  await writeRecord(directory, [...ours, ...missing.map(({ file }) => file)]);
  const last = new Map(missing.map((file) => [file.sha256, file.file]));
  for (const { file, sha256 } of missing) {
    const path = join(incoming, sha256);
    if (last.get(sha256) === file) await rename(path, join(directory, file));
    else await copyFile(path, join(directory, file));
  }
  await writeFileAtomic(join(directory, feedFile.publicKey), formatPublicKey(fetched.signedBy));
  if (planned.successors !== undefined) {
    await writeFileAtomic(join(directory, feedFile.successors), planned.successors);
  }
  // The names must be on disk before an index names them.
  await syncDirectory(directory);
  const { index, signature = '' } = fetched.input;
  const isSame = before?.seen.sha256 === fetched.seen.sha256 && before.input.signature === signature;
  if (!isSame || (await hasNext(directory))) await writeIndexPair(directory, { index, signature });
  else await removeTemporaries(directory);
}

/** Whether somebody was killed between the two renames of `writeIndexPair`. */
async function hasNext(directory: string): Promise<boolean> {
  const next = await readFeedFile(directoryFeed(directory), feedFile.next, { limit: indexLimits.bytes });
  return next !== undefined;
}

/** Deletes those of our files that nobody can want: who has read the index before may still be fetching what it names. */
async function prune(directory: string, planned: Planned, options: { dryRun: boolean }): Promise<string[]> {
  const { fetched, before, wanted } = planned;
  const ours = await readRecord(directory);
  // Until the index changes, the one before it goes on being the one before.
  if (before?.seen.sha256 === fetched.seen.sha256) return [];
  const named = new Set([...wanted.keys(), ...filesOf(before?.index, directory).keys()]);
  const present = new Set(await readdir(directory).catch(() => []));
  const stale = [...ours].filter((file) => !named.has(file) && present.has(file));
  if (options.dryRun) return stale;
  for (const file of stale) await rm(join(directory, file), { force: true });
  await writeRecord(
    directory,
    [...ours].filter((file) => named.has(file)),
  );
  return stale;
}

function toResult({ fetched, before, missing, kept }: Planned, pruned: readonly string[]): MirrorResult {
  const brief = ({ file, size }: File): MirroredFile => ({ file, size });
  const { index, signedBy } = fetched;
  return {
    index,
    signedBy,
    before: before?.index.sequence ?? null,
    copied: missing.map(brief),
    kept: kept.map(brief),
    pruned,
  };
}

/**
 * Copies a feed, whole, to a directory that any web server can serve. What is there already is kept; every file is
 * checked against the digest in the signed index while it comes; readers see the old index or the new one with all that
 * it names. An interrupted copy goes on where it stopped. One writer at a time.
 * @param directory made if need be; may have other files, which are left alone
 * @throws TreesError LOCKED, NO_SPACE, BUNDLE_CORRUPT, FEED_UNREACHABLE, UNSUPPORTED; INDEX_REPLAYED if the directory has
 *   a newer index or another feed; as `verifyIndex`
 */
export async function mirrorFeed(source: Feed, directory: string, options: MirrorOptions): Promise<MirrorResult> {
  const { reporter = silentReporter, signal, lockTimeout } = options;
  if (options.dryRun === true) {
    const planned = await planMirror(source, directory, options);
    return toResult(planned, await prune(directory, planned, { dryRun: true }));
  }
  try {
    await mkdir(directory, { recursive: true });
  } catch (error) {
    if (!isErrno(error, 'EEXIST', 'ENOTDIR', 'EACCES', 'EROFS')) throw error;
    throw new TreesError('PATH_CONFLICT', `cannot mirror to ${directory}: it is no directory to write to`, {
      hint: 'choose another one',
      cause: error,
    });
  }
  const what = `the directory ${directory}`;
  const command = 'mirror a feed';
  const path = join(directory, LOCK);
  using _lock = await acquireLock(path, 'exclusive', { what, command, timeout: lockTimeout, signal, reporter });
  const planned = await planMirror(source, directory, options);
  const incoming = join(directory, INCOMING);
  await fetchAll(source, planned.missing, incoming, options);
  const ours = await readRecord(directory);
  await switchMirror(directory, planned, ours);
  await rm(incoming, { recursive: true, force: true });
  return toResult(planned, await prune(directory, planned, { dryRun: false }));
}
