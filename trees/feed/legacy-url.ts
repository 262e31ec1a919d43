import { usageError } from '../errors.js';

/** A repository with releases of the original project. */
export interface LegacyRepository {
  /** Web server without a final slash; undefined: the one that `github:` means. */
  readonly server: string | undefined;
  readonly owner: string;
  readonly repo: string;
}

/** One release of it. */
export interface LegacyReference extends LegacyRepository {
  /** As the user wrote it. */
  readonly url: string;
  readonly name: string;
  readonly tag: string | undefined;
}

const PREFIX = 'legacy:';
const PLACE =
  /^(?:(https?:\/\/[^\s/?#@]+(?:\/[^\s/?#@]+)*)\/)?([A-Za-z0-9][A-Za-z0-9-]{0,38})\/([A-Za-z0-9_-][A-Za-z0-9._-]{0,99})$/;
const RELEASE = /^([a-z0-9][a-z0-9._-]{0,63})(?:@([A-Za-z0-9][A-Za-z0-9._-]{0,99}))?$/;

export function isLegacyReference(text: string): boolean {
  return text.startsWith(PREFIX);
}

/** `OWNER/REPO`, with the server before it where that is not the usual one. @returns undefined if it is something else */
export function parseLegacyRepository(text: string): LegacyRepository | undefined {
  const [, server, owner, repo] = PLACE.exec(text) ?? [];
  return owner === undefined || repo === undefined ? undefined : { server, owner, repo };
}

export function formatLegacyRepository({ server, owner, repo }: LegacyRepository): string {
  return `${PREFIX}${server === undefined ? '' : `${server}/`}${owner}/${repo}`;
}

/** @throws TreesError USAGE */
export function parseLegacyReference(url: string): LegacyReference {
  const slash = url.lastIndexOf('/');
  const place = parseLegacyRepository(url.slice(PREFIX.length, Math.max(slash, 0)));
  const [, name, tag] = RELEASE.exec(url.slice(slash + 1)) ?? [];
  if (!isLegacyReference(url) || place === undefined || name === undefined) {
    throw usageError(
      `Expected legacy:OWNER/REPO/NAME or legacy:OWNER/REPO/NAME@TAG, got "${url}"`,
      'for example: legacy:untoreh/trees/etcd; another server than github.com goes before OWNER: legacy:https://HOST/OWNER/REPO/NAME',
    );
  }
  return { ...place, url, name, tag };
}
