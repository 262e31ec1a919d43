import type { PublicKey } from './minisign.js';
import type { FeedIndex } from './schema.js';

/** What a store remembers of the newest index it accepted from a feed: protection against replay. */
export interface SeenIndex {
  /** `feed` of the index. */
  readonly id: string;
  readonly sequence: number;
  /** SHA-256 of the bytes of `index.json`. */
  readonly sha256: string;
}

export interface IndexInput {
  /** Bytes of `index.json`. */
  readonly index: Uint8Array;
  /** Contents of `index.json.minisig`; undefined if the feed has none. */
  readonly signature: string | undefined;
}

export interface VerifyOptions {
  /** Keys the user chose to trust for this feed. */
  readonly keys: readonly PublicKey[];
  readonly seen: SeenIndex | undefined;
  readonly now: Date;
  /** Accept an expired index. */
  readonly allowStale?: boolean | undefined;
  /** Where the index came from, for messages. */
  readonly origin: string;
}

export interface VerifiedIndex {
  readonly index: FeedIndex;
  readonly seen: SeenIndex;
  readonly signedBy: PublicKey;
  /** True if it has expired (only with `allowStale`). */
  readonly stale: boolean;
}

export declare function verifyIndex(input: IndexInput, options: VerifyOptions): VerifiedIndex;
