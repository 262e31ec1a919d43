import type { RetryPolicy } from './retry.js';

/** Names of the fixed files of a feed. */
export const feedFile = {
  index: 'index.json',
  signature: 'index.json.minisig',
  /** While a publisher switches: the index that the signature already belongs to. See `index-pair.ts`. */
  next: 'index.json.next',
  publicKey: 'trees.pub',
  /** Statements of keys that name their successors, if the feed has ever changed its key. See `succession.ts`. */
  successors: 'successors.json',
} as const;

export interface OpenOptions {
  signal?: AbortSignal | undefined;
  /** Start at this byte. A feed may ignore it: look at `FeedFile.offset`. */
  offset?: number | undefined;
  /** Bytes to read from there; default: to the end. A feed may send more. */
  length?: number | undefined;
  /** `FeedFile.validator` of what is continued: if the file has changed since, the answer starts at byte 0. */
  validator?: string | undefined;
  /** `FeedFile.validator` of what is known already: if that is still the file, it is not sent. */
  unless?: string | undefined;
  /** Release (tag) that holds the file, for feeds that keep files per release. Others ignore it. */
  release?: string | undefined;
}

/** Bytes as they come, to be iterated over once; Node's readable streams are such. */
export interface ByteStream extends AsyncIterable<Buffer> {
  /** Gives it up, if that was not iterated over to its end. */
  destroy(): unknown;
}

export interface FeedFile {
  readonly stream: ByteStream;
  /** Byte of the file that `stream` starts with: what was asked for, or 0 where the feed cannot seek. */
  readonly offset: number;
  /** Names this version of the file, where the feed has such names (HTTP's entity tag). */
  readonly validator?: string | undefined;
  /** The file is what `unless` named; `stream` is empty. */
  readonly unchanged?: boolean;
}

/**
 * A place that serves an index and bundles. Implementations know transport only: nothing that `open` returns has been
 * verified yet.
 */
export interface Feed {
  /** As the user wrote it: `dir:/path`, `https://…/`, `github:owner/repo`. */
  readonly url: string;
  /**
   * Opens a file of the feed (`index.json`, `index.json.minisig`, `trees.pub`, a bundle).
   * @returns undefined if the feed is there but has no such file
   * @throws TreesError FEED_UNREACHABLE, naming the file and the feed
   */
  open(file: string, options?: OpenOptions): Promise<FeedFile | undefined>;
  /** Path of a file of the feed, where the feed is a directory: such a file need not be copied to be read. */
  localPath?(file: string): string;
  /** Reached over a network, where several connections may be faster than one. */
  readonly isRemote?: boolean;
  /** How failures that may pass are met; default: `defaultRetryPolicy`. */
  readonly retries?: RetryPolicy;
  /** What to tell who finds no index here. */
  readonly hintIfMissing?: string;
  /** Other places with the same files, tried in this order where this one fails. */
  readonly mirrors?: readonly Feed[];
}
