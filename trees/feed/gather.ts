import { isErrno, TreesError } from '../errors.js';
import { type FeedsOptions, findFeed, type IndexedFeed, loadFeed, refreshFeed } from './feeds.js';
import { type KnownFeed, listFeeds } from './records.js';
import { parseAppReference } from './select.js';

interface FeedProblem {
  readonly feed: KnownFeed;
  readonly error: TreesError;
}

/** Feeds that can be selected from, and those that cannot, with the reason. */
export interface GatheredFeeds {
  readonly feeds: readonly IndexedFeed[];
  readonly problems: readonly FeedProblem[];
}

export interface GatherOptions extends FeedsOptions {
  /** Use the stored indexes, do not touch the network. */
  offline?: boolean | undefined;
  /** Only the feeds with these names. */
  only?: readonly string[] | undefined;
}

async function gatherOne(root: string, feed: KnownFeed, options: GatherOptions): Promise<IndexedFeed | FeedProblem> {
  try {
    if (options.offline !== true) {
      try {
        return await refreshFeed(root, feed, options);
      } catch (error) {
        if (!(error instanceof TreesError) || error.code !== 'FEED_UNREACHABLE') throw error;
        const stored = await loadFeed(root, feed, options);
        if (stored === undefined) throw error;
        options.reporter?.warn(
          `feed ${feed.name} cannot be reached, using its index of ${stored.index.created}: ${error.message}`,
        );
        return stored;
      }
    }
    const stored = await loadFeed(root, feed, options);
    if (stored !== undefined) return stored;
    throw new TreesError('FEED_UNREACHABLE', `cannot read feed ${feed.name}: no index of it is stored`, {
      hint: `\`trees feed refresh ${feed.name}\` fetches it`,
    });
  } catch (error) {
    if (error instanceof TreesError) return { feed, error };
    if (error instanceof Error && 'syscall' in error) {
      return {
        feed,
        error: isErrno(error, 'ENOSPC', 'EDQUOT')
          ? new TreesError('NO_SPACE', `cannot store the index of feed ${feed.name}: no space left at ${root}`, {
              hint: 'free some space there, then run the command again',
              cause: error,
            })
          : new TreesError('STORE_UNUSABLE', `cannot read feed ${feed.name}: ${error.message}`, {
              hint: 'run it as the owner of the store',
              cause: error,
            }),
      };
    }
    throw error;
  }
}

/**
 * The indexes of all feeds, refreshed first unless `offline`. A feed that cannot be reached is used as it was last
 * verified, with a warning; one whose index is refused is left out and reported among the problems.
 */
export async function gatherFeeds(root: string, options: GatherOptions = {}): Promise<GatheredFeeds> {
  const { only, signal } = options;
  const known = (await listFeeds(root)).filter(({ name }) => only === undefined || only.includes(name));
  const results = await Promise.all(known.map(async (feed) => await gatherOne(root, feed, options)));
  signal?.throwIfAborted();
  return {
    feeds: results.filter((result): result is IndexedFeed => 'index' in result),
    problems: results.filter((result): result is FeedProblem => 'error' in result),
  };
}

export interface OfferOptions extends GatherOptions {
  /** `NAME`, `NAME@RANGE` or `FEED/NAME@RANGE`. */
  readonly app: string;
  /** Look only in this feed. */
  readonly feed?: string | undefined;
}

/**
 * The feeds that an app may come from, as `gatherFeeds` gives them; the user is warned of those that are left out.
 * @throws TreesError FEED_NOT_FOUND if there is no feed at all, or the first one's problem if no feed is left
 */
export async function gatherFor(root: string, options: OfferOptions): Promise<readonly IndexedFeed[]> {
  const reference = parseAppReference(options.app);
  const named = reference.feed ?? options.feed;
  const only = named === undefined ? undefined : [(await findFeed(root, named)).name];
  const { feeds, problems } = await gatherFeeds(root, { ...options, only, apps: [reference.name] });
  const [first] = problems;
  if (feeds.length === 0) {
    throw (
      first?.error ??
      new TreesError('FEED_NOT_FOUND', `cannot look for "${options.app}": no feed has been added`, {
        hint: 'trees feed add URL adds one, for example trees feed add github:OWNER/REPO',
      })
    );
  }
  for (const { feed, error } of problems) {
    options.reporter?.warn(`feed ${feed.name} is left out: ${error.message}`);
  }
  return feeds;
}
