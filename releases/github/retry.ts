import { parseRetryAfter } from '../../trees/feed/retry-after.js';
import type { Reporter } from '../../trees/reporter.js';
import { pause } from './pause.js';
import { requestErrorOf } from './request-error.js';

/** Times in milliseconds; tests make them short. */
export interface Pace {
  /** Before the second attempt after a broken connection or a server's error; doubled for each further one. */
  readonly retryPause: number;
  /** Before going on after a rate limit that does not say when it ends (GitHub asks for at least a minute). */
  readonly limitPause: number;
  /** The longest wait for a rate limit; one that lasts longer is an error. */
  readonly longestWait: number;
  /** Between requests that change something, once `burst` of them have been made (GitHub asks for a second). */
  readonly writePause: number;
  readonly burst: number;
  /** Without a byte of an upload, after which it is given up and begun again. */
  readonly stall: number;
  /** Between looks at another publisher's progress. */
  readonly poll: number;
  /** How long a publisher may hold a sequence number without a sign of life. */
  readonly lease: number;
}

export const DEFAULT_PACE: Pace = {
  retryPause: 1000,
  limitPause: 60_000,
  longestWait: 20 * 60_000,
  writePause: 1000,
  burst: 30,
  stall: 120_000,
  poll: 2000,
  lease: 10 * 60_000,
};

const ATTEMPTS = 6;

/** What to do after a failed request: wait so many milliseconds and try again, or nothing. */
export function waitAfter(error: unknown, attempt: number, pace: Pace, now = Date.now()): number | undefined {
  if (attempt >= ATTEMPTS) return undefined;
  const failed = requestErrorOf(error);
  if (failed === undefined) return undefined;
  const backoff = pace.retryPause * 2 ** (attempt - 1) * (0.75 + Math.random() / 2);
  const after = parseRetryAfter(failed.headers['retry-after'], now);
  if (failed.status === undefined || failed.status >= 500) return Math.max(backoff, (after ?? 0) * 1000);
  if (!failed.isRateLimit) return undefined;
  const header = (name: string): number | undefined => {
    const value = Number(failed.headers[name]);
    return failed.headers[name] === undefined || !Number.isFinite(value) ? undefined : value;
  };
  if (after !== undefined) return after * 1000;
  const reset = header('x-ratelimit-reset');
  if (header('x-ratelimit-remaining') === 0 && reset !== undefined) return Math.max(reset * 1000 - now, 0) + 1000;
  return pace.limitPause * 2 ** (attempt - 1);
}

export interface RetryOptions {
  readonly pace: Pace;
  readonly what: string;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal | undefined;
}

/** Runs a request until it succeeds, fails for good, or has failed too often. */
export async function withRetries<T>(action: () => Promise<T>, options: RetryOptions): Promise<T> {
  const { pace, signal, reporter, what } = options;
  for (let attempt = 1; ; attempt += 1) {
    signal?.throwIfAborted();
    try {
      return await action();
    } catch (error) {
      signal?.throwIfAborted();
      const wait = waitAfter(error, attempt, pace);
      if (wait === undefined || wait > pace.longestWait) throw error;
      const why = requestErrorOf(error)?.reason ?? String(error);
      if (wait >= 5000) reporter.info(`cannot ${what} yet (${why}): trying again in ${Math.ceil(wait / 1000)} s`);
      else reporter.debug(`cannot ${what} yet (${why}): trying again in ${Math.ceil(wait)} ms`);
      await pause(wait, signal);
    }
  }
}
