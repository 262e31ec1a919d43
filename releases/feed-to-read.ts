import type { Context } from '../trees/cli/command.js';
import { TreesError, usageError } from '../trees/errors.js';
import { type Feed, feedFile } from '../trees/feed/feed.js';
import { listFeeds } from '../trees/feed/feeds.js';
import { type FetchedIndex, readTrustedIndex } from '../trees/feed/fetch-index.js';
import { readFeedFile } from '../trees/feed/index-pair.js';
import { readKeyOption } from '../trees/feed/key-option.js';
import { fingerprint, type PublicKey, parsePublicKey } from '../trees/feed/minisign.js';
import { openFeed } from '../trees/feed/open.js';
import { indexLimits } from '../trees/feed/schema.js';
import { parseFeedUrl } from '../trees/feed/url.js';
import type { Reporter } from '../trees/reporter.js';

/** Argument and option of the commands that read a published feed. */
export const readingPositional = {
  name: 'feed',
  describe: 'name or URL of a feed; default: the setting release.to',
  complete: 'feed',
} as const;

export const readingKey = {
  type: 'array',
  value: 'KEY|FILE',
  complete: 'file',
  describe: 'public key that has to have signed; default: those of the feed, if it was added here',
} as const;

export interface FeedToRead {
  readonly feed: Feed;
  readonly keys: readonly [PublicKey, ...PublicKey[]];
}

/** The key that the feed itself publishes: it shows that the feed is whole, not whose it is. */
async function publishedKey(feed: Feed, context: Context): Promise<PublicKey> {
  const options = { limit: indexLimits.signatureBytes, signal: context.signal };
  const bytes = await readFeedFile(feed, feedFile.publicKey, options);
  if (bytes === undefined) {
    throw new TreesError('FEED_UNTRUSTED', `cannot verify ${feed.url}: it does not publish a key`, {
      hint: 'pass its public key with --key',
    });
  }
  const key = parsePublicKey(bytes.toString('utf8'), `${feedFile.publicKey} of ${feed.url}`);
  context.reporter.warn(
    `checking against the key that the feed publishes, ${key.id} (${fingerprint(key)}); --key says whose it has to be`,
  );
  return key;
}

/** A feed by URL, or by the name it was added under, with the keys it was added with. */
async function resolveFeed(context: Context, wanted: string): Promise<{ feed: Feed; keys: readonly PublicKey[] }> {
  const { settings, cwd } = context;
  const known = (await listFeeds(settings.root)).find(({ name, url }) => name === wanted || url === wanted);
  if (known !== undefined) return { feed: openFeed(known, settings.network), keys: known.keys };
  if (!wanted.includes(':')) {
    throw new TreesError('FEED_NOT_FOUND', `cannot read feed "${wanted}": no feed has this name`, {
      hint: 'give its URL: dir:PATH, https://HOST/PATH/ or github:OWNER/REPO',
    });
  }
  return { feed: openFeed(parseFeedUrl(wanted, cwd).href, settings.network), keys: [] };
}

/**
 * The feed that a command was asked to read, and the keys that have to have signed it: those given, else those it was
 * added with, else the one it publishes (with a warning).
 * @throws TreesError USAGE, FEED_NOT_FOUND, FEED_UNREACHABLE, FEED_UNTRUSTED
 */
export async function feedToRead(
  context: Context,
  args: { readonly feed?: string | undefined; readonly key?: readonly string[] | undefined },
): Promise<FeedToRead> {
  const { settings, cwd } = context;
  const wanted = args.feed ?? settings.release.to;
  if (wanted === undefined) throw usageError('Expected a feed', 'give its name or URL, for example github:owner/repo');
  const { feed, keys: known } = await resolveFeed(context, wanted);
  const given = await Promise.all((args.key ?? []).map(async (value) => await readKeyOption(value, cwd)));
  const [first, ...others] = given.length > 0 ? given : known;
  return { feed, keys: first === undefined ? [await publishedKey(feed, context)] : [first, ...others] };
}

/**
 * The index of a feed, of whatever age: `stale` says whether it has expired. Its key may be one that a trusted key has
 * named its successor; the user is told.
 * @throws TreesError FEED_UNREACHABLE, FEED_UNTRUSTED, INDEX_INVALID
 */
export async function readSignedIndex(
  feed: Feed,
  options: { keys: readonly PublicKey[]; now: Date; reporter?: Reporter; signal?: AbortSignal | undefined },
): Promise<FetchedIndex> {
  const { keys, now, reporter, signal } = options;
  const found = await readTrustedIndex(feed, { keys, seen: undefined, now, allowStale: true, reporter, signal });
  if (found === 'unchanged') throw new Error('unchanged, although nothing was known');
  const last = found?.succession.at(-1);
  if (last !== undefined) {
    reporter?.warn(
      `${feed.url} has a new key: ${last.to.id} (${fingerprint(last.to)}), which ${last.from.id} has named its successor`,
    );
  }
  if (found !== undefined) return found;
  throw new TreesError('FEED_UNREACHABLE', `cannot read the feed ${feed.url}: it has no ${feedFile.index}`, {
    hint: 'is the address right? A publisher creates the index with `trees release`',
  });
}
