import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { reasonOf, TreesError } from '../errors.js';
import { syncDirectory } from '../store/files.js';
import { type Feed, feedFile } from './feed.js';
import { removeTemporaries, writeFileAtomic } from './files.js';
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

interface ReadOptions {
  readonly signal?: AbortSignal | undefined;
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
  const opened = await feed.open(file, { signal: options.signal });
  if (opened === undefined) return undefined;
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
  return Buffer.concat(chunks);
}

async function readSignature(feed: Feed, options: ReadOptions): Promise<string | undefined> {
  const bytes = await readFeedFile(feed, feedFile.signature, { ...options, limit: indexLimits.signatureBytes });
  return bytes?.toString('utf8');
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

/**
 * Reads a feed's index with the signature that belongs to it.
 * @param accept verifies the pair; its SIGNATURE_INVALID means "not a pair" and leads to another attempt
 * @returns what `accept` returns; undefined if the feed has no index
 * @throws what `accept` throws; TreesError FEED_UNREACHABLE
 */
export async function readIndexPair<T>(
  feed: Feed,
  accept: (input: IndexInput) => T,
  options: ReadOptions = {},
): Promise<T | undefined> {
  const limit = indexLimits.bytes;
  for (let attempt = 1; ; attempt += 1) {
    const signature = await readSignature(feed, options);
    const index = await readFeedFile(feed, feedFile.index, { ...options, limit });
    if (index === undefined && signature === undefined) return undefined;
    const first = index === undefined ? undefined : tryPair(accept, { index, signature });
    if (first?.accepted === true) return first.value;
    const next = await readFeedFile(feed, feedFile.next, { ...options, limit });
    const second = next === undefined ? undefined : tryPair(accept, { index: next, signature });
    if (second?.accepted === true) return second.value;
    const mismatch = first ?? second;
    if (mismatch === undefined) return undefined;
    if (attempt === ATTEMPTS) throw mismatch.error;
    await sleep(
      FIRST_PAUSE * 2 ** (attempt - 1),
      undefined,
      options.signal === undefined ? {} : { signal: options.signal },
    );
  }
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
