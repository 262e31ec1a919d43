import { userInfo } from 'node:os';
import { isErrno, TreesError, usageError } from '../errors.js';
import { may, noteUnknowable, readTextFile } from '../inputs.js';
import type { UsernsSpec } from './container.js';
import type { IdMap } from './plan-format.js';
import type { IdsRequest } from './security.js';

/** Setuid helpers that give an unprivileged caller the ids that /etc/subuid and /etc/subgid grant. */
const HELPERS = ['/usr/bin/newuidmap', '/usr/bin/newgidmap'];
const RANGE_SIZE = 65_536;

/**
 * What `--userns` and `--uidmap` ask for.
 * @throws TreesError `USAGE`, `LAUNCH_FAILED`
 */
export function askedIds(asked: IdsRequest, root: boolean): UsernsSpec {
  if (asked.kind === 'map') {
    if (root) return { uid: asked.uid, gid: asked.gid };
    requireHelpers('use these user ids');
    return { uid: asked.uid, gid: asked.gid, helped: true };
  }
  if (root) throw usageError('Expected --userns keep-id from an unprivileged user: root’s own id is that of the host');
  const own = caller();
  const ranges = subordinate(own);
  requireHelpers('keep the user id');
  if (ranges === undefined) throw noRanges('keep the user id', own.username);
  return {
    uid: keep(asked.uid ?? own.uid, own.uid, ranges.uid),
    gid: keep(asked.gid ?? own.gid, own.gid, ranges.gid),
    helped: true,
  };
}

/**
 * What an unprivileged caller gets: itself as root, and nobody else; that needs nothing to be set up. If the command
 * runs as another user, subordinate ids, if there are any.
 */
export function unprivilegedIds(user: string | undefined): UsernsSpec {
  if (user === undefined || /^(root|0)(:(root|0))?$/.test(user)) return 'self';
  const own = caller();
  const ranges = hasHelpers() ? subordinate(own) : undefined;
  if (ranges === undefined) return 'self'; // the launcher says what that cannot do
  return { uid: keep(0, own.uid, ranges.uid), gid: keep(0, own.gid, ranges.gid), helped: true };
}

/** Ids of the range around the caller's own, which is `id` inside. */
function keep(id: number, own: number, range: Range): readonly IdMap[] {
  const below = Math.min(id, range.count);
  const above = Math.min(range.count - below, RANGE_SIZE - 1 - below);
  return [
    ...(below === 0 ? [] : [{ inside: 0, outside: range.start, count: below }]),
    { inside: id, outside: own, count: 1 },
    ...(above <= 0 ? [] : [{ inside: id + 1, outside: range.start + below, count: above }]),
  ];
}

interface Range {
  readonly start: number;
  readonly count: number;
}

function subordinate(own: { username: string; uid: number }): { uid: Range; gid: Range } | undefined {
  const uid = findRange('/etc/subuid', own);
  const gid = findRange('/etc/subgid', own);
  return uid === undefined || gid === undefined ? undefined : { uid, gid };
}

/** `name:start:count` a line; the name may be a number. */
function findRange(file: string, { username, uid }: { username: string; uid: number }): Range | undefined {
  try {
    for (const line of readTextFile(file).split('\n')) {
      const [name, start, count] = line.split(':');
      if (name !== username && name !== String(uid)) continue;
      if (Number(count) > 0) return { start: Number(start), count: Number(count) };
    }
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'EACCES')) throw error;
  }
  return undefined;
}

function caller(): { username: string; uid: number; gid: number } {
  const uid = process.geteuid?.() ?? 0;
  const gid = process.getegid?.() ?? 0;
  noteUnknowable('the user’s name, which comes from wherever the system keeps users');
  try {
    return { username: userInfo().username, uid, gid };
  } catch {
    return { username: String(uid), uid, gid }; // without an entry in passwd
  }
}

function hasHelpers(): boolean {
  return HELPERS.every((path) => may('executable', path));
}

function requireHelpers(what: string): void {
  if (hasHelpers()) return;
  throw new TreesError('LAUNCH_FAILED', `cannot ${what}: ${HELPERS.join(' and ')} are missing`, {
    hint: 'install them: package uidmap (shadow-utils, shadow-uidmap)',
  });
}

function noRanges(what: string, user: string): TreesError {
  return new TreesError('LAUNCH_FAILED', `cannot ${what}: /etc/subuid and /etc/subgid have no range for ${user}`, {
    hint: `as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ${user}`,
  });
}
