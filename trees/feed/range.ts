import { TreesError } from '../errors.js';
import { bundleBytes, ChangedFile, corruptBundle } from './bundle-bytes.js';
import type { Feed } from './feed.js';
import { createRetries } from './retry.js';
import type { BundleEntry } from './schema.js';

export interface RangeOptions {
  /** First byte of the bundle. */
  readonly offset: number;
  /** Bytes; `offset + length` must not be over the bundle's size. Held in memory. */
  readonly length: number;
  readonly signal?: AbortSignal | undefined;
}

async function readFrom(feed: Feed, entry: BundleEntry, { offset, length, signal }: RangeOptions): Promise<Buffer> {
  const result = Buffer.alloc(length);
  const validators = new Map<string, string>();
  const retries = createRetries({ policy: feed.retries, signal });
  let filled = 0;
  while (filled < length) {
    const before = filled;
    try {
      const request = { offset: offset + filled, end: offset + length, signal, validators };
      for await (const bytes of bundleBytes(feed, entry, request)) filled += bytes.copy(result, filled);
      if (filled === before) throw corruptBundle(feed, entry, `it ends after ${offset + filled} bytes`);
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof ChangedFile) throw corruptBundle(feed, entry, 'it is being replaced');
      if (filled > before) retries.progress();
      await retries.failed(error);
    }
  }
  return result;
}

/**
 * Reads exactly these bytes of a bundle, wherever they are among its pieces. They are **not** verified: only the whole
 * bundle has a digest. Whoever uses them must check what comes out of them.
 * @throws TreesError FEED_UNREACHABLE, BUNDLE_CORRUPT if the bundle is shorter; the signal's reason when it is aborted
 */
export async function readRange(feed: Feed, entry: BundleEntry, options: RangeOptions): Promise<Buffer> {
  const { offset, length } = options;
  if (offset < 0 || length < 0 || offset + length > entry.size) {
    throw new RangeError(`Expected a range within ${entry.size} bytes, got ${length} from ${offset}`);
  }
  let first: unknown;
  for (const place of [feed, ...(feed.mirrors ?? [])]) {
    try {
      return await readFrom(place, entry, options);
    } catch (error) {
      options.signal?.throwIfAborted();
      if (!(error instanceof TreesError)) throw error;
      first ??= error;
    }
  }
  throw first;
}
