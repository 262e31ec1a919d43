import { transportFailure } from '../../trees/feed/failure.js';
import type { Feed, FeedFile, OpenOptions } from '../../trees/feed/feed.js';
import { fileOf, requestHeaders } from '../../trees/feed/http.js';
import { httpClient } from '../../trees/feed/http-client.js';
import { DEFAULT_TIMEOUT, httpGet } from '../../trees/feed/http-get.js';
import { retryPolicy } from '../../trees/feed/retry.js';
import type { GithubApi } from './api.js';
import { currentRelease } from './draft.js';
import { type Asset, listAssets, releaseByTag } from './releases.js';

/**
 * Reads an asset through the API, which leads to where its bytes are. The token is for the API only and never goes
 * there.
 */
async function openAsset(api: GithubApi, asset: Asset, options: OpenOptions): Promise<FeedFile> {
  const { owner, repo, network } = api;
  const target = `${asset.name} of ${api.url}`;
  const answer = await api.call(
    `read ${asset.name}`,
    async ({ request }) =>
      await request('GET /repos/{owner}/{repo}/releases/assets/{asset_id}', {
        owner,
        repo,
        asset_id: asset.id,
        headers: { accept: 'application/octet-stream' },
        request: { redirect: 'manual', parseSuccessResponseBody: false },
      }),
  );
  const { location } = answer.headers;
  if (location === undefined) throw transportFailure(target, 'refused', 'the API did not say where the file is');
  const got = await httpGet(await httpClient(network), new URL(location), {
    headers: requestHeaders(options),
    signal: options.signal ?? api.signal,
    timeout: network.timeout ?? DEFAULT_TIMEOUT,
    target,
    isSigned: true,
  });
  const found = got.response.status === 416 ? 'useless' : fileOf(got, target);
  if (found !== 'useless') return found;
  got.abort();
  // What there is of it already is not of this file.
  return await openAsset(api, asset, { signal: options.signal });
}

function remote({ url, network }: GithubApi): Pick<Feed, 'url' | 'isRemote' | 'retries'> {
  return { url, isRemote: true, retries: retryPolicy(network) };
}

/** Reads the assets of one release, a draft for example. */
export function assetsFeed(api: GithubApi, assets: () => Promise<ReadonlyMap<string, Asset>>): Feed {
  return {
    ...remote(api),
    async open(file, options = {}) {
      const asset = (await assets()).get(file);
      return asset?.state === 'uploaded' ? await openAsset(api, asset, options) : undefined;
    },
  };
}

/**
 * Reads what is published, through the API: with the token, so in private repositories too, and never an old answer
 * that some cache on the way still has.
 */
export function publishedFeed(api: GithubApi): Feed {
  const known = new Map<string, ReadonlyMap<string, Asset>>();
  const assetsOf = async (tag: string): Promise<ReadonlyMap<string, Asset>> => {
    const found = known.get(tag);
    if (found !== undefined) return found;
    const release = await releaseByTag(api, tag);
    const assets = release === undefined ? [] : await listAssets(api, release.id);
    const byName = new Map(assets.map((asset) => [asset.name, asset]));
    known.set(tag, byName);
    return byName;
  };
  return {
    ...remote(api),
    async open(file, options = {}) {
      const release = options.release ?? (await currentRelease(api))?.tag;
      if (release === undefined) return undefined;
      return await assetsFeed(api, async () => await assetsOf(release)).open(file, options);
    },
  };
}
