import { closeSync, constants, fstatSync, mkdirSync, openSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno } from '../errors.js';
import { tryFlock } from '../system/calls.js';

/** Held (flock, exclusive) by the launcher or monitor for its whole life. */
export const LOCK_FILE = 'lock';
/** Held (flock, exclusive) by whoever starts the instance or changes what it consists of, and then by its launcher. */
export const STARTING_FILE = 'starting';

/** An instance that does not run, held so that nobody else starts or changes it. */
export interface Claim extends Disposable {
  /**
   * The open lock. A launcher that inherits it goes on holding the instance while it takes its own lock, so that there
   * is no moment between the two.
   */
  readonly fd: number;
}

/** Takes an instance that does not run, without waiting. */
export function tryClaim(runDir: string): Claim | 'running' | 'busy' {
  const path = join(runDir, STARTING_FILE);
  const fd = openClaim(runDir, path);
  let keep = false;
  try {
    if (!tryFlock(fd, 'exclusive')) return isHeld(join(runDir, LOCK_FILE)) ? 'running' : 'busy';
    // An instance that left nothing took the directory with it: then this is a file that nobody else finds.
    if (!isSame(fd, path)) return 'busy';
    if (isHeld(join(runDir, LOCK_FILE))) return 'running';
    keep = true;
    return heldClaim(fd);
  } finally {
    if (!keep) closeSync(fd);
  }
}

function openClaim(runDir: string, path: string): number {
  for (;;) {
    try {
      return openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw error;
    }
    // An instance that leaves nothing may remove it again before the next call.
    mkdirSync(runDir, { recursive: true, mode: 0o700 });
  }
}

function isSame(fd: number, path: string): boolean {
  const own = fstatSync(fd, { bigint: true });
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  return found?.ino === own.ino && found.dev === own.dev;
}

function heldClaim(fd: number): Claim {
  let open = true;
  return {
    fd,
    [Symbol.dispose]: () => {
      if (open) closeSync(fd);
      open = false;
    },
  };
}

/** Whether somebody holds a lock file exclusively. Looking takes it shared for an instant. */
export function isHeld(path: string): boolean {
  const fd = holdShared(path);
  if (typeof fd === 'number') closeSync(fd);
  return fd === 'held';
}

/** @returns the open file; undefined if there is none */
export function holdShared(path: string): number | 'held' | undefined {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
  let keep = false;
  try {
    keep = tryFlock(fd, 'shared');
    return keep ? fd : 'held';
  } finally {
    if (!keep) closeSync(fd);
  }
}
