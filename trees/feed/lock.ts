import { open } from 'node:fs/promises';
import { TreesError } from '../errors.js';
import { flock } from '../system/index.js';

export interface LockOptions {
  /** Seconds to wait; default without limit. */
  readonly timeout?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** What is locked, for the message. */
  readonly what: string;
}

/**
 * Runs `action` while nobody else holds the lock file. The kernel releases it when the process ends, however that is.
 * @throws TreesError LOCKED after `timeout`
 */
export async function withLock<T>(path: string, options: LockOptions, action: () => Promise<T>): Promise<T> {
  const handle = await open(path, 'a', 0o600);
  try {
    await flock(handle.fd, 'exclusive', {
      ...(options.timeout === undefined ? {} : { timeout: options.timeout }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    return await action();
  } catch (error) {
    if (!(error instanceof TreesError) || error.code !== 'LOCKED') throw error;
    throw new TreesError('LOCKED', `cannot change ${options.what}: another trees is at work on it (${path})`, {
      hint: 'wait for it to end, or allow more time with the setting lockTimeout',
      cause: error,
    });
  } finally {
    await handle.close();
  }
}
