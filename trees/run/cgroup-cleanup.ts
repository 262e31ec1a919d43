import { closeSync, openSync, readdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno } from '../errors.js';
import { tryFlock } from '../system/index.js';
import { type CgroupLayout, type PlaceInput, placeInput, placeOf, readCgroups } from './cgroups.js';

/**
 * Removes cgroups whose launcher is gone without having done so: it was killed. A launcher holds a lock (flock) on its
 * cgroups for its whole life; one that it has just made and not locked yet it makes again.
 *
 * @returns what was removed
 */
export function cleanupCgroups(layout: CgroupLayout = readCgroups(), input: PlaceInput = placeInput()): string[] {
  return layout.hierarchies.flatMap((hierarchy) => {
    const place = placeOf(hierarchy, input);
    if (typeof place === 'string') return [];
    const parent = join(place.base, 'trees');
    return directories(parent)
      .map((name) => join(parent, name))
      .filter(removeStale);
  });
}

function removeStale(path: string): boolean {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'EACCES')) return false;
    throw error;
  }
  try {
    return tryFlock(fd, 'exclusive') && removeTree(path);
  } finally {
    closeSync(fd);
  }
}

/** An init inside may have made others below it. What has processes stays. */
function removeTree(path: string): boolean {
  for (const name of directories(path)) removeTree(join(path, name));
  try {
    rmdirSync(path);
    return true;
  } catch (error) {
    if (isErrno(error, 'EBUSY', 'ENOENT', 'ENOTEMPTY', 'EACCES', 'EPERM')) return false;
    throw error;
  }
}

function directories(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'EACCES', 'ENOTDIR')) return [];
    throw error;
  }
}
