import { parseSignal } from './signals.js';
import type { HealthSpec, RunSpec } from './spec.js';

/** What one invocation asks for. Everything absent comes from the app's own `run:`. */
export interface SupervisionRequest {
  readonly restart?: RestartSpec | undefined;
  /** Number. */
  readonly stopSignal?: number | undefined;
  readonly tty?: boolean | undefined;
  /** Detached: keep standard input open. */
  readonly stdin?: boolean | undefined;
  /** Leave nothing of it when it has ended. */
  readonly remove?: boolean | undefined;
  /** In place of the app's; `none`: no checks. */
  readonly health?: HealthSpec | 'none' | undefined;
}

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
  spec: RunSpec,
  request: { readonly stopTimeout?: number | undefined; readonly supervision?: SupervisionRequest | undefined },
  place: { readonly name: string; readonly app: string; readonly generation: number; readonly runDir: string },
): SupervisionSpec {
  const { name, app, generation, runDir } = place;
  const asked = request.supervision ?? {};
  return {
    name,
    app,
    generation,
    runDir,
    restart: asked.restart,
    stopSignal:
      asked.stopSignal ?? (spec.stopSignal === undefined ? undefined : parseSignal(spec.stopSignal, 'stopSignal')),
    stopTimeout: request.stopTimeout ?? spec.stopTimeout,
    tty: asked.tty,
    stdin: asked.stdin,
    remove: asked.remove,
  };
}

/** How the app runs, with the health checks that the invocation asks for. Pure. */
export function withHealth(spec: RunSpec, health: SupervisionRequest['health']): RunSpec {
  if (health === undefined) return spec;
  const { health: _own, ...rest } = spec;
  return health === 'none' ? rest : { ...rest, health };
}
