/** What a Repo object knows and its users must not touch, and the rules of who may run beside whom. */
import { invalid } from './arguments.js';
import { withSignal } from './cancel.js';
import { Gate } from './gate.js';
import type { Native, NativeOpened, RepoHandle, Token } from './native.js';
import type { LockTimeout, RepoMode } from './types.js';

export interface RepoState {
  readonly native: Native;
  readonly handle: RepoHandle;
  readonly path: string;
  readonly mode: RepoMode;
  readonly gate: Gate;
  closed: boolean;
  /** Set from the call of `beginTransaction` to that of `commit` or `abort`. */
  transaction: object | undefined;
  /** Whether libostree has a transaction open; only meaningful to work that has passed the gate. */
  inTransaction: boolean;
  readonly locks: Set<Disposable>;
}

type Work<T> = (handle: RepoHandle, token: Token | undefined) => Promise<T>;

const states = new WeakMap<object, RepoState>();
const DEFAULT_LOCK_TIMEOUT = 300;

export function createState(repo: object, native: Native, opened: NativeOpened): RepoState {
  const state: RepoState = {
    native,
    handle: opened.handle,
    path: opened.path,
    mode: opened.mode,
    gate: new Gate(),
    closed: false,
    transaction: undefined,
    inTransaction: false,
    locks: new Set(),
  };
  states.set(repo, state);
  return state;
}

/** The state behind a Repo. @throws TypeError for anything else. */
export function stateOf(repo: unknown, name = 'this'): RepoState {
  const state = typeof repo === 'object' && repo !== null ? states.get(repo) : undefined;
  if (state === undefined) throw invalid(name, 'a Repo', repo);
  return state;
}

/** As {@link stateOf}, for a Repo that is not closed. */
export function openState(repo: unknown, name = 'this'): RepoState {
  const state = stateOf(repo, name);
  ensureOpen(state, name);
  return state;
}

/** @throws TypeError for a closed Repo. */
export function ensureOpen(state: RepoState, name = 'this'): void {
  if (state.closed) throw new TypeError(`Expected ${name} to be an open Repo, got one that was closed (${state.path})`);
}

/** Runs native work that goes beside other work on the same repository object. */
export function shared<T>(state: RepoState, signal: AbortSignal | undefined, work: Work<T>): Promise<T> {
  return withSignal(state.native, signal, (token) =>
    state.gate.shared(() => {
      ensureOpen(state);
      return work(state.handle, token);
    }),
  );
}

/** Runs native work that nothing may go beside. */
export function alone<T>(state: RepoState, signal: AbortSignal | undefined, work: Work<T>): Promise<T> {
  return withSignal(state.native, signal, (token) =>
    state.gate.alone(() => {
      ensureOpen(state);
      return work(state.handle, token);
    }),
  );
}

/** Checks a lock timeout and turns it into seconds: 0 tries once, -1 waits for ever. */
export function checkTimeout(value: LockTimeout | undefined, name: string): number {
  if (value === undefined) return DEFAULT_LOCK_TIMEOUT;
  if (value === 'infinite') return -1;
  if (value === 'try') return 0;
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) {
    throw invalid(name, 'seconds, "infinite" or "try"', value);
  }
  return value;
}
