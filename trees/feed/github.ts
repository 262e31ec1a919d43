import { failureReason } from './failure.js';
import type { Feed, FeedFile, OpenOptions } from './feed.js';
import { httpFeed } from './http.js';
import { githubUrls, type NetworkOptions } from './network.js';

export interface GithubFeedOptions {
  /** As the user wrote it, for messages. */
  readonly url: string;
  readonly owner: string;
  readonly repo: string;
  readonly network: NetworkOptions;
}

/** What a repository answers on the web that does not exist for those without a token. */
const CLOSED = new Set<unknown>(['denied', 'login-page', 'redirect']);

/**
 * A repository's releases. The web addresses of release files cost nothing of the API's budget, so they are what is
 * used; only a repository that shows nothing there is read through the API, if there is a token.
 */
export function githubFeed({ url, owner, repo, network }: GithubFeedOptions): Feed {
  const releases = `${githubUrls(network.github).server}/${owner}/${repo}/releases`;
  const web = httpFeed({
    url,
    network,
    locate: (file, release) =>
      new URL(
        release === undefined
          ? `${releases}/latest/download/${encodeURIComponent(file)}`
          : `${releases}/download/${encodeURIComponent(release)}/${encodeURIComponent(file)}`,
      ),
  });
  const token = network.github?.token;
  let way: 'unknown' | 'web' | 'api' = 'unknown';
  let api: Promise<Feed> | undefined;

  async function openByApi(file: string, options: OpenOptions | undefined): Promise<FeedFile | undefined> {
    api ??= import('./github-api.js').then(({ githubApiFeed }) => githubApiFeed({ url, owner, repo, network }));
    return await (await api).open(file, options);
  }

  async function open(file: string, options?: OpenOptions): Promise<FeedFile | undefined> {
    if (way === 'api') return await openByApi(file, options);
    let refused: unknown;
    try {
      const found = await web.open(file, options);
      if (found !== undefined) way = 'web';
      // A repository that showed one file shows all.
      if (way === 'web' || token === undefined) return found;
    } catch (error) {
      if (way === 'web' || token === undefined || !CLOSED.has(failureReason(error))) throw error;
      refused = error;
    }
    const found = await openByApi(file, options);
    if (found !== undefined) way = 'api';
    else if (refused !== undefined) throw refused;
    return found;
  }

  return {
    ...web,
    open,
    ...(token === undefined
      ? {
          hintIfMissing:
            'is the address right? If the repository is private, set GITHUB_TOKEN to a token that may read it',
        }
      : {}),
  };
}
