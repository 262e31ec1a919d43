import type { IndexedFeed } from './feeds.js';
import type { AppVersion, BaseVersion } from './schema.js';

export interface SelectRequest {
  /** `NAME`, `NAME@RANGE` or `FEED/NAME@RANGE`. */
  readonly app: string;
  /** As in `uname -m`. */
  readonly arch: string;
  /** `BASE` or `BASE@RANGE`: only versions of the app that build on it. */
  readonly base?: string | undefined;
  /** Feed (name or URL) to use when several offer the app: `settings.feed`. */
  readonly feed?: string | undefined;
}

export interface Selection {
  readonly feed: IndexedFeed;
  readonly name: string;
  readonly summary: string;
  readonly app: AppVersion;
  readonly base: { readonly name: string; readonly version: BaseVersion };
}

/**
 * Picks an app version and the base version it goes on. Pure.
 * @throws TreesError APP_NOT_FOUND, VERSION_NOT_FOUND, BASE_NOT_FOUND, BASE_RANGE_UNSATISFIED, FEED_NOT_FOUND
 */
export declare function selectApp(feeds: readonly IndexedFeed[], request: SelectRequest): Selection;
