import * as z from 'zod/mini';
import { reasonOf, usageError } from '../../errors.js';
import { capabilityNames } from '../capabilities.js';
import { isKnownCall } from './syscalls.js';

/**
 * Profiles of system calls in Docker's format, as podman and Docker take them
 * (https://docs.docker.com/engine/security/seccomp/).
 */

const actions = [
  'SCMP_ACT_ALLOW',
  'SCMP_ACT_ERRNO',
  'SCMP_ACT_KILL',
  'SCMP_ACT_KILL_PROCESS',
  'SCMP_ACT_KILL_THREAD',
  'SCMP_ACT_LOG',
  'SCMP_ACT_TRACE',
  'SCMP_ACT_TRAP',
] as const;
const operators = [
  'SCMP_CMP_NE',
  'SCMP_CMP_LT',
  'SCMP_CMP_LE',
  'SCMP_CMP_EQ',
  'SCMP_CMP_GE',
  'SCMP_CMP_GT',
  'SCMP_CMP_MASKED_EQ',
] as const;
/** Names of machines. Filters are made for this one; the others are accepted, because profiles name many. */
const architecture = z
  .string()
  .check(
    z.regex(
      /^SCMP_ARCH_(X86|X86_64|X32|ARM|AARCH64|MIPS|MIPS64|MIPS64N32|MIPSEL|MIPSEL64|MIPSEL64N32|PPC|PPC64|PPC64LE|S390|S390X|PARISC|PARISC64|RISCV64|LOONGARCH64|M68K|SH|SHEB)$/,
      'expected an architecture such as SCMP_ARCH_X86_64',
    ),
  );
const flagNames = ['SECCOMP_FILTER_FLAG_LOG', 'SECCOMP_FILTER_FLAG_SPEC_ALLOW', 'SECCOMP_FILTER_FLAG_TSYNC'] as const;

const action = z.enum(actions);
const errno = z.int().check(z.minimum(0), z.maximum(4095));
const syscall = z
  .string()
  .check(
    z.refine((name) => isKnownCall(name), { error: (issue) => `unknown system call ${JSON.stringify(issue.input)}` }),
  );
/** JSON numbers are exact up to 2^53; larger ones can be written as strings. */
const operand = z.union([
  z.int().check(z.minimum(0)),
  z.string().check(z.regex(/^(0x[0-9a-fA-F]{1,16}|\d{1,19})$/, 'expected a number')),
]);
const capability = z
  .string()
  .check(z.refine((name) => capabilityNames.some((known) => name === `CAP_${known}`), 'expected a capability, CAP_…'));
const condition = z.object({
  caps: z.nullish(z.array(capability)),
  arches: z.nullish(z.array(z.string())),
  minKernel: z.nullish(z.string().check(z.regex(/^\d+\.\d+/, 'expected a version of Linux such as 4.8'))),
});
const argument = z.object({
  index: z.int().check(z.minimum(0), z.maximum(5)),
  value: operand,
  valueTwo: z.nullish(operand),
  op: z.enum(operators),
});
const rule = z.object({
  names: z.nullish(z.array(syscall)),
  /** Former form of `names`. */
  name: z.optional(syscall),
  action,
  errnoRet: z.nullish(errno),
  args: z.nullish(z.array(argument)),
  includes: z.nullish(condition),
  excludes: z.nullish(condition),
});
export const profileSchema = z.object({
  defaultAction: action,
  defaultErrnoRet: z.nullish(errno),
  architectures: z.nullish(z.array(architecture)),
  archMap: z.nullish(z.array(z.object({ architecture, subArchitectures: z.nullish(z.array(architecture)) }))),
  flags: z.nullish(z.array(z.enum(flagNames))),
  syscalls: z.nullish(z.array(rule)),
});

export type SeccompProfile = z.infer<typeof profileSchema>;
export type SeccompRule = z.infer<typeof rule>;
export type SeccompAction = (typeof actions)[number];
export type SeccompOperator = (typeof operators)[number];

/**
 * @param text JSON
 * @param source for messages: the file's name
 * @throws TreesError `USAGE` that names what is wrong in it
 */
export function parseProfile(text: string, source: string): SeccompProfile {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw usageError(`Expected the seccomp profile ${source} to be JSON: ${reasonOf(error)}`);
  }
  const result = z.safeParse(profileSchema, json);
  if (result.success) return result.data;
  throw usageError(
    `Expected the seccomp profile ${source} to be valid: ${problems(result.error)}`,
    'profiles have the format of Docker and podman; SCMP_ACT_NOTIFY is not supported',
  );
}

function problems(error: z.core.$ZodError): string {
  return error.issues
    .slice(0, 3)
    .map(({ path, message }) => `${path.join('.')}: ${message}`)
    .join('; ');
}
