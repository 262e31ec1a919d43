import { createHash, randomBytes } from 'node:crypto';

/** An uploaded file. */
export interface Asset {
  readonly id: number;
  readonly name: string;
  readonly label: string | null;
  readonly contentType: string;
  /** Bytes, as announced by the upload. */
  readonly size: number;
  /** `starter`: the upload broke off. */
  state: 'uploaded' | 'starter';
  /** Hexadecimal SHA-256, once uploaded. */
  sha256: string | undefined;
  /** Where the bytes are. */
  readonly path: string;
  readonly created: Date;
  updated: Date;
  downloads: number;
}

export interface Release {
  readonly id: number;
  tag: string;
  target: string;
  name: string | null;
  body: string | null;
  draft: boolean;
  prerelease: boolean;
  readonly created: Date;
  published: Date | null;
  immutable: boolean;
  readonly assets: Map<number, Asset>;
}

export interface Commit {
  readonly tree: string;
  readonly parents: readonly string[];
  readonly message: string;
  readonly date: Date;
}

export interface Repository {
  readonly id: number;
  readonly owner: string;
  readonly name: string;
  readonly isPrivate: boolean;
  /** Releases cannot be changed once they are published. */
  readonly immutableReleases: boolean;
  /** Full name → commit. */
  readonly refs: Map<string, string>;
  /** Commits that exist, by name. */
  readonly commits: Map<string, Commit>;
  /** Trees that exist. */
  readonly trees: Set<string>;
  readonly releases: Map<number, Release>;
  /** Release that was made the latest one explicitly. */
  latest: number | undefined;
}

/** What a caller may do. */
export type Permission = 'read' | 'write';

/** Sizes that GitHub documents; tests lower them. */
export interface Limits {
  /** Largest asset, bytes. */
  assetBytes: number;
  assetsPerRelease: number;
  /** API requests in an hour. */
  anonymous: number;
  authenticated: number;
  /** Seconds that a signed download URL is valid. */
  signedSeconds: number;
}

export interface Urls {
  /** The web site, `https://github.com`. */
  readonly web: string;
  /** Base of the REST API. */
  readonly api: string;
  /** Base of uploads; differs from `api` so that only who uses `upload_url` finds it. */
  readonly uploads: string;
  /** Where downloads are redirected to. */
  readonly cdn: string;
}

/** Everything the server knows. */
export interface World {
  readonly urls: Urls;
  /** Directory for uploaded bytes. */
  readonly directory: string;
  readonly limits: Limits;
  readonly repositories: Map<string, Repository>;
  readonly tokens: Map<string, Permission>;
  /** API requests by caller. */
  readonly used: Map<string, number>;
  /** Signs download URLs. */
  readonly secret: string;
  /** Milliseconds that this server's clock is ahead. */
  ahead: number;
  lastId: number;
}

export function nextId(world: World): number {
  world.lastId += 1;
  return world.lastId;
}

export function now(world: World): Date {
  return new Date(Date.now() + world.ahead);
}

export function repositoryKey(owner: string, name: string): string {
  return `${owner}/${name}`.toLowerCase();
}

export function randomCommit(): string {
  return createHash('sha1').update(randomBytes(20)).digest('hex');
}

/** The release that `latest` means: the one it was given to, else the newest that is neither draft nor prerelease. */
export function latestRelease(repository: Repository): Release | undefined {
  const eligible = [...repository.releases.values()].filter((release) => !release.draft && !release.prerelease);
  const chosen = eligible.find(({ id }) => id === repository.latest);
  return chosen ?? eligible.toSorted((a, b) => (b.published?.getTime() ?? 0) - (a.published?.getTime() ?? 0))[0];
}
