import { createHmac } from 'node:crypto';
import { type Asset, latestRelease, now, type Repository, repositoryKey, type World } from './world.js';

function signature(world: World, path: string, expires: string): string {
  return createHmac('sha256', world.secret).update(`${path}\n${expires}`).digest('base64url');
}

/** An address of the second origin that works for `limits.signedSeconds`. */
export function signedUrl(world: World, asset: Asset): string {
  const path = `/release-assets/${asset.id}`;
  const expires = new Date(now(world).getTime() + world.limits.signedSeconds * 1000).toISOString();
  const query = new URLSearchParams({ se: expires, sig: signature(world, path, expires), name: asset.name });
  return `${world.urls.cdn}${path}?${query.toString()}`;
}

export type Signed =
  | { readonly state: 'valid'; readonly asset: Asset }
  | { readonly state: 'expired' | 'forged' | 'gone' };

/** What a signed address stands for. */
export function openSigned(world: World, url: URL): Signed {
  const expires = url.searchParams.get('se') ?? '';
  if (url.searchParams.get('sig') !== signature(world, url.pathname, expires)) return { state: 'forged' };
  if (Date.parse(expires) <= now(world).getTime()) return { state: 'expired' };
  const id = Number(url.pathname.split('/').at(-1));
  for (const repository of world.repositories.values()) {
    for (const release of repository.releases.values()) {
      const asset = release.assets.get(id);
      if (asset !== undefined) return { state: 'valid', asset };
    }
  }
  return { state: 'gone' };
}

export type WebEndpoint = 'web/latest-download' | 'web/tag-download' | 'web/refs' | 'web/other';

export interface WebAnswer {
  readonly endpoint: WebEndpoint;
  /** Name of the asset that was asked for. */
  readonly file: string;
  /** Where to go; undefined for 404. */
  readonly location: string | undefined;
  /** What is there itself. */
  readonly body?: Buffer;
}

/** What `git ls-remote` is told (gitprotocol-http, "Smart Server Response"); any commit will do, git is not asked further. */
function advertise(refs: ReadonlyMap<string, string>): Buffer {
  const line = (text: string): string => `${(text.length + 4).toString(16).padStart(4, '0')}${text}`;
  const [first, ...others] = [...refs].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([name, id]) => `${id} ${name}`);
  const list =
    first === undefined
      ? []
      : [`${first}\0multi_ack side-band-64k agent=git/github\n`, ...others.map((one) => `${one}\n`)];
  return Buffer.from(`${line('# service=git-upload-pack\n')}0000${list.map(line).join('')}0000`);
}

/**
 * The web site's download addresses. They know no tokens: drafts and private repositories are not there for anybody.
 * `latest` leads to the tagged address, which leads to the signed one.
 */
export function followWeb(world: World, pathname: string): WebAnswer {
  const [, owner = '', name = '', ...rest] = pathname.split('/').map(decodeURIComponent);
  const repository: Repository | undefined = world.repositories.get(repositoryKey(owner, name));
  const visible = repository?.isPrivate === false ? repository : undefined;
  const file = rest.at(-1) ?? '';
  if (rest.join('/') === 'info/refs') {
    const cloned = world.repositories.get(repositoryKey(owner, name.replace(/\.git$/, '')));
    const refs = cloned?.isPrivate === false ? { body: advertise(cloned.refs) } : {};
    return { endpoint: 'web/refs', file, location: undefined, ...refs };
  }
  if (rest.length === 4 && rest[0] === 'releases' && rest[1] === 'latest' && rest[2] === 'download') {
    const tag = visible === undefined ? undefined : latestRelease(visible)?.tag;
    const base = `${world.urls.web}/${owner}/${name}/releases/download`;
    const location = tag === undefined ? undefined : `${base}/${encodeURIComponent(tag)}/${encodeURIComponent(file)}`;
    return { endpoint: 'web/latest-download', file, location };
  }
  if (rest.length === 4 && rest[0] === 'releases' && rest[1] === 'download') {
    const releases = [...(visible?.releases.values() ?? [])];
    const release = releases.find(({ tag, draft }) => !draft && tag === rest[2]);
    const asset = [...(release?.assets.values() ?? [])].find((one) => one.name === file && one.state === 'uploaded');
    return { endpoint: 'web/tag-download', file, location: asset && signedUrl(world, asset) };
  }
  return { endpoint: 'web/other', file, location: undefined };
}
