import type { Controller } from './cgroups.js';

/**
 * What a container may use, in the user's words, and what that is in the files of control groups. Names and meanings are
 * podman's; the conversions are those of the OCI run times, so that the same options mean the same everywhere.
 */

export interface Limits {
  /** Bytes. */
  readonly memory?: number | undefined;
  /** Bytes of memory and swap together, at least `memory`; -1 is any amount of swap. Default twice the memory. */
  readonly memorySwap?: number | undefined;
  /** Bytes that are taken from others first when memory gets short. */
  readonly memoryReservation?: number | undefined;
  /** Processors' worth of time: 0.5 is half of one. */
  readonly cpus?: number | undefined;
  /** Processors to run on: `0-3,6`. */
  readonly cpusetCpus?: string | undefined;
  /** Memory nodes to use. */
  readonly cpusetMems?: string | undefined;
  /** Share of the processors against others, 2…262144; others have 1024. */
  readonly cpuShares?: number | undefined;
  /** Processes and threads. */
  readonly pids?: number | undefined;
  /** Share of the disks against others, 10…1000; others have 100. */
  readonly ioWeight?: number | undefined;
}

export type LimitName = keyof Limits;

/** The option that sets a limit, for messages. */
export const limitOptions: Readonly<Record<LimitName, string>> = {
  memory: '--memory',
  memorySwap: '--memory-swap',
  memoryReservation: '--memory-reservation',
  cpus: '--cpus',
  cpusetCpus: '--cpuset-cpus',
  cpusetMems: '--cpuset-mems',
  cpuShares: '--cpu-shares',
  pids: '--pids-limit',
  ioWeight: '--io-weight',
};

export const limitControllers: Readonly<Record<LimitName, Exclude<Controller, 'freezer'>>> = {
  memory: 'memory',
  memorySwap: 'memory',
  memoryReservation: 'memory',
  cpus: 'cpu',
  cpusetCpus: 'cpuset',
  cpusetMems: 'cpuset',
  cpuShares: 'cpu',
  pids: 'pids',
  ioWeight: 'io',
};

/** The limits' names, in the order in which they are written. */
export const limitNames: readonly LimitName[] = [
  'memory',
  'memorySwap',
  'memoryReservation',
  'cpus',
  'cpuShares',
  'cpusetCpus',
  'cpusetMems',
  'pids',
  'ioWeight',
];

/** One write to a file of a cgroup. */
export interface CgroupWrite {
  readonly file: string;
  readonly value: string;
  /** Nobody asked for this one: the kernel may refuse it. */
  readonly optional?: boolean | undefined;
}

/** Microseconds. */
const PERIOD = 100_000;
const MAX_SHARES = 262_144;

/**
 * The writes that make one limit.
 *
 * @param version of the hierarchy that has the limit's controller
 * @param bfq the disks' weights are the BFQ scheduler's (version 2 only; version 1 has no other)
 */
export function limitWrites(name: LimitName, limits: Limits, version: 1 | 2, bfq = false): CgroupWrite[] {
  const value = limits[name];
  if (value === undefined) return name === 'memorySwap' ? defaultSwap(limits, version) : [];
  const text = String(value);
  const v2 = version === 2;
  switch (name) {
    case 'memory':
      return [{ file: v2 ? 'memory.max' : 'memory.limit_in_bytes', value: text }];
    case 'memorySwap':
      return [swapWrite(Number(value), limits.memory ?? 0, version)];
    case 'memoryReservation':
      return [{ file: v2 ? 'memory.low' : 'memory.soft_limit_in_bytes', value: text }];
    case 'cpus': {
      const quota = Math.round(Number(value) * PERIOD);
      return v2
        ? [{ file: 'cpu.max', value: `${quota} ${PERIOD}` }]
        : [
            { file: 'cpu.cfs_period_us', value: `${PERIOD}` },
            { file: 'cpu.cfs_quota_us', value: `${quota}` },
          ];
    }
    case 'cpuShares':
      return v2
        ? [{ file: 'cpu.weight', value: `${cpuWeight(Number(value))}` }]
        : [{ file: 'cpu.shares', value: text }];
    case 'cpusetCpus':
      return [{ file: 'cpuset.cpus', value: text }];
    case 'cpusetMems':
      return [{ file: 'cpuset.mems', value: text }];
    case 'pids':
      return [{ file: 'pids.max', value: text }];
    case 'ioWeight':
      if (!v2) return [{ file: 'blkio.bfq.weight', value: text }];
      return bfq
        ? [{ file: 'io.bfq.weight', value: text }]
        : [{ file: 'io.weight', value: `default ${ioWeight(Number(value))}` }];
  }
}

