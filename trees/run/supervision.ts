import type { RunSpec } from './spec.js';

/** How the container is started, watched and ended: what one invocation asks for. Everything absent comes from the app's own `run:`. */
export type SupervisionRequest = Readonly<Record<never, never>>;

/** How the container is started, watched and ended, resolved: part of `ContainerSpec`. Times are in seconds. */
export interface SupervisionSpec {
  /** Of the instance. */
  readonly name: string;
  readonly app: string;
  readonly generation: number;
  /**
   * Directory for state, lock, plan and control socket, absolute; it is made. Absent: no state is kept, and nobody can
   * reach the instance.
   */
  readonly runDir?: string | undefined;
  readonly restart?: RestartSpec | undefined;
  /** Number of the signal of `stop`; default TERM. */
  readonly stopSignal?: number | undefined;
  /** Between it and KILL; default 10. */
  readonly stopTimeout?: number | undefined;
  /** A terminal of its own; `auto`: if standard input and output are terminals. */
  readonly tty?: boolean | 'auto' | undefined;
  /** Of a detached instance: keep standard input open for whoever attaches. */
  readonly stdin?: boolean | undefined;
  /** Leave nothing of the state when it has ended. */
  readonly remove?: boolean | undefined;
}

export interface RestartSpec {
  readonly policy: 'no' | 'on-failure' | 'always' | 'unless-stopped';
  /** Restarts in a row; 0, the default: without limit. */
  readonly max?: number | undefined;
  /** Before the first restart, doubled each time; default 0.1. */
  readonly delay?: number | undefined;
  /** Default 60. */
  readonly maxDelay?: number | undefined;
  /** Time of running after which delay and count start again; default 10. */
  readonly resetAfter?: number | undefined;
}

/** Pure. */
export function resolveSupervision(
  _spec: RunSpec,
  _request: SupervisionRequest | undefined,
): SupervisionSpec | undefined {
  return undefined;
}
