import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno } from '../errors.js';
import type { OverlayKind } from './upper-format.js';

/**
 * What the launcher writes about an instance while it runs: `<runtimeDir>/<instance>/state`, lines of `key=value`,
 * replaced by rename. Keys of a newer launcher are ignored.
 */
export interface InstanceState {
  readonly name: string;
  readonly app: string;
  readonly generation: number;
  /** 12 hexadecimal digits, new with every start. */
  readonly id: string;
  /** The kernel's boot id at the start. */
  readonly boot: string;
  readonly status: RecordedStatus;
  /** The launcher, or the monitor of a detached instance. */
  readonly monitor: ProcessId;
  /** The container's process 1; absent before it was made. */
  readonly init: ProcessId | undefined;
  /** Milliseconds since the epoch. */
  readonly started: number | undefined;
  readonly finished: number | undefined;
  /** Exit status of the main process; absent while it runs. */
  readonly exit: number | undefined;
  readonly oom: boolean;
  readonly restarts: number;
  readonly tty: boolean;
  readonly detached: boolean;
  /** Who shows it its tree. */
  readonly overlay: OverlayKind;
  /** The plan it runs from. */
  readonly plan: string | undefined;
  readonly health: HealthStatus;
  readonly ready: boolean;
  readonly error: string | undefined;
  /** What a system last said about itself (`STATUS=` of sd_notify). */
  readonly statusText: string | undefined;
  readonly cgroups: readonly CgroupPlace[];
}

/** `restarting` has ended and waits to be started again. */
const recordedStatuses = ['starting', 'running', 'paused', 'stopping', 'restarting', 'exited', 'failed'] as const;
export type RecordedStatus = (typeof recordedStatuses)[number];

const healthStatuses = ['none', 'starting', 'healthy', 'unhealthy'] as const;
export type HealthStatus = (typeof healthStatuses)[number];

/** A process, told apart from a later one with the same number. */
export interface ProcessId {
  readonly pid: number;
  /** Field 22 of `/proc/PID/stat`: ticks since the boot. */
  readonly start: string;
}

export interface CgroupPlace {
  /** Names separated by commas; empty for the unified hierarchy. */
  readonly controllers: string;
  readonly path: string;
}

export const STATE_FILE = 'state';

/** The state file of an instance's run directory; undefined if there is none, or none that can be understood. */
export function readInstanceState(runDir: string): InstanceState | undefined {
  try {
    return parseInstanceState(readFileSync(join(runDir, STATE_FILE), 'utf8'));
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}

/** Pure. */
export function parseInstanceState(content: string): InstanceState | undefined {
  const values = new Map<string, string>();
  const cgroups: CgroupPlace[] = [];
  for (const line of content.split('\n')) {
    const equals = line.indexOf('=');
    if (equals <= 0) continue;
    const [key, value] = [line.slice(0, equals), line.slice(equals + 1)];
    if (key !== 'cgroup') values.set(key, value);
    else if (value.includes(':')) {
      cgroups.push({ controllers: value.slice(0, value.indexOf(':')), path: value.slice(value.indexOf(':') + 1) });
    }
  }
  const text = (key: string): string | undefined => values.get(key) || undefined;
  const number = (key: string): number | undefined => {
    const value = text(key);
    return value !== undefined && /^\d+$/.test(value) ? Number(value) : undefined;
  };
  const milliseconds = (key: string): number | undefined => {
    const value = number(key);
    return value === undefined || value === 0 ? undefined : Math.floor(value / 1e6);
  };
  const processId = (key: string): ProcessId | undefined => {
    const pid = number(key);
    return pid === undefined || pid === 0 ? undefined : { pid, start: text(`${key}-start`) ?? '' };
  };
  const status = recordedStatuses.find((known) => known === text('status'));
  const name = text('name');
  const monitor = processId('monitor');
  if (values.get('version') !== '1' || status === undefined || name === undefined || monitor === undefined) {
    return undefined;
  }
  return {
    name,
    app: text('app') ?? name,
    generation: number('generation') ?? 0,
    id: text('instance-id') ?? '',
    boot: text('boot') ?? '',
    status,
    monitor,
    init: processId('init'),
    started: milliseconds('started'),
    finished: milliseconds('finished'),
    exit: number('exit'),
    oom: text('oom') === '1',
    restarts: number('restarts') ?? 0,
    tty: text('tty') === '1',
    detached: text('detached') === '1',
    overlay: text('overlay') === 'fuse-overlayfs' ? 'fuse-overlayfs' : 'kernel',
    plan: text('plan'),
    health: healthStatuses.find((known) => known === text('health')) ?? 'none',
    ready: text('ready') === '1',
    error: text('error'),
    statusText: text('status-text'),
    cgroups,
  };
}

/** Whether it is this process that has the number, and not a later one. */
export function isProcessAlive({ pid, start }: ProcessId): boolean {
  return processStart(pid) === start;
}

/** Field 22 of `/proc/PID/stat`; undefined if there is no such process, or one that has ended and waits for its parent. */
function processStart(pid: number): string | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH')) return undefined;
    throw error;
  }
  // The name, in parentheses, may hold anything. What follows it begins with field 3.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[22 - 3];
}

export const bootIdFile = '/proc/sys/kernel/random/boot_id';

/** The kernel's id of this boot: what was written before another one is over, whatever it says. */
export function bootId(): string {
  return readFileSync(bootIdFile, 'latin1').trim();
}
