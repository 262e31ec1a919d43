import assert from 'node:assert/strict';
import { defaultCapabilities } from '../../trees/run/capabilities.js';
import type { Place } from '../../trees/run/seccomp/decisions.js';
import type { compileFilter } from '../../trees/run/seccomp/filter.js';
import { interpret } from '../../trees/run/seccomp/interpret.js';
import { type Machine, machineOf } from '../../trees/run/seccomp/syscalls.js';

export const machine = (arch: string): Machine => {
  const found = machineOf(arch);
  assert.ok(found);
  return found;
};
export const x86 = machine('x64');
export const [i386 = assert.fail('no machine for 32-bit programs')] = x86.companions;
export const place = (change: Partial<Place> = {}): Place => ({
  machine: x86,
  capabilities: defaultCapabilities,
  kernel: '6.1.0-18-amd64',
  ...change,
});

export const ALLOW = 0x7fff_0000;
export const errno = (number: number): number => 0x0005_0000 + number;
export const EPERM = errno(1);
export const ENOSYS = errno(38);
export const EAFNOSUPPORT = errno(97);
export const KILL_PROCESS = 0x8000_0000;

export function call(program: ReturnType<typeof compileFilter>, name: string | number, ...args: bigint[]): number {
  const number = typeof name === 'number' ? name : x86.numbers.get(name);
  assert.ok(number !== undefined, `${name}`);
  return interpret(program, { number, machine: x86.audit, args });
}
