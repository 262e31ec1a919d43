import type { GithubApi } from './api.js';
import { isStatus, requestErrorOf } from './request-error.js';

/** What we need to know of a release. */
export interface Release {
  readonly id: number;
  readonly tag: string;
  readonly draft: boolean;
  /** Neither its assets nor its tag can be changed; the repository is set up so. */
  readonly immutable: boolean;
  readonly body: string;
  readonly uploadUrl: string;
  /** ISO 8601. */
  readonly created: string;
}

export interface Asset {
  readonly id: number;
  readonly name: string;
  readonly size: number;
  /** `uploaded`; `starter` for what an interrupted upload left. */
  readonly state: string;
  /** Hexadecimal; undefined where the server gives none. */
  readonly sha256: string | undefined;
  /** ISO 8601. */
  readonly updated: string;
}

interface ReleaseData {
  readonly id: number;
  readonly tag_name: string;
  readonly draft: boolean;
  readonly immutable?: boolean | undefined;
  readonly body?: string | null | undefined;
  readonly upload_url: string;
  readonly created_at: string;
}

interface AssetData {
  readonly id: number;
  readonly name: string;
  readonly size: number;
  readonly state: string;
  readonly digest: string | null;
  readonly updated_at: string;
}

export function releaseOf(data: ReleaseData): Release {
  const { id, draft, body } = data;
  return {
    id,
    tag: data.tag_name,
    draft,
    immutable: data.immutable === true,
    body: body ?? '',
    uploadUrl: data.upload_url,
    created: data.created_at,
  };
}

export function assetOf({ id, name, size, state, digest, updated_at: updated }: AssetData): Asset {
  const sha256 = /^sha256:([0-9a-f]{64})$/.exec(digest ?? '')?.[1];
  return { id, name, size, state, sha256, updated };
}

const PAGE = 100;

/** All releases, drafts included; newest first. */
export async function listReleases(api: GithubApi): Promise<Release[]> {
  const { owner, repo } = api;
  const releases: Release[] = [];
  for (let page = 1; ; page += 1) {
    const { data } = await api.call(
      'list the releases',
      async ({ rest }) => await rest.repos.listReleases({ owner, repo, per_page: PAGE, page }),
    );
    releases.push(...data.map(releaseOf));
    if (data.length < PAGE) return releases;
  }
}

export async function listAssets(api: GithubApi, releaseId: number): Promise<Asset[]> {
  const { owner, repo } = api;
  const assets: Asset[] = [];
  for (let page = 1; ; page += 1) {
    const { data } = await api.call(
      'list the assets of a release',
      async ({ rest }) =>
        await rest.repos.listReleaseAssets({ owner, repo, release_id: releaseId, per_page: PAGE, page }),
    );
    assets.push(...data.map(assetOf));
    if (data.length < PAGE) return assets;
  }
}

/** The release that readers without an API get; undefined if none is published. */
export async function latestRelease(api: GithubApi): Promise<Release | undefined> {
  const { owner, repo } = api;
  return await find(api, async () => await api.octokit.rest.repos.getLatestRelease({ owner, repo }));
}

/** The published release of a tag. */
export async function releaseByTag(api: GithubApi, tag: string): Promise<Release | undefined> {
  const { owner, repo } = api;
  return await find(api, async () => await api.octokit.rest.repos.getReleaseByTag({ owner, repo, tag }));
}

export async function releaseById(api: GithubApi, id: number): Promise<Release | undefined> {
  const { owner, repo } = api;
  return await find(api, async () => await api.octokit.rest.repos.getRelease({ owner, repo, release_id: id }));
}

async function find(api: GithubApi, get: () => Promise<{ data: ReleaseData }>): Promise<Release | undefined> {
  const missing = (error: unknown): boolean => isStatus(error, 404);
  try {
    return releaseOf((await api.call('read a release', get, { pass: missing })).data);
  } catch (error) {
    if (missing(error)) return undefined;
    throw error;
  }
}

/** Deletes something that may be gone already: a repeated request must not fail. */
export async function deleteQuietly(api: GithubApi, what: string, action: () => Promise<unknown>): Promise<void> {
  // Refs that are gone are answered with 422, "Reference does not exist".
  const gone = (error: unknown): boolean =>
    isStatus(error, 404) || /reference does not exist/i.test(requestErrorOf(error)?.reason ?? '');
  try {
    await api.call(what, action, { changes: true, pass: gone });
  } catch (error) {
    if (!gone(error)) throw error;
  }
}

export async function deleteRelease(api: GithubApi, id: number): Promise<void> {
  const { owner, repo } = api;
  const remove = async () => await api.octokit.rest.repos.deleteRelease({ owner, repo, release_id: id });
  await deleteQuietly(api, 'delete a release', remove);
}

export async function deleteRef(api: GithubApi, ref: string): Promise<void> {
  const { owner, repo } = api;
  await deleteQuietly(
    api,
    `delete the ref ${ref}`,
    async () => await api.octokit.rest.git.deleteRef({ owner, repo, ref }),
  );
}

export async function deleteAsset(api: GithubApi, id: number): Promise<void> {
  const { owner, repo } = api;
  const remove = async () => await api.octokit.rest.repos.deleteReleaseAsset({ owner, repo, asset_id: id });
  await deleteQuietly(api, 'delete an asset', remove);
}
