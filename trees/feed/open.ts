import { unreachable } from '../errors.js';
import { directoryFeed } from './directory.js';
import type { Feed } from './feed.js';
import { httpFeed } from './http.js';
import { githubUrls, type NetworkOptions } from './network.js';
import { parseFeedUrl } from './url.js';

/** What is needed to open a feed: a `KnownFeed`, or less. */
export interface FeedAddress {
  readonly url: string;
}

/**
 * Opens a feed: `dir:/absolute/path`, `https://…/`, `http://…/`, `github:owner/repo`. Nothing is read yet.
 * @param feed its URL, or what a store knows of it
 * @throws TreesError USAGE for a malformed or unknown URL
 */
export function openFeed(feed: string | FeedAddress, network: NetworkOptions = {}): Feed {
  const parsed = parseFeedUrl(typeof feed === 'string' ? feed : feed.url);
  switch (parsed.scheme) {
    case 'dir':
      return directoryFeed(parsed.path, parsed.href);
    case 'http':
      return httpFeed({ url: parsed.href, locate: (file) => new URL(encodeURIComponent(file), parsed.base) });
    case 'github': {
      // The web addresses of release files are served without counting against the API's rate limit.
      const releases = `${githubUrls(network.github).server}/${parsed.owner}/${parsed.repo}/releases`;
      return httpFeed({
        url: parsed.href,
        locate: (file, release) =>
          new URL(
            release === undefined
              ? `${releases}/latest/download/${encodeURIComponent(file)}`
              : `${releases}/download/${encodeURIComponent(release)}/${encodeURIComponent(file)}`,
          ),
      });
    }
    default:
      return unreachable(parsed);
  }
}
