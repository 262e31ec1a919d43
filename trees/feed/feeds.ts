import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { TreesError, usageError } from '../errors.js';
import { checkUsable } from '../store/usable.js';
import { directoryFeed } from './directory.js';
import { type Feed, feedFile } from './feed.js';
import { checkUnknown, createFeed, type FeedsOptions, findFeed, lockFeeds, notFound } from './feed-list.js';
import { type FetchedIndex, fetchIndex } from './fetch-index.js';
import { writeFileAtomic } from './files.js';
import { readFeedFile, readIndexPair, writeIndexPair } from './index-pair.js';
import { addLegacyFeed, loadLegacyFeed, refreshLegacyFeed } from './legacy-feed.js';
import type { LegacyOffer } from './legacy-listing.js';
import { fingerprint, type PublicKey, parsePublicKey } from './minisign.js';
import { succeed, withFormerKeys } from './new-key.js';
import { openFeed } from './open.js';
import {
  type FeedState,
  feedDirectory,
  feedsDirectory,
  formatFeedRecord,
  formatFeedState,
  type KnownFeed,
  listFeeds,
  readFeedRecord,
  readFeedState,
  recordFile,
} from './records.js';
import { type Channel, type FeedIndex, indexLimits } from './schema.js';
import { checkFeedName, deriveFeedName, parseFeedUrl } from './url.js';
import { verifyIndex } from './verify-index.js';

export { type FeedsOptions, findFeed } from './feed-list.js';
export { type KnownFeed, listFeeds } from './records.js';

/** A feed with its last verified index. */
export interface IndexedFeed {
  readonly feed: KnownFeed;
  readonly index: FeedIndex;
  /** The index has expired (only with `allowStale`). */
  readonly stale: boolean;
  /** Of a feed that nobody signs: where its bundles are, by the commits that they lead to. */
  readonly legacy?: ReadonlyMap<string, LegacyOffer>;
}

export interface AddFeedOptions extends FeedsOptions {
  /** Default: derived from the URL. */
  name?: string | undefined;
  /** Default 0. */
  priority?: number | undefined;
  /** Default stable. */
  channel?: Channel | undefined;
  /** Trusted keys. Without any, the feed's own `trees.pub` is shown to `confirm`. */
  keys: readonly PublicKey[];
  /** URLs of places with the same files, tried in this order where the feed fails. */
  mirrors?: readonly string[] | undefined;
  /** Directory that a relative `dir:` URL is relative to. */
  cwd?: string | undefined;
  /** Take a feed that nobody signs without asking. */
  trustUnsigned?: boolean | undefined;
  /** Asked with the fingerprint of the published key, or whether to do without; false refuses. */
  confirm(question: string): Promise<boolean>;
}

async function writeIndex(directory: string, { input, seen, signature }: FetchedIndex, now: Date): Promise<void> {
  // `verifyIndex` accepts nothing without a signature.
  await writeIndexPair(directory, { index: input.index, signature: input.signature ?? '' });
  // Last: a state that is behind its index is harmless, the other way round the index would look like a replay.
  const state: FeedState = { ...seen, fetched: now.toISOString(), signature };
  await writeFileAtomic(join(directory, recordFile.state), formatFeedState(state));
}

/**
 * The index that was stored last, verified again, without touching the network.
 * @returns undefined if none was ever stored
 * @throws as `verifyIndex`
 */
export async function loadFeed(
  root: string,
  feed: KnownFeed,
  options: FeedsOptions = {},
): Promise<IndexedFeed | undefined> {
  if (feed.unsigned === true) return await loadLegacyFeed(root, feed);
  const { now = new Date(), allowStale, signal } = options;
  const seen = await readFeedState(root, feed.name);
  const origin = `${feed.url} (stored)`;
  const stored = await readIndexPair(
    directoryFeed(feedDirectory(root, feed.name), feed.url),
    (input) => verifyIndex(input, { keys: feed.keys, seen, now, allowStale, origin }),
    { signal },
  );
  return stored === undefined ? undefined : { feed, index: stored.index, stale: stored.stale };
}

/** Whether the store has just this index, byte for byte: then there is nothing to write. */
async function isStored(root: string, feed: KnownFeed, { input, seen }: FetchedIndex): Promise<boolean> {
  const state = await readFeedState(root, feed.name);
  if (state?.sequence !== seen.sequence) return false;
  const source = directoryFeed(feedDirectory(root, feed.name), feed.url);
  const index = await readFeedFile(source, feedFile.index, { limit: indexLimits.bytes });
  const signature = await readFeedFile(source, feedFile.signature, { limit: indexLimits.signatureBytes });
  return index?.equals(input.index) === true && signature?.toString('utf8') === input.signature;
}

