import { TreesError } from '../errors.js';
import {
  type FeedsOptions,
  findFeed,
  type IndexedFeed,
  type KnownFeed,
  listFeeds,
  loadFeed,
  refreshFeed,
} from '../feed/feeds.js';
import { parseAppReference } from '../feed/select.js';
import { silentReporter } from '../reporter.js';

export interface OfferOptions extends FeedsOptions {
  /** `NAME`, `NAME@RANGE` or `FEED/NAME@RANGE`. */
  readonly app: string;
  /** Look only in this feed. */
  readonly feed?: string | undefined;
}

/** Indexes to choose from, and what went wrong with the feeds that could not give one. */
export interface Offers {
  readonly feeds: readonly IndexedFeed[];
  readonly problems: readonly TreesError[];
}

/**
 * Fetches the indexes of the feeds that an app may come from. A feed that cannot be reached is represented by its last verified
 * index; one that serves something wrong is left out. Both are told.
 * @throws TreesError FEED_NOT_FOUND if there is no feed at all, or the only feed's own problem
 */
export async function loadOffers(root: string, options: OfferOptions): Promise<Offers> {
  const only = parseAppReference(options.app).feed ?? options.feed;
  const known = only === undefined ? await listFeeds(root) : [await findFeed(root, only)];
  if (known.length === 0) {
    throw new TreesError('FEED_NOT_FOUND', `cannot look for "${options.app}": no feed has been added`, {
      hint: 'trees feed add URL adds one, for example trees feed add github:OWNER/REPO',
    });
  }
  const feeds: IndexedFeed[] = [];
  const problems: TreesError[] = [];
  for (const feed of known) {
    try {
      feeds.push(await loadOffer(root, feed, options));
    } catch (error) {
      if (!(error instanceof TreesError) || error.code === 'CANCELLED' || known.length === 1) throw error;
      problems.push(error);
      (options.reporter ?? silentReporter).warn(`feed ${feed.name} is left out: ${error.message}`);
    }
  }
  const [first] = problems;
  if (feeds.length === 0 && first !== undefined) throw first;
  return { feeds, problems };
}

async function loadOffer(root: string, feed: KnownFeed, options: OfferOptions): Promise<IndexedFeed> {
  try {
    return await refreshFeed(root, feed, options);
  } catch (error) {
    if (!(error instanceof TreesError) || error.code !== 'FEED_UNREACHABLE') throw error;
    const last = await loadFeed(root, feed, options);
    if (last === undefined) throw error;
    (options.reporter ?? silentReporter).warn(
      `feed ${feed.name} cannot be reached, using its index of ${last.index.created}: ${error.message}`,
    );
    return last;
  }
}
