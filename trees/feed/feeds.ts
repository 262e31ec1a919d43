import type { Reporter } from '../reporter.js';
import type { PublicKey } from './minisign.js';
import type { FeedIndex } from './schema.js';

/** A feed that a store knows: `feeds/<name>/feed.json`. */
export interface KnownFeed {
  readonly name: string;
  readonly url: string;
  readonly keys: readonly PublicKey[];
  /** Higher wins where two feeds offer the same app; equal ones go by name. */
  readonly priority: number;
  readonly added: string;
}

/** A feed with its last verified index. */
export interface IndexedFeed {
  readonly feed: KnownFeed;
  readonly index: FeedIndex;
  /** The index has expired (only with `allowStale`). */
  readonly stale: boolean;
}

export interface FeedsOptions {
  now?: Date | undefined;
  allowStale?: boolean | undefined;
  signal?: AbortSignal | undefined;
  reporter?: Reporter | undefined;
  /** Seconds to wait for another trees that writes the same feed. */
  lockTimeout?: number | undefined;
  /** For `github:` feeds: `GITHUB_SERVER_URL` of the caller; default https://github.com. */
  githubServer?: string | undefined;
}

export interface AddFeedOptions extends FeedsOptions {
  name?: string | undefined;
  priority?: number | undefined;
  /** Trusted keys. Without any the feed's own `trees.pub` is shown to `confirm`. */
  keys: readonly PublicKey[];
  /** Asked with the fingerprint of the published key; false refuses. */
  confirm(question: string): Promise<boolean>;
}

/** Feeds of a store by descending priority, without touching the network. `root` is `settings.root`. */
export declare function listFeeds(root: string): Promise<readonly KnownFeed[]>;
/** The feed called `nameOrUrl`. @throws TreesError FEED_NOT_FOUND */
export declare function findFeed(root: string, nameOrUrl: string): Promise<KnownFeed>;
/** The last verified index of a feed, verified again. @returns undefined if none was fetched yet */
export declare function loadFeed(
  root: string,
  feed: KnownFeed,
  options?: FeedsOptions,
): Promise<IndexedFeed | undefined>;
/** Fetches, verifies and stores a feed's index. On any error the stored one stays. */
export declare function refreshFeed(root: string, feed: KnownFeed, options?: FeedsOptions): Promise<IndexedFeed>;
export declare function addFeed(root: string, url: string, options: AddFeedOptions): Promise<IndexedFeed>;
export declare function removeFeed(root: string, name: string, options?: FeedsOptions): Promise<KnownFeed>;
