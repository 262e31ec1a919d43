import type { Limits } from './limits.js';
import type { DeclaredLimits } from './limits-schema.js';

const units: Readonly<Record<string, number>> = { b: 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/** What a definition says, with sizes as bytes. */
export function readDeclaredLimits(declared: DeclaredLimits): Limits {
  const { memory, memorySwap, memoryReservation, ...rest } = declared;
  return { ...rest, memory: bytes(memory), memorySwap: bytes(memorySwap), memoryReservation: bytes(memoryReservation) };
}

function bytes(size: number | string | undefined): number | undefined {
  if (typeof size !== 'string') return size;
  return Number.parseInt(size, 10) * (units[size.slice(-1).toLowerCase()] ?? 1);
}
