import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { acquireLock } from '../trees/store/locks.js';

export const SCRATCH_LOCK = '.trees-publish.lock';
const PREFIX = '.trees-publish-';

export interface ScratchOptions {
  /** Seconds to wait for another publisher. */
  readonly lockTimeout: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs `action` as the only publisher that works in a directory, with a scratch directory in it that is gone
 * afterwards. What a killed publisher has left is cleared first.
 * @throws TreesError LOCKED
 */
export async function withScratch<T>(
  directory: string,
  options: ScratchOptions,
  action: (scratch: string) => Promise<T>,
): Promise<T> {
  using _lock = await acquireLock(join(directory, SCRATCH_LOCK), 'exclusive', {
    what: `the directory ${directory}`,
    command: 'publish a release',
    timeout: options.lockTimeout,
    signal: options.signal,
  });
  for (const name of await readdir(directory)) {
    if (name.startsWith(PREFIX)) await rm(join(directory, name), { recursive: true });
  }
  return await withDirectory(directory, action);
}

/** As `withScratch`, for who holds the directory's lock already. */
export async function withDirectory<T>(parent: string, action: (scratch: string) => Promise<T>): Promise<T> {
  const scratch = await mkdtemp(join(parent, PREFIX));
  try {
    return await action(scratch);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
