import { checkOneOf, checkOptions, checkSignal } from './arguments.js';
import { withSignal } from './cancel.js';
import { checkTimeout, type RepoState } from './repo-state.js';
import type { LockKind, LockOptions } from './types.js';

/** Holds the repository's lock until disposed. */
export interface RepoLock extends Disposable {
  readonly kind: LockKind;
}

/** See `Repo.lock`. */
export async function lockRepo(repo: RepoState, kind: LockKind, options?: LockOptions): Promise<RepoLock> {
  checkOneOf(kind, 'kind', ['shared', 'exclusive']);
  const { timeout, signal } = checkOptions(options, 'options', ['timeout', 'signal']);
  const seconds = checkTimeout(timeout, 'options.timeout');
  const exclusive = kind === 'exclusive';
  // Not through the gate: waiting for another process must not hold up this one's other work.
  await withSignal(repo.native, checkSignal(signal, 'options.signal'), (token) =>
    repo.native.lock(repo.handle, exclusive, seconds, token),
  );
  const lock: RepoLock = {
    kind,
    [Symbol.dispose]() {
      if (repo.locks.delete(lock)) repo.native.unlock(repo.handle, exclusive);
    },
  };
  // Closed while waiting: the native handle has let go of everything.
  if (!repo.closed) repo.locks.add(lock);
  return lock;
}
