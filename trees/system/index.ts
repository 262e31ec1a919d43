/** System calls that Node lacks. Failures are Node-style errors with `code`, `syscall` and `path`. */

import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { TreesError } from '../errors.js';
import { loadNative } from '../native-loader.js';

interface Native {
  flock(fd: number, operation: number): boolean;
  isTerminal(fd: number): boolean;
  syncfs(fd: number): Promise<void>;
  rename2(from: string, to: string, flags: number): void;
  memfd(name: string, bytes: Uint8Array): number;
  getXattr(path: string, name: string): Buffer | undefined;
  setXattr(path: string, name: string, value: Uint8Array): void;
  listXattrs(path: string): string[];
  execve(
    path: string,
    argv: readonly string[],
    env: readonly string[],
    keep: readonly number[],
    nofileSoft: number,
  ): never;
}

const native = (): Native => loadNative<Native>('system');

export type LockMode = 'shared' | 'exclusive';

const LOCK = { shared: 1, exclusive: 2, nonBlocking: 4, unlock: 8 } as const;

/**
 * Takes or converts a flock(2) lock on an open file without waiting. The kernel drops it when the last duplicate of
 * the descriptor is closed, also on a crash.
 *
 * @returns false when another holder is in the way.
 */
export function tryFlock(fd: number, mode: LockMode): boolean {
  return native().flock(fd, LOCK[mode] | LOCK.nonBlocking);
}

/** Gives up the flock(2) lock of an open file. */
export function unlock(fd: number): void {
  native().flock(fd, LOCK.unlock);
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

/** Whether a descriptor is a terminal, as isatty(3) says; without loading node:tty, and the network with it. */
export function isTerminal(fd: number): boolean {
  return native().isTerminal(fd);
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
  native().rename2(path(from), path(to), 1);
}

/** Swaps two existing paths atomically. */
export function renameExchange(a: string, b: string): void {
  native().rename2(path(a), path(b), 2);
}

/** A sealed (unchangeable) anonymous file with these bytes. The caller closes the descriptor; exec closes it too. */
export function memfd(name: string, bytes: Uint8Array): number {
  return native().memfd(name.slice(0, 200), bytes);
}

/** An extended attribute of the file itself (symlinks are not followed); `undefined` if it has none of that name. */
export function getXattr(file: string, name: string): Buffer | undefined {
  return native().getXattr(path(file), name);
}

/** Sets an extended attribute of the file itself. */
export function setXattr(file: string, name: string, value: Uint8Array): void {
  native().setXattr(path(file), name, value);
}

/** Names of the extended attributes of the file itself. */
export function listXattrs(file: string): string[] {
  return native().listXattrs(path(file));
}

/**
 * Replaces this process by a program, so that no Node process stays behind. What Node changed in the process is put
 * back first: non-blocking stdio, ignored SIGPIPE, signal mask, raised descriptor limit. Main thread only.
 *
 * @param options.keep descriptors above 2 that the program inherits; all others are closed
 * @throws the system error when the program cannot be executed; the process then goes on.
 */
export function execve(
  program: string,
  argv: readonly string[],
  options: { env: Readonly<Record<string, string>>; keep?: readonly number[] },
): never {
  const env = Object.entries(options.env).map(([name, value]) => `${name}=${value}`);
  return native().execve(path(program), argv.map(path), env.map(path), options.keep ?? [], softFileLimit());
}

/**
 * Node raises the soft limit of open files to the hard one and forgets what it was. The parent (the user's shell)
 * still has it; 1024, the kernel's own default, where that cannot be read.
 */
function softFileLimit(): number {
  try {
    const limits = readFileSync(`/proc/${process.ppid}/limits`, 'utf8');
    const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
    return soft === undefined ? 1024 : Number(soft);
  } catch {
    return 1024;
  }
}

function path(value: string): string {
  if (value.includes('\0')) throw new TypeError(`Expected a string without NUL, got ${JSON.stringify(value)}`);
  return value;
}
