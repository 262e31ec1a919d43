import { describedExample } from './validate.js';
import type { Asset, Permission, Release, Repository, World } from './world.js';

/** The account that everything belongs to. */
function user(world: World): Record<string, unknown> {
  const login = 'octocat';
  const url = `${world.urls.api}/users/${login}`;
  return {
    login,
    id: 1,
    node_id: 'MDQ6VXNlcjE=',
    avatar_url: `${world.urls.web}/images/${login}.gif`,
    gravatar_id: '',
    url,
    html_url: `${world.urls.web}/${login}`,
    followers_url: `${url}/followers`,
    following_url: `${url}/following{/other_user}`,
    gists_url: `${url}/gists{/gist_id}`,
    starred_url: `${url}/starred{/owner}{/repo}`,
    subscriptions_url: `${url}/subscriptions`,
    organizations_url: `${url}/orgs`,
    repos_url: `${url}/repos`,
    events_url: `${url}/events{/privacy}`,
    received_events_url: `${url}/received_events`,
    type: 'User',
    site_admin: false,
  };
}

const stamp = (date: Date): string => date.toISOString().replace(/\.\d+Z$/, 'Z');

export function repositoryPath({ owner, name }: Repository): string {
  return `/repos/${owner}/${name}`;
}

/** The part of a release's web addresses that names it; drafts have no tag yet. */
export function releaseName(release: Release): string {
  return release.draft ? `untagged-${release.id.toString(16).padStart(20, '0')}` : release.tag;
}

export function assetDocument(world: World, repository: Repository, release: Release, asset: Asset) {
  const { web, api } = world.urls;
  const download = `${web}/${repository.owner}/${repository.name}/releases/download`;
  return {
    url: `${api}${repositoryPath(repository)}/releases/assets/${asset.id}`,
    id: asset.id,
    node_id: `RA_${asset.id}`,
    name: asset.name,
    label: asset.label,
    uploader: user(world),
    content_type: asset.contentType,
    state: asset.state,
    size: asset.size,
    digest: asset.sha256 === undefined ? null : `sha256:${asset.sha256}`,
    download_count: asset.downloads,
    created_at: stamp(asset.created),
    updated_at: stamp(asset.updated),
    browser_download_url: `${download}/${encodeURIComponent(releaseName(release))}/${encodeURIComponent(asset.name)}`,
  };
}

export function releaseDocument(world: World, repository: Repository, release: Release) {
  const { web, api, uploads } = world.urls;
  const base = `${api}${repositoryPath(repository)}`;
  return {
    url: `${base}/releases/${release.id}`,
    assets_url: `${base}/releases/${release.id}/assets`,
    upload_url: `${uploads}${repositoryPath(repository)}/releases/${release.id}/assets{?name,label}`,
    html_url: `${web}/${repository.owner}/${repository.name}/releases/tag/${releaseName(release)}`,
    id: release.id,
    author: user(world),
    node_id: `RE_${release.id}`,
    tag_name: release.tag,
    target_commitish: release.target,
    name: release.name,
    draft: release.draft,
    immutable: release.immutable,
    prerelease: release.prerelease,
    created_at: stamp(release.created),
    updated_at: stamp(release.created),
    published_at: release.published === null ? null : stamp(release.published),
    assets: [...release.assets.values()].map((asset) => assetDocument(world, repository, release, asset)),
    tarball_url: release.draft ? null : `${base}/tarball/${release.tag}`,
    zipball_url: release.draft ? null : `${base}/zipball/${release.tag}`,
    body: release.body,
  };
}

export function refDocument(world: World, repository: Repository, ref: string, sha: string) {
  const base = `${world.urls.api}${repositoryPath(repository)}/git`;
  return {
    ref,
    node_id: `REF_${ref}`,
    url: `${base}/${ref}`,
    object: { sha, type: 'commit', url: `${base}/commits/${sha}` },
  };
}

/** Built from GitHub's own example: of a repository only a few fields matter to anybody here. */
export function repositoryDocument(
  world: World,
  repository: Repository,
  permission: Permission | undefined,
): Record<string, unknown> {
  const { web, api } = world.urls;
  const full = `${repository.owner}/${repository.name}`;
  const { source: _source, parent: _parent, ...example } = Object(describedExample('full-repository-default-response'));
  return {
    ...example,
    language: null,
    archived: false,
    permissions: { admin: false, push: permission === 'write', pull: true },
    id: repository.id,
    name: repository.name,
    full_name: full,
    private: repository.isPrivate,
    visibility: repository.isPrivate ? 'private' : 'public',
    default_branch: 'main',
    html_url: `${web}/${full}`,
    url: `${api}${repositoryPath(repository)}`,
  };
}
