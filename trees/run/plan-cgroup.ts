import { choice, type Field, flags, record, string, u32, words } from './plan-record.js';

/** Sections of the launch plan that limit what the container may use; `trees/launcher/plan-cgroup.h`. */

export const cgroupScope = { none: 0, system: 1, user: 2 } as const;
export const cgroupWriteFlag = { optional: 1 } as const;

/** The cgroup is `<base>/trees/<name>`. */
export interface PlanCgroup {
  /** 1 or 2. */
  readonly version: number;
  readonly scope: keyof typeof cgroupScope;
  readonly base: string;
  readonly name: string;
  readonly controllers: readonly string[];
}

export interface PlanCgroupWrite {
  /** Index of the cgroup. */
  readonly cgroup: number;
  readonly flags: readonly (keyof typeof cgroupWriteFlag)[];
  readonly file: string;
  readonly value: string;
}

export const cgroupRecord: Field<PlanCgroup> = record<PlanCgroup>({
  version: u32,
  scope: choice(cgroupScope),
  base: string,
  name: string,
  controllers: words,
});

export const cgroupWriteRecord: Field<PlanCgroupWrite> = record<PlanCgroupWrite>({
  cgroup: u32,
  flags: flags(cgroupWriteFlag),
  file: string,
  value: string,
});
