/**
 * The system calls that a start needs, apart from the others: what they are in is a part of what every command loads.
 * Failures are Node-style errors with `code`, `syscall` and `path`.
 */

import { loadNative } from '../native-loader.js';

interface Native {
  flock(fd: number, operation: number): boolean;
  isTerminal(fd: number): boolean;
  memfd(name: string, bytes: Uint8Array): number;
  crc32(bytes: Uint8Array, start: number): number;
  preload(library: string): void;
  execve(path: string, argv: readonly string[], env: readonly string[], keep: readonly number[]): never;
}

const native = (): Native => loadNative<Native>('system');

export type LockMode = 'shared' | 'exclusive';

const LOCK = { shared: 1, exclusive: 2, nonBlocking: 4 } as const;

/**
 * Takes or converts a flock(2) lock on an open file without waiting. The kernel drops it when the last duplicate of
 * the descriptor is closed, also on a crash.
 *
 * @returns false when another holder is in the way.
 */
export function tryFlock(fd: number, mode: LockMode): boolean {
  return native().flock(fd, LOCK[mode] | LOCK.nonBlocking);
}

/** Whether a descriptor is a terminal, as isatty(3) says; without loading node:tty, and the network with it. */
export function isTerminal(fd: number): boolean {
  return native().isTerminal(fd);
}

/** A sealed (unchangeable) anonymous file with these bytes. The caller closes the descriptor; exec closes it too. */
export function memfd(name: string, bytes: Uint8Array): number {
  return native().memfd(name.slice(0, 200), bytes);
}

/** The CRC-32 (that of zip) of what follows `start`. */
export function crc32(bytes: Uint8Array, start: number): number {
  return native().crc32(bytes, start);
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
  return native().execve(withoutNul(program), argv.map(withoutNul), env.map(withoutNul), options.keep ?? []);
}

/** @throws TypeError */
export function withoutNul(value: string): string {
  if (value.includes('\0')) throw new TypeError(`Expected a string without NUL, got ${JSON.stringify(value)}`);
  return value;
}

/** What reads and writes repositories, see binding.gyp. */
const REPOSITORY_LIBRARY = 'libostree-1.so.1';

/**
 * Has libostree, and the sixty libraries that it needs, loaded by another thread: that takes as long as loading the
 * command that is going to need them. Never fails; who needs them loads them if they are not there.
 */
export function preloadRepository(): void {
  try {
    native().preload(REPOSITORY_LIBRARY);
  } catch {
    // Told by whoever cannot do without.
  }
}
