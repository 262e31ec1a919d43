import { setTimeout as sleep } from 'node:timers/promises';
import { TreesError } from '../errors.js';
import { type Claim, tryClaim } from './instance-locks.js';

export interface ClaimOptions {
  /** What it is for, for messages: `run`, `reset`. */
  readonly what: string;
  /** Seconds to wait for another command that is at work on the instance. */
  readonly timeout: number;
  readonly signal?: AbortSignal | undefined;
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

export function alreadyRunning(name: string, what: string): TreesError {
  const starting = what === 'run';
  const why = starting ? 'an instance of that name is running already' : 'it is running';
  return new TreesError('INSTANCE_RUNNING', `cannot ${what} ${name}: ${why}`, {
    hint: `stop it first (trees stop ${name})${starting ? ', replace it (--replace), or start another one (--name)' : ''}`,
    details: { name },
  });
}