function fetchOptions({ allowStale, signal, reporter }: FeedsOptions, now: Date) {
  return { allowStale, signal, reporter, now };
}

/** FEED_UNTRUSTED: the key has changed, and whoever stored that was killed halfway. */
const DAMAGED: ReadonlySet<string> = new Set([
  'SIGNATURE_INVALID',
  'INDEX_INVALID',
  'INDEX_REPLAYED',
  'FEED_UNTRUSTED',
]);

/** For what is stored and no longer as it was verified: it is fetched again. */
function undefinedIfDamaged(error: unknown): undefined {
  if (error instanceof TreesError && DAMAGED.has(error.code)) return;
  throw error;
}

/** Whether the user still says the same about a feed. */
function sameTrust(a: KnownFeed | undefined, b: KnownFeed): boolean {
  return a !== undefined && formatFeedRecord(a) === formatFeedRecord(b);
}

/**
 * Fetches, verifies and stores a feed's index, and the new key if a trusted one has named its successor. On any error, and if it is the stored one, nothing is written.
 * @throws TreesError FEED_UNREACHABLE, LOCKED, FEED_NOT_FOUND if it was removed meanwhile; as `verifyIndex`
 */
export async function refreshFeed(root: string, feed: KnownFeed, options: FeedsOptions = {}): Promise<IndexedFeed> {
  if (feed.unsigned === true) return await refreshLegacyFeed(root, feed, options);
  const now = options.now ?? new Date();
  const source = openFeed(feed, options.network);
  const seen = await readFeedState(root, feed.name);
  const request = { ...fetchOptions(options, now), keys: feed.keys, seen };
  let fetched = await fetchIndex(source, { ...request, known: seen?.signature });
  if (fetched === 'unchanged') {
    const stored = await loadFeed(root, feed, options).catch(undefinedIfDamaged);
    if (stored !== undefined) return stored;
    fetched = await fetchIndex(source, request);
    if (fetched === 'unchanged') throw new Error('unchanged, although nothing was known');
  }
  const succeeded = succeed(feed, fetched.succession, options.reporter);
  const indexed: IndexedFeed = { feed: succeeded, index: fetched.index, stale: fetched.stale };
  if (options.dryRun === true || (succeeded === feed && (await isStored(root, feed, fetched)))) return indexed;
  await lockFeeds(root, options, async () => {
    // The network was read without the lock: the feed may have been removed, or refreshed past what we hold.
    if (!sameTrust(await readFeedRecord(root, feed.name), feed)) throw notFound(feed.name, await listFeeds(root));
    const latest = await readFeedState(root, feed.name);
    if (latest !== undefined && latest.sequence > fetched.seen.sequence) return;
    const directory = feedDirectory(root, feed.name);
    await writeIndex(directory, fetched, now);
    if (succeeded !== feed) await writeFileAtomic(join(directory, recordFile.feed), formatFeedRecord(succeeded));
  });
  return indexed;
}

async function confirmPublishedKey(feed: Feed, options: AddFeedOptions): Promise<PublicKey> {
  const limit = indexLimits.signatureBytes;
  const bytes = await readFeedFile(feed, feedFile.publicKey, { limit, signal: options.signal });
  if (bytes === undefined) {
    throw new TreesError('FEED_UNTRUSTED', `cannot trust the feed ${feed.url}: it does not publish a key`, {
      hint: 'get its public key from the publisher and pass it with --key',
    });
  }
  const key = parsePublicKey(bytes.toString('utf8'), `${feedFile.publicKey} of ${feed.url}`);
  options.reporter?.info(`${feed.url} is signed with key ${key.id}, fingerprint ${fingerprint(key)}`);
  if (await options.confirm(`Trust key ${key.id} (${fingerprint(key)}) for everything from ${feed.url}?`)) return key;
  throw new TreesError('NOT_CONFIRMED', `cannot add the feed ${feed.url}: its key ${key.id} was not accepted`, {
    hint: 'compare the fingerprint with what the publisher tells you, or pass the key with --key',
  });
}

/**
 * Adds a feed: decides whom to trust, fetches and verifies the index, and only then writes anything.
 * @throws TreesError USAGE, FEED_EXISTS, STORE_UNUSABLE, FEED_UNREACHABLE, FEED_UNTRUSTED, NOT_CONFIRMED, KEY_INVALID; as `verifyIndex`
 */
