import { type TupleMember, tupleSpans } from './gvariant.js';
import type { Checksum } from './types.js';

/** `(a{sv}aya(say)sstayay)` (ostree-core.h): metadata, parent, related, subject, body, time, `dirtree`, `dirmeta`. */
const COMMIT: readonly TupleMember[] = [
  { align: 8 },
  { align: 1 },
  { align: 1 },
  { align: 1 },
  { align: 1 },
  { align: 8, size: 8 },
  { align: 1 },
  { align: 1 },
];
const TIME = 5;
const ROOT_TREE = 6;
const CHECKSUM_BYTES = 32;

/** What can be read of a commit by its bytes alone. */
export interface CommitFacts {
  /** Checksum of the root directory's `dirtree`. */
  readonly rootTree: Checksum;
  /** Seconds since 1970. */
  readonly time: number;
}

/**
 * Reads a commit whose objects are not here.
 * @returns undefined if the bytes are no commit
 */
export function commitFacts(bytes: Uint8Array): CommitFacts | undefined {
  const commit = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const spans = tupleSpans(commit, commit.length, COMMIT);
  const [time, root] = [spans?.[TIME], spans?.[ROOT_TREE]];
  if (time === undefined || root === undefined || root.end - root.start !== CHECKSUM_BYTES) return undefined;
  return {
    rootTree: commit.toString('hex', root.start, root.end),
    // Big-endian, unlike the framing.
    time: Number(commit.readBigUInt64BE(time.start)),
  };
}

/** Checksum of a commit's root directory. @returns undefined if the bytes are no commit */
export function rootTreeOf(commit: Uint8Array): Checksum | undefined {
  return commitFacts(commit)?.rootTree;
}
