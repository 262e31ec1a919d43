import type { Stats } from 'node:fs';
import { statSync } from 'node:fs';
import { join } from 'node:path';

/** A directory that may hold caches, and which of the files there are to be believed. */
export interface Place {
  readonly directory: string;
  /** Mode that the directory is made with. */
  readonly mode: number;
  /** Whether nobody can have written this file or directory but those who decide what runs here anyway. */
  trusts(found: Stats): boolean;
}

const WRITABLE_BY_OTHERS = 0o022;

/**
 * Where caches are looked for, in this order: beside the packs, for all users; then where this user keeps caches.
 * @param packs directory of the packs
 */
export function cachePlaces(packs: string): Place[] {
  const self = process.geteuid?.() ?? 0;
  const installation: Place = {
    directory: join(packs, 'cache'),
    mode: 0o755,
    trusts: ({ uid, mode }) =>
      (mode & WRITABLE_BY_OTHERS) === 0 && (uid === self || uid === 0 || uid === statSync(packs).uid),
  };
  const own = ownDirectory(self);
  if (own === undefined) return [installation];
  return [
    installation,
    { directory: own, mode: 0o700, trusts: ({ uid, mode }) => (mode & WRITABLE_BY_OTHERS) === 0 && uid === self },
  ];
}

/** Not below HOME for root: sudo leaves it at the caller's, who can move files about in there. */
function ownDirectory(self: number): string | undefined {
  const { XDG_CACHE_HOME, HOME } = process.env;
  if (XDG_CACHE_HOME?.startsWith('/') === true) return join(XDG_CACHE_HOME, 'trees');
  if (self === 0) return '/var/cache/trees';
  return HOME?.startsWith('/') === true ? join(HOME, '.cache', 'trees') : undefined;
}
