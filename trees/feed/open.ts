import { unreachable } from '../errors.js';
import { directoryFeed } from './directory.js';
import type { Feed } from './feed.js';
import { httpFeed } from './http.js';
import { parseFeedUrl } from './url.js';

const GITHUB_SERVER = 'https://github.com';

export interface OpenFeedOptions {
  /** Web server of `github:` feeds (GitHub Enterprise: `GITHUB_SERVER_URL`). */
  readonly githubServer?: string | undefined;
}

/**
 * Opens a feed by URL: `dir:/absolute/path`, `https://…/`, `http://…/`, `github:owner/repo`. Nothing is read yet.
 * @throws TreesError USAGE for a malformed or unknown URL
 */
export function openFeed(url: string, options: OpenFeedOptions = {}): Feed {
  const parsed = parseFeedUrl(url);
  switch (parsed.scheme) {
    case 'dir':
      return directoryFeed(parsed.path, parsed.href);
    case 'http':
      return httpFeed({ url: parsed.href, locate: (file) => new URL(encodeURIComponent(file), parsed.base) });
    case 'github': {
      // The web addresses of release files are served without counting against the API's rate limit.
      const server = (options.githubServer ?? GITHUB_SERVER).replace(/\/+$/, '');
      const releases = `${server}/${parsed.owner}/${parsed.repo}/releases`;
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
