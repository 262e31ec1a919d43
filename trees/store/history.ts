import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno } from '../errors.js';
import { findGeneration, type Generation, IN_USE_FILE, requireInstalled } from './generations.js';
import type { StorePaths } from './paths.js';
import { type Pin, readPin } from './pins.js';

export interface HistoryEntry {
  readonly number: number;
  /** Undefined if its record is damaged. */
  readonly generation: Generation | undefined;
  readonly current: boolean;
  /** Kept by gc because the app was pinned at it. */
  readonly pinned: boolean;
  /** Something runs from it. */
  readonly running: boolean;
}

export interface History {
  readonly pin: Pin | undefined;
  /** Oldest first. */
  readonly generations: readonly HistoryEntry[];
}

/**
 * The generations of an installed app. Reads links and JSON only.
 * @throws TreesError APP_NOT_INSTALLED, STORE_CORRUPT
 */
export function readHistory(paths: StorePaths, name: string): History {
  const { current, generations } = requireInstalled(paths, name);
  const pin = readPin(paths, name);
  const locked = lockedInodes();
  return {
    pin,
    generations: generations.map((number) => ({
      number,
      generation: findGeneration(paths, name, number),
      current: number === current.number,
      pinned: number === pin?.generation,
      running: isRunning(paths, { name, number, locked }),
    })),
  };
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
