import { isErrno, TreesError } from '../trees/errors.js';
import type { Feed } from '../trees/feed/feed.js';
import { readIndexPair } from '../trees/feed/index-pair.js';
import type { PublicKey } from '../trees/feed/minisign.js';
import { type IndexInput, type VerifiedIndex, verifyIndex } from '../trees/feed/verify-index.js';

/** What a feed offers now, and the bytes that say so. */
export interface Published extends VerifiedIndex {
  readonly input: IndexInput;
}

/**
 * The index that a feed has; undefined if it has none.
 * @param key the publisher's
 * @throws TreesError FEED_UNTRUSTED if another key signed it: then this is somebody else's feed; as `verifyIndex`
 */
export async function readPublished(
  feed: Feed,
  key: PublicKey,
  options: { now: Date; signal?: AbortSignal | undefined },
): Promise<Published | undefined> {
  const { now, signal } = options;
  const verification = { keys: [key], seen: undefined, now, allowStale: true, origin: feed.url };
  const accept = (input: IndexInput): Published => ({ ...verifyIndex(input, verification), input });
  try {
    return await readIndexPair(feed, accept, { signal });
  } catch (error) {
    if (!(error instanceof TreesError)) throw error;
    // A directory that is not there yet is one to create.
    if (error.code === 'FEED_UNREACHABLE' && isErrno(error.cause, 'ENOENT')) return undefined;
    if (error.code !== 'FEED_UNTRUSTED') throw error;
    throw new TreesError('FEED_UNTRUSTED', `cannot publish to ${feed.url}: ${error.message}`, {
      hint: 'publish with the key that the feed has, or to another place',
      cause: error,
      ...(error.details === undefined ? {} : { details: error.details }),
    });
  }
}
