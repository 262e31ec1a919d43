import { armCalls, foreignCalls, i386Calls, x32Calls, x86Calls } from './syscall-numbers.js';

/** Machines that filters are made for, with Linux's AUDIT_ARCH_* constant and the table of system calls. */
export interface Machine {
  /** As profiles call it. */
  readonly scmp: string;
  /** As Docker's conditions (`includes.arches`) call it. */
  readonly docker: string;
  readonly audit: number;
  readonly numbers: ReadonlyMap<string, number>;
  /** Other machines whose programs the same kernel runs. A profile says whether they may. */
  readonly companions: readonly Companion[];
  /** An interface with the same AUDIT_ARCH whose numbers have this bit set; in the table they are without it. */
  readonly marked?: { readonly scmp: string; readonly bit: number; readonly numbers: ReadonlyMap<string, number> };
}

export type Companion = Pick<Machine, 'scmp' | 'audit' | 'numbers'>;

/** @returns undefined for machines that trees makes no filters for */
export function machineOf(arch: string): Machine | undefined {
  if (arch === 'arm64') {
    const numbers = parseCalls(armCalls);
    return { scmp: 'SCMP_ARCH_AARCH64', docker: 'arm64', audit: 0xc000_00b7, numbers, companions: [] };
  }
  if (arch !== 'x64') return undefined;
  const numbers = parseCalls(x86Calls);
  const changed = parseCalls(x32Calls);
  return {
    scmp: 'SCMP_ARCH_X86_64',
    docker: 'amd64',
    audit: 0xc000_003e,
    numbers,
    companions: [{ scmp: 'SCMP_ARCH_X86', audit: 0x4000_0003, numbers: parseCalls(i386Calls) }],
    marked: { scmp: 'SCMP_ARCH_X32', bit: 0x4000_0000, numbers: new Map([...numbers, ...changed]) },
  };
}

/** Whether any machine has, or had, a system call of that name. */
export function isKnownCall(name: string): boolean {
  known ??= new Set([
    ...[x86Calls, i386Calls, armCalls].flatMap((calls) => [...parseCalls(calls).keys()]),
    ...foreignCalls.split(' '),
  ]);
  return known.has(name);
}

let known: Set<string> | undefined;

function parseCalls(text: string): Map<string, number> {
  const numbers = new Map<string, number>();
  let next = 0;
  for (const word of text.split(' ')) {
    if (/^\d/.test(word)) next = Number(word);
    else numbers.set(word, next++);
  }
  return numbers;
}
