import { findInstanceSpec } from './instance-spec.js';
import type { Instance } from './instances.js';

/** What people and scripts are told about an instance, by every command that shows one. Times are ISO 8601, UTC. */
export interface InstanceReport {
  readonly name: string;
  readonly app: string;
  /** Absent if it did not run since the machine was started. */
  readonly id: string | null;
  readonly generation: number | null;
  readonly status: Instance['status'];
  readonly running: boolean;
  readonly health: string | null;
  readonly ready: boolean | null;
  /** Of the container's first process, as the host numbers it. */
  readonly pid: number | null;
  readonly started: string | null;
  readonly finished: string | null;
  readonly exit: number | null;
  readonly oom: boolean;
  readonly restarts: number;
  readonly detached: boolean | null;
  readonly tty: boolean | null;
  readonly error: string | null;
  /** What a system last said about itself (`STATUS=` of sd_notify). */
  readonly statusText: string | null;
  readonly labels: Readonly<Record<string, string>>;
}

export function reportInstance(instance: Instance): InstanceReport {
  const { name, app, status, alive, state } = instance;
  const up = alive && status !== 'restarting';
  return {
    name,
    app,
    id: state?.id ?? null,
    generation: state?.generation ?? null,
    status,
    running: alive,
    health: state === undefined || state.health === 'none' || !up ? null : state.health,
    ready: up ? (state?.ready ?? null) : null,
    pid: up ? (state?.init?.pid ?? null) : null,
    started: time(state?.started),
    finished: up ? null : time(state?.finished),
    exit: up ? null : (state?.exit ?? null),
    oom: state?.oom ?? false,
    restarts: state?.restarts ?? 0,
    detached: state?.detached ?? null,
    tty: state?.tty ?? null,
    error: state?.error ?? null,
    statusText: up ? (state?.statusText ?? null) : null,
    labels: findInstanceSpec(instance)?.labels ?? {},
  };
}

function time(milliseconds: number | undefined): string | null {
  return milliseconds === undefined ? null : new Date(milliseconds).toISOString();
}

/** `Up 5 minutes (healthy)`, as podman puts it. */
export function describeStatus(report: InstanceReport, now: number): string {
  const since = (at: string | null): string => (at === null ? '' : ` ${about(now - Date.parse(at))}`);
  switch (report.status) {
    case 'running':
    case 'paused': {
      const words = [report.health, report.status === 'paused' ? 'paused' : null].filter((word) => word !== null);
      return `Up${since(report.started)}${words.length === 0 ? '' : ` (${words.join(', ')})`}`;
    }
    case 'starting':
      return 'Starting';
    case 'stopping':
      return 'Stopping';
    case 'restarting':
      return `Restarting (${report.exit ?? '?'})`;
    case 'exited':
      return `Exited (${report.exit ?? '?'}${report.oom ? ', out of memory' : ''})${since(report.finished)} ago`;
    case 'failed':
      return `Failed${report.finished === null ? '' : `${since(report.finished)} ago`}`;
    case 'dead':
      return 'Dead';
    case 'stopped':
      return 'Stopped';
  }
}

const steps: ReadonlyArray<readonly [limit: number, unit: number, name: string]> = [
  [60, 1, 'second'],
  [60 * 60, 60, 'minute'],
  [48 * 60 * 60, 60 * 60, 'hour'],
  [Infinity, 24 * 60 * 60, 'day'],
];

function about(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const [, unit, name] = steps.find(([limit]) => seconds < limit) ?? [0, 1, 'second'];
  const count = Math.floor(seconds / unit);
  return `${count} ${name}${count === 1 ? '' : 's'}`;
}
