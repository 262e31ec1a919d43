import { choice, flags, record, string, u32, u64 } from './plan-record.js';
import type { SupervisionSpec } from './supervision.js';

/** The section that says how an instance is watched: `trees/launcher/plan-supervision.h`. */

export const supervisionFlag = { tty: 1, ttyAuto: 2, stdin: 4, remove: 8 } as const;
export const restartPolicy = { no: 0, 'on-failure': 1, always: 2, 'unless-stopped': 3 } as const;

export interface PlanSupervision {
  readonly name: string;
  readonly app: string;
  readonly runDir: string;
  readonly flags: readonly (keyof typeof supervisionFlag)[];
  readonly generation: bigint;
  readonly restart: keyof typeof restartPolicy;
  readonly restartMax: number;
  /** These and the following times: milliseconds. */
  readonly restartDelay: number;
  readonly restartMaxDelay: number;
  readonly restartReset: number;
  readonly stopSignal: number;
  readonly stopTimeout: number;
}

/** The last word is reserved; the record is aligned to 8 bytes anyway. */
export const supervisionRecord = record<PlanSupervision>({
  name: string,
  app: string,
  runDir: string,
  flags: flags(supervisionFlag),
  generation: u64,
  restart: choice(restartPolicy),
  restartMax: u32,
  restartDelay: u32,
  restartMaxDelay: u32,
  restartReset: u32,
  stopSignal: u32,
  stopTimeout: u32,
});

const DEFAULT_DELAY_SECONDS = 0.1;
const DEFAULT_MAX_DELAY_SECONDS = 60;
const DEFAULT_RESET_SECONDS = 10;
const DEFAULT_STOP_SECONDS = 10;
const MAX_SECONDS = 4_000_000;

/** Pure. @throws RangeError or TypeError when something makes no sense */
export function planSupervision(spec: SupervisionSpec): PlanSupervision {
  const restart = spec.restart ?? { policy: 'no' };
  const set: readonly [keyof typeof supervisionFlag, boolean][] = [
    ['tty', spec.tty === true],
    ['ttyAuto', spec.tty === 'auto'],
    ['stdin', spec.stdin === true],
    ['remove', spec.remove === true],
  ];
  const delay = milliseconds(restart.delay ?? DEFAULT_DELAY_SECONDS, 'delay before a restart');
  return {
    name: spec.name,
    app: spec.app,
    runDir: absolute(spec.runDir ?? ''),
    flags: set.filter(([, wanted]) => wanted).map(([flag]) => flag),
    generation: BigInt(spec.generation),
    restart: restart.policy,
    restartMax: whole(restart.max ?? 0, 'number of restarts'),
    restartDelay: delay,
    restartMaxDelay: Math.max(delay, milliseconds(restart.maxDelay ?? DEFAULT_MAX_DELAY_SECONDS, 'longest delay')),
    restartReset: milliseconds(restart.resetAfter ?? DEFAULT_RESET_SECONDS, 'time after which restarts are forgotten'),
    stopSignal: whole(spec.stopSignal ?? 0, 'number of a signal'),
    stopTimeout: milliseconds(spec.stopTimeout ?? DEFAULT_STOP_SECONDS, 'time to stop in'),
  };
}

function milliseconds(seconds: number, what: string): number {
  if (!(seconds >= 0 && seconds <= MAX_SECONDS)) {
    throw new RangeError(`Expected the ${what} to be 0 to ${MAX_SECONDS} seconds, got ${seconds}`);
  }
  return Math.round(seconds * 1000);
}

function whole(value: number, what: string): number {
  if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
    throw new RangeError(`Expected the ${what} to be a whole number, got ${value}`);
  }
  return value;
}

function absolute(path: string): string {
  if (path !== '' && !path.startsWith('/')) {
    throw new TypeError(`Expected the directory of the instance’s state to be absolute, got "${path}"`);
  }
  return path;
}
