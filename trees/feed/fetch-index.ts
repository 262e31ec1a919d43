import { TreesError } from '../errors.js';
import type { Reporter } from '../reporter.js';
import { type Feed, feedFile } from './feed.js';
import { readIndexPairUnless } from './index-pair.js';
import type { PublicKey } from './minisign.js';
import { followSuccessions, isSameKey, readSuccessors, type Succession } from './succession.js';
import { type IndexInput, type SeenIndex, type VerifiedIndex, verifyIndex } from './verify-index.js';

/** What a place calls the version of the signature that is stored: asked with it, it need not send it again. */
export interface KnownSignature {
  /** URL of the feed or mirror that said so. */
  readonly place: string;
  readonly validator: string;
}

/** A verified index with the bytes it came from, which is what is stored. */
export interface FetchedIndex extends VerifiedIndex {
  readonly input: IndexInput;
  readonly signature: KnownSignature | undefined;
  /** How a trusted key has led to the one that signed, oldest first; empty if that is trusted itself. */
  readonly succession: readonly Succession[];
}

export interface FetchIndexOptions {
  /** Keys the user trusts for this feed. */
  readonly keys: readonly PublicKey[];
  readonly seen: SeenIndex | undefined;
  /** The stored signature: a feed that still has it is not read any further. */
  readonly known?: KnownSignature | undefined;
  readonly now: Date;
  readonly allowStale?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly reporter?: Reporter | undefined;
}

async function readSigned(
  place: Feed,
  keys: readonly PublicKey[],
  options: FetchIndexOptions,
): Promise<FetchedIndex | 'unchanged' | undefined> {
  const { seen, known, now, allowStale, signal, reporter } = options;
  const origin = place.url;
  const accept = (input: IndexInput) => ({ ...verifyIndex(input, { keys, seen, now, allowStale, origin }), input });
  const unless = known?.place === place.url ? known.validator : undefined;
  const found = await readIndexPairUnless(place, accept, { signal, reporter, unless });
  if (found === 'unchanged' || found === undefined) return found;
  const { value, validator } = found;
  const signature = validator === undefined ? undefined : { place: place.url, validator };
  return { ...value, signature, succession: [] };
}

/** Reads an index that no trusted key has signed, but one that a trusted key may have named its successor. */
async function readSucceeded(place: Feed, options: FetchIndexOptions): Promise<FetchedIndex | undefined> {
  const { keys, seen, signal, reporter } = options;
  const published = await readSuccessors(place, { signal, reporter });
  if (published === undefined) return undefined;
  const { successions } = published;
  const feeds = new Set(seen === undefined ? successions.map(({ feed }) => feed) : [seen.id]);
  const ways = [...feeds].flatMap((feed) =>
    successions.flatMap(({ to }) => followSuccessions(successions, { trusted: keys, signer: to, feed })?.at(-1) ?? []),
  );
  if (ways.length === 0) return undefined;
  const found = await readSigned(place, [...keys, ...ways.map(({ to }) => to)], { ...options, known: undefined });
  if (found === undefined || found === 'unchanged') return undefined;
  const { index, signedBy } = found;
  // Its publisher may have switched back meanwhile.
  if (keys.some((key) => isSameKey(key, signedBy))) return found;
  // What a key says of another feed is no reason to trust anybody with this one.
  const succession = followSuccessions(successions, { trusted: keys, signer: signedBy, feed: index.feed });
  return succession === undefined ? undefined : { ...found, succession };
}

/**
 * The index of one place, signed by a trusted key or by one that such a key has named its successor.
 * @returns undefined if it has none
 * @throws as `fetchIndex`
 */
export async function readTrustedIndex(
  place: Feed,
  options: FetchIndexOptions,
): Promise<FetchedIndex | 'unchanged' | undefined> {
  try {
    return await readSigned(place, options.keys, options);
  } catch (error) {
    if (!(error instanceof TreesError) || error.code !== 'FEED_UNTRUSTED') throw error;
    const found = await readSucceeded(place, options);
    if (found === undefined) throw error;
    return found;
  }
}

async function fetchFrom(place: Feed, options: FetchIndexOptions): Promise<FetchedIndex | 'unchanged'> {
  const found = await readTrustedIndex(place, options);
  if (found !== undefined) return found;
  throw new TreesError('FEED_UNREACHABLE', `cannot read the feed ${place.url}: it has no ${feedFile.index}`, {
    hint: place.hintIfMissing ?? 'is the address right? A publisher creates the index with `trees release`',
  });
}

/**
 * Fetches and verifies a feed's index: the feed's own, or that of its first mirror with one that can be accepted.
 * @returns `unchanged` if the signature still is the known one, and so is the index
 * @throws TreesError why the feed itself failed: FEED_UNREACHABLE; as `verifyIndex`
 */
export async function fetchIndex(feed: Feed, options: FetchIndexOptions): Promise<FetchedIndex | 'unchanged'> {
  const places = [feed, ...(feed.mirrors ?? [])];
  let first: TreesError | undefined;
  for (const [position, place] of places.entries()) {
    try {
      return await fetchFrom(place, options);
    } catch (error) {
      options.signal?.throwIfAborted();
      if (!(error instanceof TreesError) || error.code === 'CONFIG_INVALID') throw error;
      first ??= error;
      const next = places[position + 1];
      if (next !== undefined) options.reporter?.warn(`${error.message}; trying the mirror ${next.url}`);
    }
  }
  throw first ?? new Error('no place to fetch from');
}
