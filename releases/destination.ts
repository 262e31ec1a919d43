import type { Feed } from '../trees/feed/feed.js';
import type { BundleEntry, FeedIndex } from '../trees/feed/schema.js';
import type { Published } from './published.js';

/** A bundle that will be published, and where its bytes can be read as readers will get them. */
export interface Delivered {
  /** As the index will name it, but for its release. */
  readonly entry: BundleEntry;
  /** A file with the bytes; deleted by the caller if it lies in `Publishing.scratch`. */
  readonly path: string;
}

/** A new index, signed, ready to become the feed's. */
export interface SignedIndex {
  readonly index: FeedIndex;
  readonly bytes: Uint8Array;
  readonly signature: string;
  /** Contents of `trees.pub`. */
  readonly publicKey: string;
  /** Contents of `successors.json`; undefined if the feed has always had this key. */
  readonly successors: Uint8Array | undefined;
  /** What it was made from; undefined for the first one. */
  readonly previous: Published | undefined;
  /** The bundles that are new in it. */
  readonly made: readonly BundleEntry[];
}

/** One publication in progress. Nothing of it can be seen by readers before `publish` has succeeded. */
export interface Publishing {
  /** Directory for working files. */
  readonly scratch: string;
  /** Puts what an interrupted publisher left behind in order. */
  recover(published: Published | undefined): Promise<void>;
  /**
   * Brings a bundle to where it will be published from.
   * @param path file with the bundle
   * @throws TreesError RELEASE_FAILED
   */
  readonly deliver: (entry: BundleEntry, path: string) => Promise<Delivered>;
  /** The entry as index `sequence` names it. */
  place(entry: BundleEntry, sequence: number): BundleEntry;
  /**
   * Switches readers to a new index, in one step.
   * @returns false if another publisher was first: then plan again, on what it has published
   */
  publish(signed: SignedIndex): Promise<boolean>;
  /** Nothing is to be published after all. */
  abandon(): Promise<void>;
  /**
   * Deletes what neither index needs: who has just read the one before may still be fetching.
   * @returns what was deleted
   */
  prune(index: FeedIndex, previous: FeedIndex | undefined): Promise<readonly string[]>;
}

/**
 * A place to publish to. Planning, making, signing and proving are the same for all of them; this is what differs.
 */
export interface Destination {
  /** `dir:/path` or `github:owner/repo`. */
  readonly url: string;
  /** Reads what is published. */
  readonly feed: Feed;
  /** Files that one publication may have; undefined: any number. */
  readonly fileLimit?: number | undefined;
  /** Those of an index's bundles that are still there in their full size. */
  present(bundles: readonly BundleEntry[]): Promise<BundleEntry[]>;
  /** Runs `action`; if it fails, what readers see is as it was. */
  publishing<T>(action: (publishing: Publishing) => Promise<T>): Promise<T>;
}
