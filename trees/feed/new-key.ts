import { TreesError } from '../errors.js';
import type { Reporter } from '../reporter.js';
import type { Feed } from './feed.js';
import type { ReadOptions } from './index-pair.js';
import { fingerprint, type PublicKey } from './minisign.js';
import type { KnownFeed } from './records.js';
import { isSameKey, predecessorsOf, readSuccessors, type Succession } from './succession.js';
import type { VerifiedIndex } from './verify-index.js';

/** The feed as it is to be known from now on: the newest key in the place of those that it has succeeded. */
export function succeed(feed: KnownFeed, succession: readonly Succession[], reporter: Reporter | undefined): KnownFeed {
  const last = succession.at(-1);
  if (last === undefined) return feed;
  const { to } = last;
  const former = succession.map(({ from }) => from);
  const isFormer = (key: PublicKey): boolean => former.some((old) => isSameKey(old, key));
  reporter?.warn(
    `feed ${feed.name} has a new key: ${former.map(({ id }) => id).join(', ')} named ${to.id} (${fingerprint(to)}) its ` +
      'successor, which is trusted from now on in its place',
  );
  const keys = [...feed.keys.filter((key) => !isFormer(key) && !isSameKey(key, to)), to];
  const known = (feed.former ?? []).filter((key) => !isFormer(key));
  return { ...feed, keys, former: [...known, ...former] };
}

/** The statements of the first of a feed's places that can be read. */
export async function readAnySuccessors(feed: Feed, options: ReadOptions): ReturnType<typeof readSuccessors> {
  const places = [feed, ...(feed.mirrors ?? [])];
  for (const [position, place] of places.entries()) {
    try {
      return await readSuccessors(place, options);
    } catch (error) {
      options.signal?.throwIfAborted();
      if (!(error instanceof TreesError) || position === places.length - 1) throw error;
    }
  }
  return undefined;
}

/** Who trusts only a feed's present key still meets commits that the keys before it have signed. */
export async function withFormerKeys(
  source: Feed,
  feed: KnownFeed,
  { index, signedBy, ...options }: Pick<VerifiedIndex, 'index' | 'signedBy'> & ReadOptions,
): Promise<KnownFeed> {
  const published = await readAnySuccessors(source, options);
  const before = predecessorsOf(published?.successions ?? [], { key: signedBy, feed: index.feed });
  return { ...feed, former: before.filter((key) => !feed.keys.some((known) => isSameKey(known, key))) };
}
