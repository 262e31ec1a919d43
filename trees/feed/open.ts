import { TreesError, unreachable } from '../errors.js';
import { directoryFeed } from './directory.js';
import type { Feed } from './feed.js';
import { githubFeed } from './github.js';
import { httpFeed } from './http.js';
import type { NetworkOptions } from './network.js';
import { parseFeedUrl } from './url.js';

/** What is needed to open a feed: a `KnownFeed`, or less. */
export interface FeedAddress {
  readonly url: string;
  /** URLs of places with the same files, in the order in which they are tried. */
  readonly mirrors?: readonly string[];
}

function openPlace(url: string, network: NetworkOptions): Feed {
  const parsed = parseFeedUrl(url);
  switch (parsed.scheme) {
    case 'dir':
      return directoryFeed(parsed.path, parsed.href);
    case 'http':
      return httpFeed({
        url: parsed.href,
        locate: (file) => new URL(encodeURIComponent(file), parsed.base),
        network,
      });
    case 'github':
      return githubFeed({ url: parsed.href, owner: parsed.owner, repo: parsed.repo, network });
    case 'legacy':
      throw new TreesError('UNSUPPORTED', `cannot read ${parsed.href} as a signed feed: nothing there is signed`, {
        hint: 'trees feed add takes it, and trees install installs from it then',
      });
    default:
      return unreachable(parsed);
  }
}

/**
 * Opens a feed: `dir:/absolute/path`, `https://…/`, `http://…/`, `github:owner/repo`. Nothing is read yet.
 * @param feed its URL, or what a store knows of it
 * @throws TreesError USAGE for a malformed or unknown URL, UNSUPPORTED for a legacy feed, which is not read as these are
 */
export function openFeed(feed: string | FeedAddress, network: NetworkOptions = {}): Feed {
  const { url, mirrors = [] } = typeof feed === 'string' ? { url: feed } : feed;
  const place = openPlace(url, network);
  return mirrors.length === 0 ? place : { ...place, mirrors: mirrors.map((mirror) => openPlace(mirror, network)) };
}
