import { Readable } from 'node:stream';
import { TreesError } from '../../trees/errors.js';
import type { Feed, FeedFile, OpenOptions } from '../../trees/feed/feed.js';
import type { GithubApi } from './api.js';
import { currentRelease } from './draft.js';
import { type Asset, listAssets, releaseByTag } from './releases.js';

/** Headers of a request for a part of a file. */
function rangeHeaders({ offset = 0, length }: OpenOptions): Record<string, string> {
  if (offset === 0 && length === undefined) return {};
  return { range: `bytes=${offset}-${length === undefined ? '' : offset + length - 1}` };
}

function offsetOf(headers: Readonly<Record<string, string | number | undefined>>, status: number): number {
  if (status !== 206) return 0;
  return Number(/^bytes (\d+)-/.exec(String(headers['content-range']))?.[1] ?? 0);
}

/**
 * Reads an asset through the API. The server answers with the bytes or with a redirect to where they are; the token is
 * for the API only and never goes there.
 */
async function openAsset(api: GithubApi, asset: Asset, options: OpenOptions): Promise<FeedFile> {
  const { owner, repo } = api;
  const headers = { 'accept-encoding': 'identity', ...rangeHeaders(options) };
  const answer = await api.call(
    `read ${asset.name}`,
    async ({ request }) =>
      await request('GET /repos/{owner}/{repo}/releases/assets/{asset_id}', {
        owner,
        repo,
        asset_id: asset.id,
        headers: { ...headers, accept: 'application/octet-stream' },
        request: { redirect: 'manual', parseSuccessResponseBody: false },
      }),
  );
  const { status, headers: answered } = answer;
  const body: unknown = answer.data;
  if (answered.location === undefined) return { stream: streamOf(body), offset: offsetOf(answered, status) };
  if (body instanceof ReadableStream) await body.cancel();
  const signal = options.signal ?? api.signal;
  const elsewhere = await fetch(answered.location, { headers, ...(signal === undefined ? {} : { signal }) });
  if (!elsewhere.ok) {
    await elsewhere.body?.cancel();
    throw new TreesError('FEED_UNREACHABLE', `cannot read ${asset.name} of ${api.url}: status ${elsewhere.status}`, {
      hint: 'run the command again: it goes on from here',
    });
  }
  return {
    stream: streamOf(elsewhere.body),
    offset: offsetOf(Object.fromEntries(elsewhere.headers), elsewhere.status),
  };
}

function streamOf(body: unknown): Readable {
  if (body instanceof ReadableStream) return Readable.fromWeb(body);
  return Readable.from([]);
}

/** Reads the assets of one release, a draft for example. */
export function assetsFeed(api: GithubApi, assets: () => Promise<ReadonlyMap<string, Asset>>): Feed {
  return {
    url: api.url,
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
    url: api.url,
    async open(file, options = {}) {
      const release = options.release ?? (await currentRelease(api))?.tag;
      if (release === undefined) return undefined;
      return await assetsFeed(api, async () => await assetsOf(release)).open(file, options);
    },
  };
}
