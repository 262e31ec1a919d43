import { closeSync, constants, fstatSync, mkdirSync, openSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isErrno, TreesError } from '../errors.js';
import { tryFlock } from '../system/index.js';
import { isHeld, LOCK_FILE, STARTING_FILE } from './instances.js';

export interface ClaimOptions {
  /** What it is for, for messages: `run`, `reset`. */
  readonly what: string;
  /** Seconds to wait for another command that is at work on the instance. */
  readonly timeout: number;
  readonly signal?: AbortSignal | undefined;
}

/** An instance that does not run, held so that nobody else starts or changes it. */
export interface Claim extends Disposable {
  /**
   * The open lock. A launcher that inherits it goes on holding the instance while it takes its own lock, so that there
   * is no moment between the two.
   */
  readonly fd: number;
}

const FIRST_PAUSE_MS = 2;
const MAX_PAUSE_MS = 100;

/**
 * Takes an instance that does not run. Two commands that start one at the same moment take turns here, and the second finds
 * it running.
 * @throws TreesError INSTANCE_RUNNING, LOCKED when another command holds it for longer than `timeout`
 */
export async function claimInstance(runDir: string, name: string, options: ClaimOptions): Promise<Claim> {
  const deadline = performance.now() + options.timeout * 1000;
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, MAX_PAUSE_MS)) {
    const claim = tryClaim(runDir);
    if (claim === 'running') throw alreadyRunning(name, options.what);
    if (claim !== 'busy') return claim;
    if (performance.now() >= deadline) {
      throw new TreesError('LOCKED', `cannot ${options.what} ${name}: another command is at work on it`, {
        hint: 'try again when it is done',
        details: { name },
      });
    }
    await sleep(pause, undefined, options.signal === undefined ? {} : { signal: options.signal });
  }
}

/** As `claimInstance`, without waiting. */
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
    mkdirSync(runDir, { recursive: true, mode: 0o700 });
    try {
      return openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
    } catch (error) {
      // Removed by an instance that left nothing, between the two calls.
      if (!isErrno(error, 'ENOENT')) throw error;
    }
  }
}

function isSame(fd: number, path: string): boolean {
  const own = fstatSync(fd);
  const found = statSync(path, { throwIfNoEntry: false });
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

export function alreadyRunning(name: string, what: string): TreesError {
  const starting = what === 'run';
  const why = starting ? 'an instance of that name is running already' : 'it is running';
  return new TreesError('INSTANCE_RUNNING', `cannot ${what} ${name}: ${why}`, {
    hint: `stop it first (trees stop ${name})${starting ? ', replace it (--replace), or start another one (--name)' : ''}`,
    details: { name },
  });
}
