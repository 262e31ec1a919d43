import type { RlimitSpec } from './container.js';
import type { PlanRlimit } from './plan-format.js';

/** Resource limits by the names of `ulimit` and podman; the index is the kernel's number (asm-generic/resource.h). */
export const rlimitNames = [
  'cpu',
  'fsize',
  'data',
  'stack',
  'core',
  'rss',
  'nproc',
  'nofile',
  'memlock',
  'as',
  'locks',
  'sigpending',
  'msgqueue',
  'nice',
  'rtprio',
  'rttime',
] as const;

const UNLIMITED = 0xffff_ffff_ffff_ffffn;

/** @throws RangeError for an unknown name or values that are no limits. */
export function planRlimit(limit: RlimitSpec): PlanRlimit {
  const resource = rlimitNames.findIndex((name) => name === limit.name);
  if (resource < 0) throw new RangeError(`Expected a resource limit such as nofile, got "${limit.name}"`);
  const soft = value(limit.soft);
  const hard = value(limit.hard);
  if (soft > hard) {
    throw new RangeError(`Expected the soft limit of ${limit.name} to be at most ${limit.hard}, got ${limit.soft}`);
  }
  return { resource, required: limit.required ?? true, soft, hard };
}

function value(number: number): bigint {
  if (number === Infinity) return UNLIMITED;
  if (!Number.isSafeInteger(number) || number < 0) {
    throw new RangeError(`Expected a limit to be a whole number or unlimited, got ${number}`);
  }
  return BigInt(number);
}
