import { usageError } from '../../errors.js';
import type { RlimitSpec } from '../../run/container.js';
import { findLimitProblem, limitOptions, parseCpuList } from '../../run/limits.js';
import { parseSize } from '../../run/mount-options.js';
import type { RunRequest } from '../../run/resolve.js';
import { type LimitsRequest, mergeLimits } from '../../run/resources.js';
import { rlimitNames } from '../../run/rlimits.js';
import type { Args, OptionSpec } from '../command.js';

/** What control groups limit; `set` has the same ones. */
export const limitOptionTable = {
  memory: { type: 'string', alias: 'm', value: 'SIZE', describe: 'most memory, e.g. 512m; 0: no limit' },
  'memory-swap': {
    type: 'string',
    value: 'SIZE',
    describe: 'most memory and swap together; -1: any amount of swap; default twice the memory',
  },
  'memory-reservation': { type: 'string', value: 'SIZE', describe: 'memory that is taken from others first' },
  cpus: { type: 'number', value: 'NUMBER', describe: 'processors’ worth of time, e.g. 1.5; 0: no limit' },
  'cpuset-cpus': { type: 'string', value: 'LIST', describe: 'processors to run on, e.g. 0-3,6' },
  'cpuset-mems': { type: 'string', value: 'LIST', describe: 'memory nodes to use' },
  'cpu-shares': {
    type: 'number',
    alias: 'c',
    value: 'SHARES',
    describe: 'share of the processors against others, who have 1024',
  },
  'pids-limit': { type: 'number', value: 'NUMBER', describe: 'most processes and threads; -1: no limit' },
  'io-weight': {
    type: 'number',
    alias: 'blkio-weight',
    value: 'WEIGHT',
    describe: 'share of the disks against others, who have 100: 10 to 1000',
  },
} as const satisfies Record<string, OptionSpec>;

/** How much the container may use. */
export const resourceOptions = {
  ...limitOptionTable,
  ulimit: { type: 'array', value: 'NAME=SOFT[:HARD]', describe: 'resource limit, e.g. nofile=1024:4096' },
} as const satisfies Record<string, OptionSpec>;

type ResourceArgs = Args<typeof resourceOptions, readonly []>;

/** @throws TreesError `USAGE` */
export function readResources(args: ResourceArgs): Pick<RunRequest, 'rlimits' | 'resources'> {
  const limits = readLimits(args);
  return {
    rlimits: (args.ulimit ?? []).map(parseUlimit),
    ...(Object.keys(limits).length === 0 ? {} : { resources: { limits } }),
  };
}

/**
 * The limits that were given; `null` is one that was given as none.
 * @throws TreesError `USAGE`
 */
export function readLimits(args: Args<typeof limitOptionTable, readonly []>): LimitsRequest {
  const given: LimitsRequest = {
    memory: size(args.memory, limitOptions.memory),
    memorySwap: args['memory-swap'] === '-1' ? -1 : size(args['memory-swap'], limitOptions.memorySwap),
    memoryReservation: size(args['memory-reservation'], limitOptions.memoryReservation),
    cpus: number(args.cpus, limitOptions.cpus, { least: 0.01, most: 100_000, none: 0, whole: false }),
    cpusetCpus: cpuList(args['cpuset-cpus'], limitOptions.cpusetCpus),
    cpusetMems: cpuList(args['cpuset-mems'], limitOptions.cpusetMems),
    cpuShares: number(args['cpu-shares'], limitOptions.cpuShares, { least: 2, most: 262_144, none: 0, whole: true }),
    pids: args['pids-limit'] === 0 ? null : number(args['pids-limit'], limitOptions.pids, PIDS),
    ioWeight: number(args['io-weight'], limitOptions.ioWeight, { least: 10, most: 1000, none: 0, whole: true }),
  };
  const problem = findLimitProblem(mergeLimits({}, given));
  // Without --memory the other may come from what the app declares.
  if (problem !== undefined && given.memory !== undefined) throw usageError(`Expected limits that fit: ${problem}`);
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

const PIDS = { least: 1, most: 4_194_304, none: -1, whole: true } as const;

function size(text: string | undefined, option: string): number | null | undefined {
  if (text === undefined) return undefined;
  return /^0+[bkmgt]?$/i.test(text) ? null : parseSize(text, option);
}

interface Range {
  readonly least: number;
  readonly most: number;
  /** Means no limit. */
  readonly none: number;
  readonly whole: boolean;
}

function number(value: number | undefined, option: string, range: Range): number | null | undefined {
  if (value === undefined) return undefined;
  if (value === range.none) return null;
  if (value >= range.least && value <= range.most && (!range.whole || Number.isInteger(value))) return value;
  const kind = range.whole ? 'a whole number' : 'a number';
  throw usageError(`Expected ${option} to be ${kind} from ${range.least} to ${range.most}, got ${value}`);
}

function cpuList(text: string | undefined, option: string): string | null | undefined {
  if (text === undefined) return undefined;
  if (text === '') return null;
  if (parseCpuList(text) === undefined)
    throw usageError(`Expected ${option} to be a list such as 0-3,6, got "${text}"`);
  return text;
}

function parseUlimit(text: string): RlimitSpec {
  const [, name, soft, hard = soft] = /^([a-z]+)=(-1|\d+|unlimited)(?::(-1|\d+|unlimited))?$/.exec(text) ?? [];
  if (name === undefined || soft === undefined || hard === undefined || !rlimitNames.some((known) => known === name)) {
    throw usageError(
      `Expected --ulimit to be NAME=SOFT[:HARD], got "${text}"`,
      `names are ${rlimitNames.join(', ')}; -1 is unlimited`,
    );
  }
  const limit = { name, soft: limitValue(soft), hard: limitValue(hard) };
  if (limit.soft > limit.hard) throw usageError(`Expected the soft limit to be at most the hard one, got "${text}"`);
  return limit;
}

function limitValue(text: string): number {
  return text === '-1' || text === 'unlimited' ? Infinity : Number(text);
}
