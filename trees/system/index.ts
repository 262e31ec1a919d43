/** System calls that Node lacks. Failures are Node-style errors with `code`, `syscall` and `path`. */

import { closeSync, openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { TreesError } from '../errors.js';
import { loadNative } from '../native-loader.js';
import { type LockMode, tryFlock, withoutNul } from './calls.js';

export { crc32, execve, isTerminal, memfd, tryFlock } from './calls.js';

interface Native {
  flock(fd: number, operation: number): boolean;
  syncfs(fd: number): Promise<void>;
  rename2(from: string, to: string, flags: number): void;
  getXattr(path: string, name: string): Buffer | undefined;
  setXattr(path: string, name: string, value: Uint8Array): void;
  listXattrs(path: string): string[];
}

const native = (): Native => loadNative<Native>('system');

const LOCK_UN = 8;

/** Gives up the flock(2) lock of an open file. */
export function unlock(fd: number): void {
  native().flock(fd, LOCK_UN);
}

/**
 * Waits for a flock(2) lock. It polls, at first every 5 ms and then every 100 ms, so that it can be given up and
 * takes no thread of the pool.
 *
 * @param options.timeout seconds to wait, default without limit
 * @throws TreesError `LOCKED` after `timeout`; the signal's reason when aborted.
 */
export async function flock(
  fd: number,
  mode: LockMode,
  options: { timeout?: number; signal?: AbortSignal } = {},
): Promise<void> {
  const deadline = options.timeout === undefined ? Infinity : performance.now() + options.timeout * 1000;
  for (let pause = 5; !tryFlock(fd, mode); pause = Math.min(pause * 2, 100)) {
    options.signal?.throwIfAborted();
    if (performance.now() >= deadline) {
      throw new TreesError('LOCKED', `cannot lock: another process holds it (waited ${options.timeout} s)`);
    }
    await sleep(pause, undefined, options.signal === undefined ? {} : { signal: options.signal });
  }
}

/** Writes everything that is dirty on the file system of `target` (path or descriptor) to disk. Off the main thread. */
export async function syncfs(target: string | number): Promise<void> {
  if (typeof target === 'number') return native().syncfs(target);
  const fd = openSync(target, 'r');
  try {
    const done = native().syncfs(fd);
    return await done;
  } finally {
    closeSync(fd);
  }
}

/** Renames; fails with `EEXIST` where rename(2) would replace `to`. */
export function renameNoReplace(from: string, to: string): void {
  native().rename2(withoutNul(from), withoutNul(to), 1);
}

/** Swaps two existing paths atomically. */
export function renameExchange(a: string, b: string): void {
  native().rename2(withoutNul(a), withoutNul(b), 2);
}

/** An extended attribute of the file itself (symlinks are not followed); `undefined` if it has none of that name. */
export function getXattr(file: string, name: string): Buffer | undefined {
  return native().getXattr(withoutNul(file), name);
}

/** Sets an extended attribute of the file itself. */
export function setXattr(file: string, name: string, value: Uint8Array): void {
  native().setXattr(withoutNul(file), name, value);
}

/** Names of the extended attributes of the file itself. */
export function listXattrs(file: string): string[] {
  return native().listXattrs(withoutNul(file));
}
