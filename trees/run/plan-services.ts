import { bool, choice, flags, record, string, u32, u64, words } from './plan-record.js';

/** Sections of the launch plan with the services that the init runs; `trees/launcher/plan-services.h`. Milliseconds. */

export const NO_SERVICE = 0xffff_ffff;
export const NO_LIMIT = 0xffff_ffff;
export const MAX_SERVICES = 1024;

const serviceFlag = { main: 1, oneshot: 2, command: 4, lazy: 8 } as const;
const checkKind = { none: 0, exec: 1, tcp: 2, http: 3, unix: 4 } as const;
const unhealthyAction = { none: 0, restart: 1, stop: 2, kill: 3 } as const;
const restartKind = { never: 0, 'on-failure': 1, always: 2 } as const;
const readyKind = { started: 0, notify: 1, health: 2, fd: 3 } as const;
const linkKind = { after: 0, requires: 1, wants: 2, watch: 3, file: 4, listen: 5, rlimit: 6 } as const;
const linkAction = { none: 0, reload: 1, restart: 2, stop: 3, start: 4 } as const;
export const listenKind = { tcp: 0, udp: 1, unix: 2, 'unix-datagram': 3 } as const;
export const planEvent = {
  started: 1,
  ready: 2,
  healthy: 4,
  unhealthy: 8,
  exit: 16,
  'exit-success': 32,
  'exit-failed': 64,
  stopping: 128,
  stopped: 256,
  changed: 512,
} as const;

export interface PlanHealth {
  readonly kind: keyof typeof checkKind;
  readonly onFailure: keyof typeof unhealthyAction;
  readonly exec: readonly string[];
  readonly address: string;
  readonly port: number;
  readonly host: string;
  readonly path: string;
  readonly statusMin: number;
  readonly statusMax: number;
  readonly interval: number;
  readonly timeout: number;
  readonly retries: number;
  readonly startPeriod: number;
}

export interface PlanService {
  readonly name: string;
  readonly flags: readonly (keyof typeof serviceFlag)[];
  readonly argv: readonly string[];
  readonly env: readonly string[];
  readonly user: string;
  readonly workdir: string;
  readonly linkFirst: number;
  readonly linkCount: number;
  readonly restart: keyof typeof restartKind;
  readonly restartMax: number;
  readonly restartDelay: number;
  readonly restartMaxDelay: number;
  readonly restartReset: number;
  readonly ready: keyof typeof readyKind;
  readonly readyFd: number;
  readonly readyTimeout: number;
  readonly health: PlanHealth;
  readonly whenSource: number;
  readonly whenEvent: readonly (keyof typeof planEvent)[];
  readonly whenEach: boolean;
  readonly whenInterval: number;
  readonly whenTimeout: number;
  readonly stopSignal: number;
  readonly stopTimeout: number;
  readonly reloadSignal: number;
  readonly preStop: readonly string[];
  readonly postStop: readonly string[];
  readonly reload: readonly string[];
  readonly pidFile: string;
}

/** Which field means what for which kind: `plan-services.h`. */
export interface PlanServiceLink {
  readonly kind: keyof typeof linkKind;
  readonly target: number;
  readonly text?: string;
  readonly name?: string;
  readonly number?: number;
  readonly action?: keyof typeof linkAction;
  readonly a?: bigint;
  readonly b?: bigint;
}

const healthRecord = record<PlanHealth>({
  kind: choice(checkKind),
  onFailure: choice(unhealthyAction),
  exec: words,
  address: string,
  port: u32,
  host: string,
  path: string,
  statusMin: u32,
  statusMax: u32,
  interval: u32,
  timeout: u32,
  retries: u32,
  startPeriod: u32,
});

const fields = record<PlanService>({
  name: string,
  flags: flags(serviceFlag),
  argv: words,
  env: words,
  user: string,
  workdir: string,
  linkFirst: u32,
  linkCount: u32,
  restart: choice(restartKind),
  restartMax: u32,
  restartDelay: u32,
  restartMaxDelay: u32,
  restartReset: u32,
  ready: choice(readyKind),
  readyFd: u32,
  readyTimeout: u32,
  health: healthRecord,
  whenSource: u32,
  whenEvent: flags(planEvent),
  whenEach: bool,
  whenInterval: u32,
  whenTimeout: u32,
  stopSignal: u32,
  stopTimeout: u32,
  reloadSignal: u32,
  preStop: words,
  postStop: words,
  reload: words,
  pidFile: string,
});

/** The last word is reserved. */
export const serviceRecord = { ...fields, size: fields.size + 4 };

export const serviceLinkRecord = record<PlanServiceLink>({
  kind: choice(linkKind),
  target: u32,
  text: string,
  name: string,
  number: u32,
  action: choice(linkAction),
  a: u64,
  b: u64,
});
