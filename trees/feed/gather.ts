import { TreesError } from '../errors.js';
import { type FeedsOptions, type IndexedFeed, loadFeed, refreshFeed } from './feeds.js';
import { type KnownFeed, listFeeds } from './records.js';

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
        options.reporter?.warn(`${error.message}; using its index of ${stored.index.created}`);
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
        error: new TreesError('STORE_UNUSABLE', `cannot read feed ${feed.name}: ${error.message}`, {
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
  const known = await listFeeds(root);
  const results = await Promise.all(known.map(async (feed) => await gatherOne(root, feed, options)));
  options.signal?.throwIfAborted();
  return {
    feeds: results.filter((result): result is IndexedFeed => 'index' in result),
    problems: results.filter((result): result is FeedProblem => 'error' in result),
  };
}
