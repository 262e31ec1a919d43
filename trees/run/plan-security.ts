import { type Field, flags, i32, i64, record, string, u8, u16, u32, u64, words } from './plan-record.js';

/** Sections of the launch plan that restrict what the command can do; `trees/launcher/plan-security.h`. */

/** One instruction of a classic BPF program (`struct sock_filter`). */
export interface BpfInstruction {
  readonly code: number;
  readonly jumpTrue: number;
  readonly jumpFalse: number;
  readonly operand: number;
}

export const securityFlag = {
  oomScore: 1,
  keyring: 2,
  time: 4,
  umask: 8,
  speculation: 16,
  seccompLog: 32,
  landlockTry: 64,
} as const;

/** Fields are meant where their flag is set. */
export interface PlanSecurity {
  readonly flags: readonly (keyof typeof securityFlag)[];
  readonly oomScoreAdj: number;
  /** Seconds that the monotonic clock differs from the host's. */
  readonly monotonicOffset: bigint;
  readonly boottimeOffset: bigint;
  /** Rights that only rules give, as the kernel's bit mask (`LANDLOCK_ACCESS_FS_*`). */
  readonly landlockHandled: bigint;
  readonly umask: number;
  /** Supplementary groups by name or number. */
  readonly groups: readonly string[];
}

export interface PlanLandlockRule {
  /** In the container. */
  readonly path: string;
  readonly access: bigint;
}

export interface PlanSysctl {
  /** Below /proc/sys, with slashes. */
  readonly name: string;
  readonly value: string;
}

export const seccompRecord: Field<BpfInstruction> = record<BpfInstruction>({
  code: u16,
  jumpTrue: u8,
  jumpFalse: u8,
  operand: u32,
});

export const securityRecord: Field<PlanSecurity> = record<PlanSecurity>({
  flags: flags(securityFlag),
  oomScoreAdj: i32,
  monotonicOffset: i64,
  boottimeOffset: i64,
  landlockHandled: u64,
  umask: u32,
  groups: words,
});

/** A reserved word follows the path. */
export const landlockRecord: Field<PlanLandlockRule> = record<PlanLandlockRule>({ path: string, access: u64 });

export const sysctlRecord: Field<PlanSysctl> = record<PlanSysctl>({ name: string, value: string });
