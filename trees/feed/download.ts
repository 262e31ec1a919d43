import type { Reporter } from '../reporter.js';
import type { Feed } from './feed.js';
import type { BundleEntry } from './schema.js';

/**
 * Fetches a bundle into `downloadsDir` and checks size and SHA-256 while it streams. A verified file that is there
 * already is used; a partial one is resumed.
 * @returns path of the verified file, `<sha256>` in `downloadsDir`
 * @throws TreesError FEED_UNREACHABLE, BUNDLE_CORRUPT, NO_SPACE, CANCELLED
 */
export declare function fetchBundle(
  feed: Feed,
  entry: BundleEntry,
  downloadsDir: string,
  options?: { signal?: AbortSignal | undefined; reporter?: Reporter | undefined },
): Promise<string>;
