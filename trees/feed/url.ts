import { isAbsolute, resolve } from 'node:path';
import { usageError } from '../errors.js';
import { formatLegacyRepository, type LegacyRepository, parseLegacyRepository } from './legacy-url.js';

/** A feed's URL, taken apart. */
export type FeedUrl =
  | { readonly scheme: 'dir'; readonly href: string; readonly path: string }
  | { readonly scheme: 'http'; readonly href: string; readonly base: URL }
  | { readonly scheme: 'github'; readonly href: string; readonly owner: string; readonly repo: string }
  /** Releases of the original project: nothing there is signed. */
  | ({ readonly scheme: 'legacy'; readonly href: string } & LegacyRepository);

const NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;
const GITHUB = /^([A-Za-z0-9](?:[A-Za-z0-9-]{0,38}))\/([A-Za-z0-9._-]{1,100})$/;
const HINT = 'a feed is dir:/absolute/path, https://host/path/, github:owner/repo or legacy:owner/repo';

function parseHttp(url: string): FeedUrl {
  // Without the final slash the last component would be replaced by the name of the file.
  const text = url.endsWith('/') ? url : `${url}/`;
  const base = URL.canParse(text) ? new URL(text) : undefined;
  if (base === undefined || base.hostname === '') throw usageError(`Expected feed URL to be valid, got "${url}"`, HINT);
  if (base.username !== '' || base.password !== '') {
    throw usageError(`Expected feed URL to be without user name and password, got one for ${base.host}`, HINT);
  }
  if (base.search !== '' || base.hash !== '') {
    throw usageError(`Expected feed URL to be without "?" and "#", got "${url}"`, HINT);
  }
  return { scheme: 'http', href: base.href, base };
}

/**
 * Checks a feed's URL and brings it into its one canonical form, so that the same feed is not added twice.
 * @param cwd directory that a relative `dir:` path is relative to; without it such a path is refused
 * @throws TreesError USAGE
 */
export function parseFeedUrl(url: string, cwd?: string): FeedUrl {
  const colon = url.indexOf(':');
  const scheme = url.slice(0, Math.max(colon, 0));
  const rest = url.slice(colon + 1);
  switch (scheme) {
    case 'dir': {
      if (rest === '' || rest.includes('\0') || (cwd === undefined && !isAbsolute(rest))) {
        throw usageError(`Expected feed URL to be dir: and an absolute path, got "${url}"`, HINT);
      }
      const path = resolve(cwd ?? '/', rest);
      return { scheme, href: `dir:${path}`, path };
    }
    case 'http':
    case 'https':
      return parseHttp(url);
    case 'github': {
      const [, owner, repo] = GITHUB.exec(rest) ?? [];
      if (owner === undefined || repo === undefined || repo === '.' || repo === '..') {
        throw usageError(`Expected feed URL to be github:owner/repo, got "${url}"`, HINT);
      }
      return { scheme, href: `github:${owner}/${repo}`, owner, repo };
    }
    case 'legacy': {
      const repository = parseLegacyRepository(rest);
      if (repository === undefined) {
        throw usageError(
          `Expected feed URL to be legacy:owner/repo or legacy:https://host/owner/repo, got "${url}"`,
          HINT,
        );
      }
      return { scheme, href: formatLegacyRepository(repository), ...repository };
    }
    default:
      throw usageError(`Expected feed URL to start with dir:, https:, http:, github: or legacy:, got "${url}"`, HINT);
  }
}

/** The name a feed gets if the user gives none: one word, usable before the slash of `FEED/APP`. */
export function deriveFeedName(url: FeedUrl): string {
  const words =
    url.scheme === 'dir'
      ? (url.path.split('/').at(-1) ?? '')
      : url.scheme === 'github' || url.scheme === 'legacy'
        ? `${url.owner}-${url.repo}`
        : `${url.base.hostname}${url.base.pathname}`;
  const name = words
    .toLowerCase()
    .replaceAll(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+/, '')
    .slice(0, 64)
    .replace(/[^a-z0-9]+$/, '');
  return name === '' ? 'feed' : name;
}

/** @throws TreesError USAGE */
export function checkFeedName(name: string): string {
  if (!NAME.test(name)) {
    throw usageError(
      `Expected name of the feed to be lowercase letters, digits, ".", "_" and "-", at most 64, got "${name}"`,
      'choose another one with --name',
    );
  }
  return name;
}
