import { armCalls, foreignCalls, x86Calls } from './syscall-numbers.js';

/** Machines that filters are made for, with Linux's AUDIT_ARCH_* constant and the table of system calls. */
export interface Machine {
  /** As profiles call it. */
  readonly scmp: string;
  /** As Docker's conditions (`includes.arches`) call it. */
  readonly docker: string;
  readonly audit: number;
  /** System calls of the x32 interface have this bit set, and the same AUDIT_ARCH. */
  readonly foreignBit?: number;
  readonly numbers: ReadonlyMap<string, number>;
}

const x86: Omit<Machine, 'numbers'> = {
  scmp: 'SCMP_ARCH_X86_64',
  docker: 'amd64',
  audit: 0xc000_003e,
  foreignBit: 0x4000_0000,
};
const arm: Omit<Machine, 'numbers'> = { scmp: 'SCMP_ARCH_AARCH64', docker: 'arm64', audit: 0xc000_00b7 };

const machines = { x64: { ...x86, calls: x86Calls }, arm64: { ...arm, calls: armCalls } } as const;

/** @returns undefined for machines that trees makes no filters for */
export function machineOf(arch: string): Machine | undefined {
  if (arch !== 'x64' && arch !== 'arm64') return undefined;
  const { calls, ...machine } = machines[arch];
  return { ...machine, numbers: parseCalls(calls) };
}

/** Whether any machine has, or had, a system call of that name. */
export function isKnownCall(name: string): boolean {
  known ??= new Set([...parseCalls(x86Calls).keys(), ...parseCalls(armCalls).keys(), ...foreignCalls.split(' ')]);
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
