import type { Readable } from 'node:stream';

/**
 * A place that serves an index and bundles. Implementations know transport only: nothing that `open` returns has been
 * verified yet.
 */
export interface Feed {
  /** As the user wrote it: `dir:/path`, `https://…/`, `github:owner/repo`. */
  readonly url: string;
  /**
   * Opens a file of the feed (`index.json`, `index.json.minisig`, `trees.pub`, a bundle).
   * @throws TreesError FEED_UNREACHABLE, naming the file and the feed
   */
  open(file: string, options?: { signal?: AbortSignal }): Promise<Readable>;
}
