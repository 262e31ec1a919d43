import { setTimeout as sleep } from 'node:timers/promises';
import { TreesError } from '../errors.js';
import { BrokenTransfer, bundleBytes, ChangedFile, corruptBundle } from './bundle-bytes.js';
import type { Feed } from './feed.js';
import type { BundleEntry } from './schema.js';

export interface RangeOptions {
  /** First byte of the bundle. */
  readonly offset: number;
  /** Bytes; `offset + length` must not be over the bundle's size. Held in memory. */
  readonly length: number;
  readonly signal?: AbortSignal | undefined;
}

/** Failures in a row, without a byte in between, after which a broken connection is given up. */
const ATTEMPTS = 4;
/** Milliseconds before the second attempt; doubled for each further one. */
const FIRST_PAUSE = 250;

/**
 * Reads exactly these bytes of a bundle, wherever they are among its pieces. They are **not** verified: only the whole
 * bundle has a digest. Whoever uses them must check what comes out of them.
 * @throws TreesError FEED_UNREACHABLE, BUNDLE_CORRUPT if the bundle is shorter; the signal's reason when it is aborted
 */
export async function readRange(feed: Feed, entry: BundleEntry, options: RangeOptions): Promise<Buffer> {
  const { offset, length, signal } = options;
  if (offset < 0 || length < 0 || offset + length > entry.size) {
    throw new RangeError(`Expected a range within ${entry.size} bytes, got ${length} from ${offset}`);
  }
  const result = Buffer.alloc(length);
  const validators = new Map<string, string>();
  let filled = 0;
  for (let failures = 0; filled < length; ) {
    const before = filled;
    let broken: BrokenTransfer | undefined;
    try {
      const request = { offset: offset + filled, end: offset + length, signal, validators };
      for await (const bytes of bundleBytes(feed, entry, request)) filled += bytes.copy(result, filled);
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof ChangedFile) throw corruptBundle(feed, entry, 'it is being replaced');
      if (!(error instanceof BrokenTransfer)) throw error;
      broken = error;
    }
    if (filled > before) failures = 0;
    else if (broken === undefined) throw corruptBundle(feed, entry, `it ends after ${offset + filled} bytes`);
    if (broken === undefined) continue;
    failures += 1;
    if (failures === ATTEMPTS) {
      throw new TreesError('FEED_UNREACHABLE', `cannot fetch bundle ${entry.file} of ${feed.url}: ${broken.message}`, {
        hint: 'try again; what is installed keeps working',
        cause: broken,
      });
    }
    await sleep(FIRST_PAUSE * 2 ** (failures - 1), undefined, signal === undefined ? {} : { signal });
  }
  return result;
}
