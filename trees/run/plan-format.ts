import { cgroupRecord, cgroupWriteRecord, type PlanCgroup, type PlanCgroupWrite } from './plan-cgroup.js';
import { hookRecord, type PlanHook } from './plan-hooks.js';
import { logRecord, type PlanLog } from './plan-log.js';
import { bool, choice, type Field, flags, record, string, u32, u64 } from './plan-record.js';
import {
  type BpfInstruction,
  landlockRecord,
  type PlanLandlockRule,
  type PlanSecurity,
  type PlanSysctl,
  seccompRecord,
  securityRecord,
  sysctlRecord,
} from './plan-security.js';
import { type PlanService, type PlanServiceLink, serviceLinkRecord, serviceRecord } from './plan-services.js';
import { type PlanSupervision, supervisionRecord } from './plan-supervision.js';

/**
 * The launch plan: what it consists of. Every number here is also in `trees/launcher/plan.h`, which describes the
 * layout; `plan-file.ts` reads and writes it.
 */

export const PLAN_VERSION = 2;

export const namespaceBit = { mount: 1, pid: 2, ipc: 4, uts: 8, cgroup: 16, net: 32 } as const;
export const usernsMode = { host: 0, ranges: 1, self: 2, helped: 3 } as const;
export const rootMode = { persistent: 0, ephemeral: 1, readonly: 2 } as const;
export const planFlag = { noNewPrivileges: 1, noInit: 2, system: 4 } as const;

export const opType = {
  lower: 1,
  upper: 2,
  bind: 3,
  device: 4,
  tmpfs: 5,
  proc: 6,
  sysfs: 7,
  mqueue: 8,
  devpts: 9,
  symlink: 10,
  dir: 11,
  file: 12,
  mask: 13,
  readonly: 14,
  cgroup: 15,
  notify: 16,
} as const;

export const opFlag = {
  rdonly: 1,
  nosuid: 2,
  nodev: 4,
  noexec: 8,
  recursive: 16,
  idmap: 32,
  optional: 64,
  realDir: 128,
  slave: 256,
  shared: 512,
} as const;

/** One step of building the container's file system. Meaning of the fields per type: `plan.h`. */
export interface PlanOp {
  readonly type: keyof typeof opType;
  readonly flags?: readonly (keyof typeof opFlag)[];
  readonly source?: string;
  readonly target?: string;
  readonly data?: string;
  readonly mode?: number;
  readonly number?: bigint;
}

export interface IdMap {
  readonly inside: number;
  readonly outside: number;
  readonly count: number;
}

export interface PlanRlimit {
  readonly resource: number;
  readonly required: boolean;
  readonly soft: bigint;
  readonly hard: bigint;
}

/** What every plan has exactly one of. */
export interface PlanConfig {
  readonly flags: readonly (keyof typeof planFlag)[];
  readonly namespaces: readonly (keyof typeof namespaceBit)[];
  readonly userns: keyof typeof usernsMode;
  readonly root: keyof typeof rootMode;
  readonly hostname: string;
  readonly workdir: string;
  readonly user: string;
  readonly lockFile: string;
  readonly ownLock: string;
  readonly capabilities: bigint;
  /** Bytes; 0 is the kernel's default. */
  readonly upperSize: bigint;
  /** Milliseconds. */
  readonly stopTimeout: number;
}

/** The optional members are features that are off when they are absent. */
export interface Plan extends PlanConfig {
  readonly ops: readonly PlanOp[];
  readonly argv: readonly string[];
  readonly env: readonly string[];
  readonly uidMap: readonly IdMap[];
  readonly gidMap: readonly IdMap[];
  readonly rlimits: readonly PlanRlimit[];
  readonly seccomp?: readonly BpfInstruction[] | undefined;
  readonly landlock?: readonly PlanLandlockRule[] | undefined;
  readonly security?: PlanSecurity | undefined;
  readonly sysctl?: readonly PlanSysctl[] | undefined;
  readonly cgroups?: readonly PlanCgroup[] | undefined;
  readonly cgroupWrites?: readonly PlanCgroupWrite[] | undefined;
  readonly services?: readonly PlanService[] | undefined;
  readonly serviceLinks?: readonly PlanServiceLink[] | undefined;
  readonly hooks?: readonly PlanHook[] | undefined;
  readonly log?: PlanLog | undefined;
  readonly supervision?: PlanSupervision | undefined;
}

export const configRecord = record<PlanConfig>({
  flags: flags(planFlag),
  namespaces: flags(namespaceBit),
  userns: choice(usernsMode),
  root: choice(rootMode),
  hostname: string,
  workdir: string,
  user: string,
  lockFile: string,
  capabilities: u64,
  upperSize: u64,
  stopTimeout: u32,
  ownLock: string,
});

const opRecord = record<PlanOp>({
  type: choice(opType),
  flags: flags(opFlag),
  source: string,
  target: string,
  data: string,
  mode: u32,
  number: u64,
});

/** The last word is reserved. */
const idMapRecord: Field<IdMap> = { ...record<IdMap>({ inside: u32, outside: u32, count: u32 }), size: 16 };

const rlimitRecord = record<PlanRlimit>({ resource: u32, required: bool, soft: u64, hard: u64 });

/** Sections that are written in a way of their own. */
export const sectionType = { config: 1, strings: 8, words: 15 } as const;

/** The other sections: which member of a plan, its number, and what its records are. */
export const sections: readonly SectionKind[] = [
  list('ops', 2, opRecord),
  list('argv', 3, string),
  list('env', 4, string),
  list('uidMap', 5, idMapRecord),
  list('gidMap', 6, idMapRecord),
  list('rlimits', 7, rlimitRecord),
  list('seccomp', 9, seccompRecord),
  list('landlock', 10, landlockRecord),
  single('security', 11, securityRecord),
  list('cgroups', 12, cgroupRecord),
  list('cgroupWrites', 13, cgroupWriteRecord),
  single('supervision', 14, supervisionRecord),
  list('hooks', 18, hookRecord),
  single('log', 19, logRecord),
  list('sysctl', 20, sysctlRecord),
  list('services', 16, serviceRecord),
  list('serviceLinks', 17, serviceLinkRecord),
];

export interface SectionKind {
  readonly member: keyof Plan;
  readonly type: number;
  readonly field: Field<unknown>;
  /** Of a list: undefined or empty, the section is left out. Otherwise exactly one record, or none. */
  readonly list: boolean;
}

type Element<T> = Exclude<T, undefined> extends readonly (infer Item)[] ? Item : never;

function list<K extends keyof Plan>(member: K, type: number, field: Field<Element<Plan[K]>>): SectionKind {
  return { member, type, field, list: true };
}

function single<K extends keyof Plan>(member: K, type: number, field: Field<Exclude<Plan[K], undefined>>): SectionKind {
  return { member, type, field, list: false };
}
