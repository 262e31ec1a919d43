import { closeSync, fstatSync, ftruncateSync, openSync, readSync, statSync, unlinkSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { isErrno, TreesError } from '../errors.js';
import { type Reporter, silentReporter } from '../reporter.js';
import { tryFlock } from '../system/index.js';

export type LockKind = 'shared' | 'exclusive';

export interface LockOptions {
  /** What is locked, for people: `the store /var/lib/trees`. */
  readonly what: string;
  /** What this process does with it, for those who wait: `install etcd`. */
  readonly command: string;
  /** Seconds to wait; 0 only tries. */
  readonly timeout: number;
  readonly signal?: AbortSignal | undefined;
  readonly reporter?: Reporter | undefined;
  /** Write nothing, so that it works on a read-only file system: where there is no lock file nobody has ever locked. */
  readonly readOnly?: boolean | undefined;
}

/** Held until disposed of, or until the process ends, however it ends: the kernel releases it. */
export interface Lock extends Disposable {
  readonly path: string;
  /** Releases and deletes the lock file. Only for exclusive locks of things that are gone. */
  releaseAndDelete(): void;
}

const FIRST_DELAY_MS = 10;
const MAX_DELAY_MS = 200;

/**
 * Takes a file lock (flock). The file is created if need be and says who holds it.
 * @throws TreesError LOCKED naming the holder after `timeout` seconds, CANCELLED when aborted
 */
export async function acquireLock(path: string, kind: LockKind, options: LockOptions): Promise<Lock> {
  const reporter = options.reporter ?? silentReporter;
  const deadline = performance.now() + options.timeout * 1000;
  let delay = FIRST_DELAY_MS;
  let told = false;
  for (;;) {
    const lock = options.readOnly === true ? tryReadLock(path, kind) : tryLock(path, kind, options.command);
    if (lock !== undefined) return lock;
    const holder = readHolder(path);
    const left = deadline - performance.now();
    if (left <= 0) throw lockedError(options, holder);
    if (!told && delay > FIRST_DELAY_MS) {
      reporter.info(`waiting for ${options.what}, which is held by ${holder}`);
      told = true;
    }
    await pause(Math.min(delay, left), options);
    delay = Math.min(delay * 2, MAX_DELAY_MS);
  }
}

/**
 * Takes the lock if nobody holds it in the way; undefined otherwise. Never waits.
 * @param command what is written into the file; without it the file stays as it is
 */
export function tryLock(path: string, kind: LockKind, command?: string): Lock | undefined {
  for (;;) {
    const fd = openSync(path, 'a+', 0o600);
    let keep = false;
    try {
      if (!tryFlock(fd, kind)) return undefined;
      // Its holder may have deleted the file between our open and our lock: then we hold something nobody else finds.
      if (!isSameFile(fd, path)) continue;
      if (command !== undefined) writeHolder(fd, command);
      keep = true;
      return heldLock(fd, path);
    } finally {
      if (!keep) closeSync(fd);
    }
  }
}

/** As `tryLock`, without creating the file or writing to it: where there is none nobody has ever locked. */
export function tryReadLock(path: string, kind: LockKind): Lock | undefined {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return { path, releaseAndDelete: () => undefined, [Symbol.dispose]: () => undefined };
    throw error;
  }
  let keep = false;
  try {
    if (!tryFlock(fd, kind)) return undefined;
    keep = true;
    return heldLock(fd, path);
  } finally {
    if (!keep) closeSync(fd);
  }
}

function heldLock(fd: number, path: string): Lock {
  let open = true;
  const release = (before?: () => void): void => {
    if (!open) return;
    open = false;
    try {
      before?.();
    } finally {
      closeSync(fd);
    }
  };
  return {
    path,
    releaseAndDelete: () => release(() => unlinkSync(path)),
    [Symbol.dispose]: () => release(),
  };
}

function isSameFile(fd: number, path: string): boolean {
  const ours = fstatSync(fd);
  try {
    const found = statSync(path);
    return found.ino === ours.ino && found.dev === ours.dev;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false;
    throw error;
  }
}

/** For people only: with several shared holders the latest one is named, and a crashed one's record stays. */
function writeHolder(fd: number, command: string): void {
  ftruncateSync(fd, 0);
  writeSync(fd, `${process.pid}\n${command}\n`);
}

function readHolder(path: string): string {
  const unknown = 'another process';
  let content: string;
  try {
    const fd = openSync(path, 'r');
    try {
      const buffer = Buffer.alloc(512);
      content = buffer.toString('utf8', 0, readSync(fd, buffer, 0, buffer.length, 0));
    } finally {
      closeSync(fd);
    }
  } catch {
    return unknown;
  }
  const [pid = '', command = ''] = content.split('\n');
  if (!/^\d+$/.test(pid) || !isAlive(Number(pid))) return unknown;
  return `process ${pid} (${command.replaceAll(/\p{Cc}/gu, '?')})`;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return isErrno(error, 'EPERM');
  }
}

function lockedError(options: LockOptions, holder: string): TreesError {
  const waited = options.timeout > 0 ? ` for more than ${options.timeout} s` : '';
  return new TreesError('LOCKED', `cannot ${options.command}: ${options.what} is held by ${holder}${waited}`, {
    hint: 'try again when it is done, or raise lockTimeout in the settings',
    details: { holder },
  });
}

async function pause(milliseconds: number, options: LockOptions): Promise<void> {
  try {
    await sleep(milliseconds, undefined, options.signal === undefined ? {} : { signal: options.signal });
  } catch (cause) {
    throw new TreesError('CANCELLED', `${options.command} was cancelled while waiting for ${options.what}`, { cause });
  }
}
