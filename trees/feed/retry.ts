import { setTimeout as sleep } from 'node:timers/promises';
import type { Reporter } from '../reporter.js';
import { isPassing, retryAfterOf } from './failure.js';
import type { NetworkOptions } from './network.js';

export interface RetryPolicy {
  /** Failures in a row after which it is given up; 1 never tries again. */
  readonly attempts: number;
  /** Milliseconds before the second attempt; doubled for each further one. */
  readonly firstPause: number;
  /** Seconds; a server that wants to be left alone for longer is not waited for. */
  readonly longestWait: number;
}

export const defaultRetryPolicy: RetryPolicy = { attempts: 5, firstPause: 250, longestWait: 60 };

export function retryPolicy({ retries, firstPause }: NetworkOptions): RetryPolicy {
  return {
    ...defaultRetryPolicy,
    ...(retries === undefined ? {} : { attempts: retries + 1 }),
    ...(firstPause === undefined ? {} : { firstPause }),
  };
}

const LONGEST_PAUSE = 30_000;
/** Milliseconds that nobody should have to wait without knowing what for. */
const LONG_PAUSE = 3000;

export interface Retries {
  /** Something arrived: the link works, however badly, and counting starts again. */
  progress(): void;
  /**
   * Waits before the next attempt: as long as the server asks for, else twice as long as last time, with jitter, so
   * that many clients that failed together do not come back together.
   * @throws the error, if it will not pass, or has not for too long
   */
  failed(error: unknown): Promise<void>;
}

export interface RetryOptions {
  readonly policy?: RetryPolicy | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly reporter?: Reporter | undefined;
  /** Told what is waited for. */
  readonly onWait?: ((text: string) => void) | undefined;
}

export function createRetries({ policy = defaultRetryPolicy, signal, reporter, onWait }: RetryOptions): Retries {
  let failures = 0;
  return {
    progress() {
      failures = 0;
    },
    async failed(error) {
      signal?.throwIfAborted();
      failures += 1;
      const asked = retryAfterOf(error);
      if (!isPassing(error) || failures >= policy.attempts || (asked ?? 0) > policy.longestWait) throw error;
      const backoff = Math.min(LONGEST_PAUSE, policy.firstPause * 2 ** (failures - 1)) * (0.5 + Math.random() / 2);
      const pause = Math.max(asked === undefined ? 0 : asked * 1000, backoff);
      const message = error instanceof Error ? error.message : String(error);
      reporter?.debug(
        `attempt ${failures} of ${policy.attempts} failed, next in ${(pause / 1000).toFixed(1)} s: ${message}`,
      );
      if (pause >= LONG_PAUSE) reporter?.info(`${message}; trying again in ${Math.ceil(pause / 1000)} s`);
      onWait?.(asked === undefined ? 'trying again' : `the server asks to wait ${Math.ceil(asked)} s`);
      await sleep(pause, undefined, signal === undefined ? {} : { signal });
    },
  };
}
