import type { Capability } from '../capabilities.js';
import type { SeccompAction, SeccompOperator, SeccompProfile, SeccompRule } from './profile.js';
import type { Machine } from './syscalls.js';

/** What a profile says about one system call on one machine with one set of capabilities. */

export interface Place {
  readonly machine: Machine;
  readonly capabilities: readonly Capability[];
  /** Release of the kernel, such as `6.1.0-18-amd64`. */
  readonly kernel: string;
}

/** The first of `conditional` whose conditions all hold; none: `otherwise`. Results are the kernel's SECCOMP_RET_*. */
export interface Decision {
  readonly conditional: readonly { readonly conditions: readonly Condition[]; readonly result: number }[];
  readonly otherwise: number;
}

/** Of one argument, as 64 bits without sign. With `maskedEqual`, `value` is the mask and `second` what is left by it. */
export interface Condition {
  readonly index: number;
  readonly operator: SeccompOperator;
  readonly value: bigint;
  readonly second: bigint;
}

export interface Decisions {
  readonly byNumber: ReadonlyMap<number, Decision>;
  /** For those without a rule. */
  readonly fallback: number;
  /** For numbers above the table's last, which are of later kernels. */
  readonly unknown: number;
}

const EPERM = 1;
const ENOSYS = 38;
export const RETURN_KILL_PROCESS = 0x8000_0000;
const RETURN_ERRNO = 0x0005_0000;
/** No such system call. */
export const RETURN_MISSING = RETURN_ERRNO | ENOSYS;

const returns: Readonly<Record<SeccompAction, number>> = {
  SCMP_ACT_ALLOW: 0x7fff_0000,
  SCMP_ACT_ERRNO: RETURN_ERRNO,
  SCMP_ACT_KILL: 0,
  SCMP_ACT_KILL_PROCESS: RETURN_KILL_PROCESS,
  SCMP_ACT_KILL_THREAD: 0,
  SCMP_ACT_LOG: 0x7ffc_0000,
  SCMP_ACT_TRACE: 0x7ff0_0000,
  SCMP_ACT_TRAP: 0x0003_0000,
};

/**
 * Which rules count and in which order: those with conditions as they stand in the profile, then the first without. As
 * in Docker, conditions of one rule must all hold, unless two of them look at the same argument: then each is a rule of
 * its own. Numbers of later kernels than this program knows do not exist (ENOSYS) where the profile forbids by default,
 * so that programs fall back to what they used before. Conditions about machines are about the kernel's, as in Docker.
 *
 * @param numbers of the machine that programs are for, if the kernel runs those of several
 */
export function decide(
  profile: SeccompProfile,
  place: Place,
  numbers: ReadonlyMap<string, number> = place.machine.numbers,
): Decisions {
  const fallback = resultOf(profile.defaultAction, profile.defaultErrnoRet);
  const byNumber = new Map<number, { conditional: Decision['conditional'][number][]; otherwise: number | undefined }>();
  for (const rule of profile.syscalls ?? []) {
    if (!applies(rule, place)) continue;
    const result = resultOf(rule.action, rule.errnoRet);
    const alternatives = alternativesOf(rule);
    for (const name of namesOf(rule)) {
      const number = numbers.get(name);
      if (number === undefined) continue;
      const decision = byNumber.get(number) ?? { conditional: [], otherwise: undefined };
      byNumber.set(number, decision);
      if (alternatives.length === 0) decision.otherwise ??= result;
      for (const conditions of alternatives) decision.conditional.push({ conditions, result });
    }
  }
  return {
    byNumber: new Map(
      [...byNumber].map(([number, { conditional, otherwise }]) => [
        number,
        { conditional, otherwise: otherwise ?? fallback },
      ]),
    ),
    fallback,
    unknown: profile.defaultAction === 'SCMP_ACT_ERRNO' ? RETURN_MISSING : fallback,
  };
}

function namesOf(rule: SeccompRule): readonly string[] {
  return [...(rule.names ?? []), ...(rule.name === undefined ? [] : [rule.name])];
}

function alternativesOf(rule: SeccompRule): Condition[][] {
  const conditions = (rule.args ?? []).map(({ index, op, value, valueTwo }) => ({
    index,
    operator: op,
    value: BigInt(value),
    second: BigInt(valueTwo ?? 0),
  }));
  if (conditions.length === 0) return [];
  const repeated = new Set(conditions.map(({ index }) => index)).size < conditions.length;
  return repeated ? conditions.map((condition) => [condition]) : [conditions];
}

function applies({ includes, excludes }: SeccompRule, { machine, capabilities, kernel }: Place): boolean {
  const has = (name: string): boolean => capabilities.some((known) => name === `CAP_${known}`);
  const arches = includes?.arches ?? [];
  const included =
    (includes?.caps ?? []).every(has) &&
    (arches.length === 0 || arches.includes(machine.docker)) &&
    isAtLeast(kernel, includes?.minKernel ?? '0.0');
  const excluded =
    (excludes?.caps ?? []).some(has) ||
    (excludes?.arches ?? []).includes(machine.docker) ||
    (typeof excludes?.minKernel === 'string' && isAtLeast(kernel, excludes.minKernel));
  return included && !excluded;
}

/** Major and minor of versions of Linux. */
function isAtLeast(kernel: string, wanted: string): boolean {
  const [major = 0, minor = 0] = kernel.split(/[.-]/).map(Number);
  const [wantedMajor = 0, wantedMinor = 0] = wanted.split('.').map(Number);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}

function resultOf(action: SeccompAction, errno: number | null | undefined): number {
  const takesErrno = action === 'SCMP_ACT_ERRNO' || action === 'SCMP_ACT_TRACE';
  return returns[action] + (takesErrno ? (errno ?? EPERM) : 0);
}
