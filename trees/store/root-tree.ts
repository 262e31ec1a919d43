import type { Checksum } from '../ostree/types.js';

/** Members of variable size before the last one: each has its end in the table at the end of the bytes. */
const OFFSETS = 6;
const CHECKSUM_BYTES = 32;

/** Bytes of an entry of the table, by the size of the whole. */
function offsetSize(length: number): number {
  return length > 0xffffffff ? 8 : length > 0xffff ? 4 : length > 0xff ? 2 : 1;
}

/**
 * Checksum of a commit's root directory, out of the commit's bytes: a GVariant of type `(a{sv}aya(say)sstayay)`, whose
 * last two members are the 32 bytes each of the root's `dirtree` and `dirmeta` (ostree-core.h; GVariant Specification
 * 1.0, 2.5). For commits whose objects are not here.
 * @returns undefined if the bytes are too short to be a commit
 */
export function rootTreeOf(commit: Uint8Array): Checksum | undefined {
  const end = commit.length - OFFSETS * offsetSize(commit.length) - CHECKSUM_BYTES;
  if (end < CHECKSUM_BYTES) return undefined;
  return Buffer.from(commit.subarray(end - CHECKSUM_BYTES, end)).toString('hex');
}
