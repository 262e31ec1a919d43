import { Octokit, RequestError } from 'octokit';
import { failureOf, transportFailure } from './failure.js';
import type { Feed, FeedFile, OpenOptions } from './feed.js';
import type { GithubFeedOptions } from './github.js';
import { fileOf, requestHeaders } from './http.js';
import { httpClient } from './http-client.js';
import { DEFAULT_TIMEOUT, httpGet, responseFailure } from './http-get.js';
import { githubUrls } from './network.js';
import { retryPolicy } from './retry.js';

interface AssetName {
  readonly id: number;
  readonly name: string;
  readonly state: string;
}

interface ReleaseAssets {
  readonly id: number;
  readonly assets: readonly AssetName[];
}

/** From this many on a release's own list of assets may not be all of them. */
const WHOLE_LIST = 30;

const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

/**
 * A repository's releases through the REST API, for those that are private. The token goes to the API and nowhere
 * else: bytes come from the signed address that the API leads to, which is asked without it.
 */
export async function githubApiFeed({ url, owner, repo, network }: GithubFeedOptions): Promise<Feed> {
  const client = await httpClient(network);
  const timeout = network.timeout ?? DEFAULT_TIMEOUT;
  const { api } = githubUrls(network.github);
  const octokit = new Octokit({
    baseUrl: api,
    auth: network.github?.token?.(),
    userAgent: 'trees',
    request: { fetch: client.fetch },
    // Retries are the feed's own, the same for all ways to fetch.
    retry: { enabled: false },
    throttle: { enabled: false },
    log: silent,
  });
  const repository = { owner, repo };
  const tagged = new Map<string, ReleaseAssets>();

  /** @returns undefined for 404 */
  async function call<T>(target: string, signal: AbortSignal | undefined, action: (signal: AbortSignal) => Promise<T>) {
    const late = AbortSignal.timeout(timeout * 1000);
    try {
      return await action(signal === undefined ? late : AbortSignal.any([signal, late]));
    } catch (error) {
      signal?.throwIfAborted();
      if (late.aborted) throw transportFailure(target, 'timeout', `no answer within ${timeout} s`, { cause: error });
      if (!(error instanceof RequestError) || error.response === undefined) throw failureOf(target, error);
      if (error.status === 404) return undefined;
      throw apiFailure(target, error);
    }
  }

  async function findRelease(
    tag: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<ReleaseAssets | undefined> {
    const known = tag === undefined ? undefined : tagged.get(tag);
    if (known !== undefined) return known;
    const target = `${api}/repos/${owner}/${repo}/releases/${tag === undefined ? 'latest' : `tags/${tag}`}`;
    const answer = await call(target, signal, async (both) =>
      tag === undefined
        ? await octokit.rest.repos.getLatestRelease({ ...repository, request: { signal: both } })
        : await octokit.rest.repos.getReleaseByTag({ ...repository, tag, request: { signal: both } }),
    );
    // `latest` is asked each time: that it moves is what it is for.
    if (answer !== undefined && tag !== undefined) tagged.set(tag, answer.data);
    return answer?.data;
  }

  async function findAsset(file: string, release: ReleaseAssets, signal: AbortSignal | undefined) {
    const wanted = ({ name, state }: AssetName): boolean => name === file && state === 'uploaded';
    const found = release.assets.find(wanted);
    if (found !== undefined || release.assets.length < WHOLE_LIST) return found;
    const listing = { ...repository, release_id: release.id, per_page: 100 };
    const all = await call(`${url} assets`, signal, async (both) =>
      octokit.paginate(octokit.rest.repos.listReleaseAssets, { ...listing, request: { signal: both } }),
    );
    return all?.find(wanted);
  }

  async function open(file: string, options: OpenOptions = {}): Promise<FeedFile | undefined> {
    const { signal } = options;
    const release = await findRelease(options.release, signal);
    const asset = release === undefined ? undefined : await findAsset(file, release, signal);
    if (asset === undefined) return undefined;
    const target = `${api}/repos/${owner}/${repo}/releases/assets/${asset.id}`;
    const location = await call(target, signal, async (both) => {
      const answer = await octokit.request('GET /repos/{owner}/{repo}/releases/assets/{asset_id}', {
        ...repository,
        asset_id: asset.id,
        headers: { accept: 'application/octet-stream' },
        request: { signal: both, redirect: 'manual', parseSuccessResponseBody: false },
      });
      return answer.headers.location;
    });
    if (location === undefined) throw transportFailure(target, 'refused', 'the API did not say where the file is');
    // Named by what was asked for: the address itself is as good as a password for as long as it works.
    const request = { headers: requestHeaders(options), signal, timeout, target };
    const got = await httpGet(client, new URL(location), { ...request, isSigned: true });
    const found = got.response.status === 416 ? 'useless' : fileOf(got, target);
    if (found !== 'useless') return found;
    got.abort();
    if (requestHeaders(options)['range'] === undefined) {
      throw transportFailure(target, 'refused', 'the server sent a part of the file nobody asked for');
    }
    return await open(file, { release: options.release, signal });
  }

  return { url, open, isRemote: true, retries: retryPolicy(network) };
}

/** What an error of octokit means. Its message quotes the API, never the token. */
function apiFailure(target: string, error: RequestError): Error {
  const headers = new Headers();
  for (const [name, value] of Object.entries(error.response?.headers ?? {})) {
    if (value !== undefined) headers.set(name, String(value));
  }
  if (error.status === 401) {
    return transportFailure(target, 'denied', 'GitHub does not accept the token', {
      hint: 'check GITHUB_TOKEN (or GH_TOKEN, or the setting github.token): it may have expired',
    });
  }
  return responseFailure(
    { status: error.status, statusText: '', headers, text: error.message },
    { target, isElsewhere: false },
  );
}