export async function addFeed(root: string, url: string, options: AddFeedOptions): Promise<IndexedFeed> {
  const parsed = parseFeedUrl(url, options.cwd);
  await checkUsable(root);
  const name = checkFeedName(options.name ?? deriveFeedName(parsed));
  checkUnknown(await listFeeds(root), { name, url: parsed.href, isNamed: options.name !== undefined });
  if (parsed.scheme === 'legacy') return await addLegacyFeed(root, { ...parsed, name }, options);
  const mirrors = (options.mirrors ?? []).map((mirror) => parseFeedUrl(mirror, options.cwd).href);
  const source = openFeed({ url: parsed.href, mirrors }, options.network);
  const keys = options.keys.length > 0 ? options.keys : [await confirmPublishedKey(source, options)];
  const request = { ...fetchOptions(options, options.now ?? new Date()), keys, seen: undefined };
  const fetched = await fetchIndex(source, request);
  if (fetched === 'unchanged') throw new Error('unchanged, although nothing was known');
  const added = (options.now ?? new Date()).toISOString();
  const said: KnownFeed = {
    name,
    url: parsed.href,
    keys,
    priority: options.priority ?? 0,
    ...edge(options.channel),
    added,
    mirrors,
  };
  const { index, signedBy, succession } = fetched;
  const trusting = succeed(said, succession, options.reporter);
  const { signal, reporter } = options;
  const feed = await withFormerKeys(source, trusting, { index, signedBy, signal, reporter });
  if (options.dryRun !== true) {
    const fill = async (directory: string): Promise<void> =>
      await writeIndex(directory, fetched, options.now ?? new Date());
    await createFeed(root, feed, { ...options, isNamed: options.name !== undefined, fill });
  }
  return { feed, index: fetched.index, stale: fetched.stale };
}

/** Stable is what is meant where nothing is said. */
function edge(channel: Channel | undefined): Pick<KnownFeed, 'channel'> {
  return channel === 'edge' ? { channel } : {};
}

export interface FeedChanges {
  readonly priority?: number | undefined;
  readonly channel?: Channel | undefined;
  /** All mirrors there are to be. */
  readonly mirrors?: readonly string[] | undefined;
}

/**
 * Changes what the user said about a feed, but not whom to trust.
 * @throws TreesError FEED_NOT_FOUND, LOCKED, USAGE for a mirror that is no URL
 */
export async function changeFeed(
  root: string,
  nameOrUrl: string,
  changes: FeedChanges,
  options: FeedsOptions & { cwd?: string } = {},
): Promise<KnownFeed> {
  const { name } = await findFeed(root, nameOrUrl);
  const mirrors = changes.mirrors?.map((mirror) => parseFeedUrl(mirror, options.cwd).href);
  return await lockFeeds(root, options, async () => {
    const feed = await readFeedRecord(root, name);
    if (feed === undefined) throw notFound(nameOrUrl, await listFeeds(root));
    if (feed.unsigned === true && (mirrors ?? []).length > 0) {
      throw usageError(
        `Expected no mirrors for ${feed.url}: nothing there is signed, so nothing says that two places have the same`,
        'add the other place as a feed of its own',
      );
    }
    const { channel, ...rest } = feed;
    const changed: KnownFeed = {
      ...rest,
      ...edge(changes.channel ?? channel),
      priority: changes.priority ?? feed.priority,
      mirrors: mirrors ?? feed.mirrors ?? [],
    };
    const path = join(feedDirectory(root, name), recordFile.feed);
    if (options.dryRun !== true) await writeFileAtomic(path, formatFeedRecord(changed));
    return changed;
  });
}

/**
 * Forgets a feed, its keys and its index. Whether apps from it are still installed is the caller's question.
 * @throws TreesError FEED_NOT_FOUND, LOCKED
 */
export async function removeFeed(root: string, nameOrUrl: string, options: FeedsOptions = {}): Promise<KnownFeed> {
  const { name } = await findFeed(root, nameOrUrl);
  return await lockFeeds(root, options, async () => {
    const feed = await readFeedRecord(root, name);
    if (feed === undefined) throw notFound(nameOrUrl, await listFeeds(root));
    // Out of sight in one step, so that an interrupted removal leaves nothing that looks like a feed.
    const trash = join(feedsDirectory(root), `.rm-${process.pid}-${name}`);
    await rename(feedDirectory(root, name), trash);
    await rm(trash, { recursive: true, force: true });
    return feed;
  });
}
