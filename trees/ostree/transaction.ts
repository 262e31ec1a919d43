import { checkChecksum, checkNonEmpty, checkOptions, checkSignal, invalid } from './arguments.js';
import { alone, checkTimeout, type RepoState } from './repo-state.js';
import type { BeginTransactionOptions, Cancellable, Checksum, TransactionStats } from './types.js';

interface TransactionState {
  readonly repo: RepoState;
  readonly resumed: boolean;
  ended: boolean;
}

const states = new WeakMap<object, TransactionState>();
const hidden = Symbol('constructed by Repo.beginTransaction');

/**
 * Groups writes: objects are staged, and become visible, synced once, when it commits. Everything written through the
 * same Repo meanwhile belongs to it. Aborts when disposed without having been committed.
 */
export class Transaction implements AsyncDisposable {
  /** Not for callers: see {@link beginTransaction}. */
  constructor(key: symbol, state: TransactionState) {
    if (key !== hidden) throw new TypeError('Expected Repo.beginTransaction() to be used, got new Transaction()');
    states.set(this, state);
  }

  /** Whether objects staged by an interrupted transaction of this boot were picked up. */
  get resumed(): boolean {
    return stateOf(this).resumed;
  }

  /**
   * Sets (or with `undefined` deletes) a ref when the transaction commits.
   *
   * @param ref `name` or `remote:name`.
   * @throws TypeError when the ref or the checksum is malformed, or the transaction has ended.
   */
  setRef(ref: string, checksum: Checksum | undefined): void {
    const state = activeState(this);
    const { native, handle } = state.repo;
    checkRef(state.repo, ref, 'ref');
    native.transactionSetRef(handle, ref, checksum === undefined ? undefined : checkChecksum(checksum, 'checksum'));
  }

  /** Makes everything visible. On failure, cancellation included, the transaction is aborted. */
  async commit(options?: Cancellable): Promise<TransactionStats> {
    const state = activeState(this);
    const { signal } = checkOptions(options, 'options', ['signal']);
    const checked = checkSignal(signal, 'options.signal');
    checked?.throwIfAborted();
    state.ended = true;
    const { repo } = state;
    repo.transaction = undefined;
    return alone(repo, checked, async (handle, token) => {
      try {
        return await repo.native.commitTransaction(handle, token);
      } catch (error) {
        // Cancelled before it started, say.
        await repo.native.abortTransaction(handle);
        throw error;
      } finally {
        repo.inTransaction = false;
      }
    });
  }

  /** Discards everything. Does nothing when the transaction has ended. */
  async abort(): Promise<void> {
    const state = stateOf(this);
    if (state.ended) return;
    state.ended = true;
    const { repo } = state;
    repo.transaction = undefined;
    // A closed repository has aborted it already.
    if (repo.closed) return;
    await alone(repo, undefined, async (handle) => {
      try {
        await repo.native.abortTransaction(handle);
      } finally {
        repo.inTransaction = false;
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.abort();
  }
}

export async function beginTransaction(repo: RepoState, options?: BeginTransactionOptions): Promise<Transaction> {
  const { signal, lockTimeout } = checkOptions(options, 'options', ['signal', 'lockTimeout']);
  const timeout = checkTimeout(lockTimeout, 'options.lockTimeout');
  const checked = checkSignal(signal, 'options.signal');
  if (repo.transaction !== undefined) {
    throw new TypeError(
      'Expected this to be a Repo without an open transaction, got one that has one (open the repository a second time for independent work)',
    );
  }
  const claim = {};
  repo.transaction = claim;
  try {
    return await alone(repo, checked, async (handle, token) => {
      const resumed = await repo.native.prepareTransaction(handle, timeout, token);
      repo.inTransaction = true;
      const transaction = new Transaction(hidden, { repo, resumed, ended: false });
      repo.transaction = transaction;
      return transaction;
    });
  } catch (error) {
    if (repo.transaction === claim) repo.transaction = undefined;
    throw error;
  }
}

/**
 * Runs work that needs a transaction: in the open one if there is one (the caller's commit makes it visible), else
 * `own` is true and the work brings its own.
 */
export function joinTransaction<T>(
  repo: RepoState,
  signal: AbortSignal | undefined,
  work: (own: boolean, ...rest: Parameters<Parameters<typeof alone<T>>[2]>) => Promise<T>,
): Promise<T> {
  return alone(repo, signal, (handle, token) => work(!repo.inTransaction, handle, token));
}

/** @throws TypeError with libostree's complaint. */
export function checkRef(repo: RepoState, value: unknown, name: string): string {
  const ref = checkNonEmpty(value, name);
  const complaint = repo.native.checkRef(ref);
  if (complaint !== undefined) throw invalid(name, `a ref (${complaint})`, ref);
  return ref;
}

function stateOf(transaction: unknown): TransactionState {
  const state = typeof transaction === 'object' && transaction !== null ? states.get(transaction) : undefined;
  if (state === undefined) throw invalid('this', 'a Transaction', transaction);
  return state;
}

function activeState(transaction: unknown): TransactionState {
  const state = stateOf(transaction);
  if (state.ended) throw new TypeError('Expected this to be an open transaction, got one that has ended');
  if (state.repo.closed) throw new TypeError('Expected this to be an open transaction, got one whose Repo was closed');
  return state;
}