/** The writes that take a limit away from a cgroup that has it. */
export function unlimitedWrites(name: LimitName, version: 1 | 2, bfq = false): CgroupWrite[] {
  const v2 = version === 2;
  switch (name) {
    case 'memory':
      return [v2 ? { file: 'memory.max', value: 'max' } : { file: 'memory.limit_in_bytes', value: '-1' }];
    case 'memorySwap':
      return [
        v2
          ? { file: 'memory.swap.max', value: 'max', optional: true }
          : { file: 'memory.memsw.limit_in_bytes', value: '-1', optional: true },
      ];
    case 'memoryReservation':
      return [v2 ? { file: 'memory.low', value: '0' } : { file: 'memory.soft_limit_in_bytes', value: '-1' }];
    case 'cpus':
      return [v2 ? { file: 'cpu.max', value: 'max' } : { file: 'cpu.cfs_quota_us', value: '-1' }];
    case 'cpuShares':
      return [v2 ? { file: 'cpu.weight', value: '100' } : { file: 'cpu.shares', value: '1024' }];
    case 'cpusetCpus':
    case 'cpusetMems':
      // Version 1 has no word for all of them; version 2 takes an empty line.
      return v2 ? [{ file: name === 'cpusetCpus' ? 'cpuset.cpus' : 'cpuset.mems', value: '\n' }] : [];
    case 'pids':
      return [{ file: 'pids.max', value: 'max' }];
    case 'ioWeight':
      if (!v2) return [{ file: 'blkio.bfq.weight', value: '100' }];
      return [bfq ? { file: 'io.bfq.weight', value: '100' } : { file: 'io.weight', value: 'default 100' }];
  }
}

/** As podman: twice the memory, half of it swap. Not every kernel counts swap. */
function defaultSwap(limits: Limits, version: 1 | 2): CgroupWrite[] {
  if (limits.memory === undefined) return [];
  return [{ ...swapWrite(limits.memory * 2, limits.memory, version), optional: true }];
}

/** Version 1 limits both together, version 2 swap alone. */
function swapWrite(total: number, memory: number, version: 1 | 2): CgroupWrite {
  if (version === 1) return { file: 'memory.memsw.limit_in_bytes', value: `${total}` };
  return { file: 'memory.swap.max', value: total === -1 ? 'max' : `${total - memory}` };
}

/**
 * `cpu.shares` (2…262144, default 1024) as `cpu.weight` (1…10000, default 100), so that the defaults meet: a quadratic
 * curve through both ends and the middle, as crun and runc have it since 2025.
 */
export function cpuWeight(shares: number): number {
  if (shares <= 2) return 1;
  if (shares >= MAX_SHARES) return 10_000;
  const log = Math.log2(shares);
  return Math.ceil(10 ** ((log ** 2 + 125 * log) / 612 - 7 / 34));
}

/** `blkio.weight` (10…1000) as `io.weight` (1…10000), the line that the OCI run times draw. */
export function ioWeight(weight: number): number {
  return Math.floor(1 + ((weight - 10) * 9999) / 990);
}

/** Numbers of a list such as `0-3,6`; `undefined` if it is none. */
export function parseCpuList(text: string): number[] | undefined {
  const result: number[] = [];
  for (const part of text.trim().split(',')) {
    const [, first, last = first] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part) ?? [];
    if (first === undefined || Number(first) > Number(last)) return undefined;
    for (let number = Number(first); number <= Number(last); number++) result.push(number);
  }
  return result;
}

/** Why these limits make no sense together; `undefined` if they do. Single values are checked where they are parsed. */
export function findLimitProblem(limits: Limits): string | undefined {
  const { memory, memorySwap, memoryReservation } = limits;
  if (memorySwap !== undefined && memory === undefined) return 'a limit of memory and swap needs one of memory';
  if (memorySwap !== undefined && memory !== undefined && memorySwap !== -1 && memorySwap < memory) {
    return `memory and swap together (${memorySwap}) are less than the memory (${memory})`;
  }
  if (memoryReservation !== undefined && memory !== undefined && memoryReservation > memory) {
    return `more memory is reserved (${memoryReservation}) than there may be (${memory})`;
  }
  return undefined;
}
