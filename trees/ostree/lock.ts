import { checkOneOf, checkOptions, checkSignal } from './arguments.js';
import { withSignal } from './cancel.js';
import { checkTimeout, ensureOpen, type RepoState } from './repo-state.js';
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
  const checked = checkSignal(signal, 'options.signal');
  let held = false;
  const lock: RepoLock = {
    kind,
    [Symbol.dispose]() {
      if (repo.locks.delete(lock) && held) repo.native.unlock(repo.handle, exclusive);
    },
  };
  // From now on the configuration stays as it is; a change under way is waited for.
  repo.locks.add(lock);
  try {
    await repo.gate.shared(() => Promise.resolve());
    ensureOpen(repo);
    // Outside the gate: waiting for another process must not hold up this one's other work.
    await withSignal(repo.native, checked, (token) => repo.native.lock(repo.handle, exclusive, seconds, token));
    held = true;
    return lock;
  } finally {
    if (!held) repo.locks.delete(lock);
  }
}
