import { readFileSync, readlinkSync } from 'node:fs';
import { readCgroupFile } from './cgroup-control.js';
import { type InstanceProcess, listProcesses } from './instance-processes.js';
import type { CgroupPlace, InstanceState } from './instance-state.js';

/** What an instance uses right now. Counters run from its start on. */
export interface Usage {
  /** When it was looked at, milliseconds of a clock that only goes on. */
  readonly at: number;
  /** Seconds of the processors. */
  readonly cpu: number;
  /** Bytes, without what the kernel can take back at once. */
  readonly memory: number;
  /** Bytes; undefined: no limit. */
  readonly memoryLimit: number | undefined;
  /** Processes and threads. */
  readonly pids: number;
  readonly pidsLimit: number | undefined;
  /** Bytes from and to disks. */
  readonly read: number;
  readonly written: number;
  /** Bytes; undefined where it shares the host's network. */
  readonly received: number | undefined;
  readonly sent: number | undefined;
}

/** Ticks of the processor in a second; USER_HZ is 100 on every architecture that Node runs on. */
const HZ = 100;
/** What version 1 says for "no limit": the largest number of whole pages. */
const NO_LIMIT = 2 ** 62;

/**
 * Counted by cgroups where the instance is in one that counts it, and by its processes otherwise: then what those that ended
 * unseen have read and written is missing.
 */
export function measureUsage(state: InstanceState): Usage | undefined {
  const init = state.init?.pid;
  if (init === undefined) return undefined;
  const processes = listProcesses(init);
  if (processes.length === 0) return undefined;
  const group = (controller: string): CgroupPlace | undefined =>
    state.cgroups.find(({ controllers }) => controllers.split(',').includes(controller)) ??
    state.cgroups.find(({ controllers }) => controllers === '');
  return {
    at: performance.now(),
    cpu: cpuSeconds(group('cpuacct'), processes),
    ...memoryUsage(group('memory'), processes),
    ...pidsUsage(group('pids'), processes),
    ...diskUsage(group('blkio'), processes),
    ...networkUsage(init),
  };
}

function cpuSeconds(group: CgroupPlace | undefined, processes: readonly InstanceProcess[]): number {
  const microseconds = numberOf(group, 'cpu.stat', /^usage_usec (\d+)$/m);
  if (microseconds !== undefined) return microseconds / 1e6;
  const nanoseconds = numberOf(group, 'cpuacct.usage', /^(\d+)$/);
  if (nanoseconds !== undefined) return nanoseconds / 1e9;
  return processes.reduce((sum, { ticks }) => sum + ticks, 0) / HZ;
}

function memoryUsage(group: CgroupPlace | undefined, processes: readonly InstanceProcess[]) {
  const v2 = numberOf(group, 'memory.current', /^(\d+)$/);
  const used = v2 ?? numberOf(group, 'memory.usage_in_bytes', /^(\d+)$/);
  if (used === undefined)
    return { memory: processes.reduce((sum, process) => sum + proportional(process), 0), memoryLimit: undefined };
  const idle = numberOf(
    group,
    'memory.stat',
    v2 === undefined ? /^total_inactive_file (\d+)$/m : /^inactive_file (\d+)$/m,
  );
  const limit = numberOf(group, v2 === undefined ? 'memory.limit_in_bytes' : 'memory.max', /^(\d+)$/);
  return {
    memory: Math.max(0, used - (idle ?? 0)),
    memoryLimit: limit === undefined || limit >= NO_LIMIT ? undefined : limit,
  };
}

/** A page that several processes have counts for each by its share. */
function proportional({ pid, resident }: InstanceProcess): number {
  const text = readText(`/proc/${pid}/smaps_rollup`);
  const kilobytes = /^Pss:\s+(\d+) kB$/m.exec(text ?? '')?.[1];
  return kilobytes === undefined ? resident : Number(kilobytes) * 1024;
}

function pidsUsage(group: CgroupPlace | undefined, processes: readonly InstanceProcess[]) {
  return {
    pids: numberOf(group, 'pids.current', /^(\d+)$/) ?? processes.reduce((sum, { threads }) => sum + threads, 0),
    pidsLimit: numberOf(group, 'pids.max', /^(\d+)$/),
  };
}

function diskUsage(group: CgroupPlace | undefined, processes: readonly InstanceProcess[]) {
  const v2 = group === undefined ? undefined : readCgroupFile(group.path, 'io.stat');
  if (v2 !== undefined) return { read: sumOf(v2, /rbytes=(\d+)/g), written: sumOf(v2, /wbytes=(\d+)/g) };
  const v1 = group === undefined ? undefined : readCgroupFile(group.path, 'blkio.throttle.io_service_bytes_recursive');
  if (v1 !== undefined) return { read: sumOf(v1, /Read (\d+)/g), written: sumOf(v1, /Write (\d+)/g) };
  const texts = processes.map(({ pid }) => readText(`/proc/${pid}/io`) ?? '').join('\n');
  return { read: sumOf(texts, /^read_bytes: (\d+)$/gm), written: sumOf(texts, /^write_bytes: (\d+)$/gm) };
}

/** /proc/PID/net/dev: two lines of headings, then `NAME: RECEIVED … SENT …`. */
function networkUsage(init: number): Pick<Usage, 'received' | 'sent'> {
  const none = { received: undefined, sent: undefined };
  try {
    if (readlinkSync(`/proc/${init}/ns/net`) === readlinkSync('/proc/self/ns/net')) return none;
  } catch {
    return none;
  }
  const lines = (readText(`/proc/${init}/net/dev`) ?? '').split('\n').slice(2);
  let received = 0;
  let sent = 0;
  for (const line of lines) {
    const [, name, rest = ''] = /^\s*([^:]+):(.*)$/.exec(line) ?? [];
    if (name === undefined || name === 'lo') continue;
    const fields = rest.trim().split(/\s+/).map(Number);
    received += fields[0] ?? 0;
    sent += fields[8] ?? 0;
  }
  return { received, sent };
}

function numberOf(group: CgroupPlace | undefined, file: string, pattern: RegExp): number | undefined {
  const text = group === undefined ? undefined : readCgroupFile(group.path, file);
  const digits = text === undefined ? undefined : pattern.exec(text)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

function sumOf(text: string, pattern: RegExp): number {
  return [...text.matchAll(pattern)].reduce((sum, [, digits]) => sum + Number(digits), 0);
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
