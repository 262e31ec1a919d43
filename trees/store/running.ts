import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno } from '../errors.js';
import { IN_USE_FILE } from './generations.js';
import type { StorePaths } from './paths.js';

/**
 * Numbers of the generations that something runs from, for looking: nothing is locked or written. Whoever is about to
 * delete one has to take its lock.
 */
export function findRunning(paths: StorePaths, name: string, numbers: readonly number[]): number[] {
  const locked = lockedInodes();
  return numbers.filter((number) => isRunning(paths, { name, number, locked }));
}

/**
 * Inodes that are locked shared, as containers do. The kernel's list is read because trying the lock would, for that
 * instant, keep a container from starting. The device is not compared: btrfs shows another one there than stat does.
 */
function lockedInodes(): Set<string> {
  const line = /^\d+: FLOCK +ADVISORY +READ +\d+ [0-9a-f]+:[0-9a-f]+:(\d+) /gm;
  return new Set([...readFileSync('/proc/locks', 'utf8').matchAll(line)].map(([, inode]) => inode ?? ''));
}

function isRunning(
  paths: StorePaths,
  { name, number, locked }: { name: string; number: number; locked: ReadonlySet<string> },
): boolean {
  try {
    return locked.has(String(statSync(join(paths.generation(name, number), IN_USE_FILE)).ino));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false;
    throw error;
  }
}
