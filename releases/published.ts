import { isErrno, TreesError } from '../trees/errors.js';
import type { Feed } from '../trees/feed/feed.js';
import { readIndexPair } from '../trees/feed/index-pair.js';
import type { PublicKey } from '../trees/feed/minisign.js';
import { isSameKey, parseSuccessors, predecessorsOf, readSuccessors } from '../trees/feed/succession.js';
import { type IndexInput, type VerifiedIndex, verifyIndex } from '../trees/feed/verify-index.js';

/** What a feed offers now, and the bytes that say so. */
export interface Published extends VerifiedIndex {
  readonly input: IndexInput;
  /** `successors.json` of the next index. */
  readonly successors: Uint8Array | undefined;
  /** Keys that the publisher's has succeeded. */
  readonly former: readonly PublicKey[];
}

export interface PublisherOptions {
  readonly now: Date;
  /** `successors.json` as it is to be published; default: what is published. */
  readonly successors?: Uint8Array | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The statements to publish: those that are, and those that are given; what was said once is not taken back. */
async function joinSuccessors(feed: Feed, given: Uint8Array | undefined, signal: AbortSignal | undefined) {
  const published = await readSuccessors(feed, { signal });
  if (given === undefined) return published;
  const successions = parseSuccessors(given, 'the file of --successors');
  const has = (statement: string): boolean => successions.some(({ signed }) => signed.statement === statement);
  const lost = published?.successions.find(({ signed }) => !has(signed.statement));
  if (lost === undefined) return { bytes: given, successions };
  const why = `the file of --successors leaves out that ${lost.to.id} has succeeded ${lost.from.id}`;
  throw new TreesError('RELEASE_FAILED', `cannot publish to ${feed.url}: ${why}`, {
    hint: 'make it again from what is published: trees key rotate',
  });
}

/**
 * The index that a feed has; undefined if it has none.
 * @param key the publisher's
 * @throws TreesError FEED_UNTRUSTED if another key signed it: then this is somebody else's feed; as `verifyIndex`
 */
export async function readPublished(
  feed: Feed,
  key: PublicKey,
  options: PublisherOptions,
): Promise<Published | undefined> {
  const { now, signal } = options;
  try {
    const successors = await joinSuccessors(feed, options.successors, signal);
    const { successions = [] } = successors ?? {};
    const formerOf = (id: string): readonly PublicKey[] => predecessorsOf(successions, { key, feed: id });
    const keys = [key, ...[...new Set(successions.map((one) => one.feed))].flatMap(formerOf)];
    const verification = { keys, seen: undefined, now, allowStale: true, origin: feed.url };
    const accept = (input: IndexInput): Published => {
      const verified = verifyIndex(input, verification);
      const former = formerOf(verified.index.feed);
      if ([key, ...former].some((known) => isSameKey(known, verified.signedBy))) {
        return { ...verified, input, successors: successors?.bytes, former };
      }
      throw new TreesError('FEED_UNTRUSTED', `key ${verified.signedBy.id} has named no successor for this feed`);
    };
    return await readIndexPair(feed, accept, { signal });
  } catch (error) {
    if (!(error instanceof TreesError)) throw error;
    // A directory that is not there yet is one to create.
    if (error.code === 'FEED_UNREACHABLE' && isErrno(error.cause, 'ENOENT')) return undefined;
    if (error.code !== 'FEED_UNTRUSTED') throw error;
    throw new TreesError('FEED_UNTRUSTED', `cannot publish to ${feed.url}: ${error.message}`, {
      hint: 'publish with the key that the feed has, or have that name the new one its successor: trees key rotate',
      cause: error,
      ...(error.details === undefined ? {} : { details: error.details }),
    });
  }
}
