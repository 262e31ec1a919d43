import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { reasonOf, TreesError } from '../errors.js';
import type { Reporter } from '../reporter.js';
import { syncDirectory } from '../store/files.js';
import { type Feed, feedFile } from './feed.js';
import { removeTemporaries, writeFileAtomic } from './files.js';
import { createRetries } from './retry.js';
import { indexLimits } from './schema.js';
import type { IndexInput } from './verify-index.js';

/**
 * `index.json` and its signature are two files, and readers must never be stuck with one of each.
 *
 * The writer (1) writes `index.json.next`, (2) renames the new signature into place, (3) renames `index.json.next` to
 * `index.json`. So at every instant, a crash included, the signature belongs to `index.json` or to `index.json.next`.
 * The reader takes the signature first, then the index; if they do not match it tries `index.json.next`, and if that
 * does not match either the writer went on meanwhile, and it starts again.
 */

const ATTEMPTS = 3;
/** Milliseconds before the second attempt; doubled for each further one. */
const FIRST_PAUSE = 100;

export interface ReadOptions {
  readonly signal?: AbortSignal | undefined;
  readonly reporter?: Reporter | undefined;
}

/**
 * Reads one of a feed's small files whole.
 * @param limit bytes; a longer file is refused while it streams
 * @returns undefined if the feed has no such file
 * @throws TreesError FEED_UNREACHABLE, INDEX_INVALID if it is longer than `limit`
 */
export async function readFeedFile(
  feed: Feed,
  file: string,
  options: ReadOptions & { limit: number },
): Promise<Buffer | undefined> {
  const found = await readIfChanged(feed, file, options);
  return found?.bytes;
}

/** A small file as it was read, and its name for this version, if the feed has one. */
export interface SmallFile {
  /** Undefined if it still is what `unless` named. */
  readonly bytes: Buffer | undefined;
  readonly validator: string | undefined;
}

/** As `readFeedFile`, but does not read what is known already. Failures that may pass are met with patience. */
export async function readIfChanged(
  feed: Feed,
  file: string,
  options: ReadOptions & { limit: number; unless?: string | undefined },
): Promise<SmallFile | undefined> {
  const { signal, reporter } = options;
  const retries = createRetries({ policy: feed.retries, signal, reporter });
  for (;;) {
    try {
      return await readOnce(feed, file, options);
    } catch (error) {
      await retries.failed(error);
    }
  }
}

async function readOnce(
  feed: Feed,
  file: string,
  options: ReadOptions & { limit: number; unless?: string | undefined },
): Promise<SmallFile | undefined> {
  const opened = await feed.open(file, { signal: options.signal, unless: options.unless });
  if (opened === undefined) return undefined;
  const { validator } = opened;
  if (opened.unchanged === true) return { bytes: undefined, validator: options.unless };
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of opened.stream) {
      const bytes = Buffer.from(chunk);
      length += bytes.length;
      if (length > options.limit) {
        throw new TreesError('INDEX_INVALID', `cannot read ${file} of ${feed.url}: it is over ${options.limit} bytes`, {
          hint: 'is this the right address?',
        });
      }
      chunks.push(bytes);
    }
  } catch (error) {
    options.signal?.throwIfAborted();
    if (error instanceof TreesError) throw error;
    const why = reasonOf(error);
    throw new TreesError('FEED_UNREACHABLE', `cannot read ${file} of ${feed.url}: ${why}`, {
      hint: 'try again; what is installed keeps working',
      cause: error,
    });
  }
  return { bytes: Buffer.concat(chunks), validator };
}

type Tried<T> =
  | { readonly accepted: true; readonly value: T }
  | { readonly accepted: false; readonly error: TreesError };

function tryPair<T>(accept: (input: IndexInput) => T, input: IndexInput): Tried<T> {
  try {
    return { accepted: true, value: accept(input) };
  } catch (error) {
    if (error instanceof TreesError && error.code === 'SIGNATURE_INVALID') return { accepted: false, error };
    throw error;
  }
}

export interface ReadPair<T> {
  readonly value: T;
  /** What the feed calls this version of the signature. */
  readonly validator: string | undefined;
}

/**
 * Reads a feed's index with the signature that belongs to it, unless the signature, and with it the index, is known.
 * @param accept verifies the pair; its SIGNATURE_INVALID means "not a pair" and leads to another attempt
 * @param options `unless` is the validator of the known signature
 * @returns what `accept` returns; undefined if the feed has no index
 * @throws what `accept` throws; TreesError FEED_UNREACHABLE
 */
export async function readIndexPairUnless<T>(
  feed: Feed,
  accept: (input: IndexInput) => T,
  options: ReadOptions & { unless?: string | undefined } = {},
): Promise<ReadPair<T> | 'unchanged' | undefined> {
  const { unless, ...reading } = options;
  for (let attempt = 1; ; attempt += 1) {
    const found = await readIfChanged(feed, feedFile.signature, {
      ...reading,
      limit: indexLimits.signatureBytes,
      unless: attempt === 1 ? unless : undefined,
    });
    if (found !== undefined && found.bytes === undefined) return 'unchanged';
    const tried = await readMatching(feed, accept, { ...reading, signature: found?.bytes?.toString('utf8') });
    if (tried === undefined) return undefined;
    if (tried.accepted) return { value: tried.value, validator: found?.validator };
    if (attempt === ATTEMPTS) throw tried.error;
    const pause = FIRST_PAUSE * 2 ** (attempt - 1);
    await sleep(pause, undefined, options.signal === undefined ? {} : { signal: options.signal });
  }
}

/** Tries `index.json`, then `index.json.next`. @returns undefined if there is nothing to try */
async function readMatching<T>(
  feed: Feed,
  accept: (input: IndexInput) => T,
  { signature, ...reading }: ReadOptions & { signature: string | undefined },
): Promise<Tried<T> | undefined> {
  const limit = indexLimits.bytes;
  const index = await readFeedFile(feed, feedFile.index, { ...reading, limit });
  if (index === undefined && signature === undefined) return undefined;
  const first = index === undefined ? undefined : tryPair(accept, { index, signature });
  if (first?.accepted === true) return first;
  const next = await readFeedFile(feed, feedFile.next, { ...reading, limit });
  const second = next === undefined ? undefined : tryPair(accept, { index: next, signature });
  return second?.accepted === true ? second : (first ?? second);
}

/** As `readIndexPairUnless`, of a feed of which nothing is known. */
export async function readIndexPair<T>(
  feed: Feed,
  accept: (input: IndexInput) => T,
  options: ReadOptions = {},
): Promise<T | undefined> {
  const found = await readIndexPairUnless(feed, accept, options);
  return found === 'unchanged' ? undefined : found?.value;
}

/** Writes a pair in the order above. One writer at a time: callers hold a lock. */
export async function writeIndexPair(
  directory: string,
  pair: { readonly index: Uint8Array; readonly signature: string },
): Promise<void> {
  await removeTemporaries(directory);
  const next = join(directory, feedFile.next);
  await writeFileAtomic(next, pair.index);
  await writeFileAtomic(join(directory, feedFile.signature), pair.signature);
  await rename(next, join(directory, feedFile.index));
  await syncDirectory(directory);
}
