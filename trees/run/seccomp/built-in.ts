import { arch, release } from 'node:os';
import { type Capability, capabilityMask, defaultCapabilities } from '../capabilities.js';
import type { BpfInstruction } from '../plan-security.js';
import { builtInFilters } from './built-in-filters.js';
import defaultProfile from './default-profile.json' with { type: 'json' };
import { compileFilter } from './filter.js';
import type { SeccompProfile } from './profile.js';
import { machineOf } from './syscalls.js';

/** What containers get that ask for nothing else. */
export function builtInProfile(): SeccompProfile {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a test validates it, so that starting needs no schema
  return defaultProfile as SeccompProfile;
}

/**
 * The filter for a profile on this machine; without a profile the built-in one, which exists already compiled for the
 * capabilities that almost every container has.
 *
 * @returns undefined where trees has no table of system calls: there the container gets no filter
 * @throws RangeError when a profile gives a filter longer than the kernel takes
 */
export function filterFor(
  profile: SeccompProfile | undefined,
  capabilities: readonly Capability[],
): readonly BpfInstruction[] | undefined {
  const name = arch();
  const ready = name === 'x64' || name === 'arm64' ? builtInFilters[name] : undefined;
  if (profile === undefined && ready !== undefined && isDefault(capabilities)) return unpackFilter(ready);
  const machine = machineOf(name);
  if (machine === undefined) return undefined;
  return compileFilter(profile ?? builtInProfile(), { machine, capabilities, kernel: release() });
}

function isDefault(capabilities: readonly Capability[]): boolean {
  return capabilityMask(capabilities) === capabilityMask(defaultCapabilities);
}

/** Filters as text: the kernel's `struct sock_filter`s in base64. */
export function packFilter(program: readonly BpfInstruction[]): string {
  const bytes = Buffer.alloc(program.length * 8);
  for (const [index, { code, jumpTrue, jumpFalse, operand }] of program.entries()) {
    bytes.writeUInt16LE(code, index * 8);
    bytes.writeUInt8(jumpTrue, index * 8 + 2);
    bytes.writeUInt8(jumpFalse, index * 8 + 3);
    bytes.writeUInt32LE(operand, index * 8 + 4);
  }
  return bytes.toString('base64');
}

function unpackFilter(text: string): BpfInstruction[] {
  const bytes = Buffer.from(text, 'base64');
  return Array.from({ length: bytes.length / 8 }, (_, index) => ({
    code: bytes.readUInt16LE(index * 8),
    jumpTrue: bytes.readUInt8(index * 8 + 2),
    jumpFalse: bytes.readUInt8(index * 8 + 3),
    operand: bytes.readUInt32LE(index * 8 + 4),
  }));
}
