import { basename } from 'node:path';
import { TreesError } from '../errors.js';
import { type CommitFacts, commitFacts } from '../ostree/commit-facts.js';
import { arraySpans, type TupleMember, tupleSpans } from '../ostree/gvariant.js';
import type { Feed } from './feed.js';
import { readRange } from './range.js';
import type { BundleEntry } from './schema.js';

/** What is known of the static delta in a tar after its first and its last bytes were read. */
export interface LegacyDelta extends CommitFacts {
  readonly from: string | null;
  readonly to: string;
  /** Bytes of the tar up to the delta's end: what has to be fetched. */
  readonly size: number;
  /** Bytes of objects that applying writes. */
  readonly writes: number;
  readonly objects: number;
}

const BLOCK = 512;
const COMMIT = /^[0-9a-f]{64}$/;
/** Bytes that are asked for at first: the header of a delta of some thousand objects. */
const TAIL = 192 * 1024;

/**
 * A superblock (ostree-repo-static-delta-private.h): metadata (here with all parts), time, from, to, the commit, further
 * deltas, part headers, fallbacks.
 */
const SUPERBLOCK: readonly TupleMember[] = [
  { align: 8 },
  { align: 8, size: 8 },
  { align: 1 },
  { align: 1 },
  { align: 8 },
  { align: 1 },
  { align: 8 },
  { align: 8 },
];
const AFTER_METADATA = 1;
const [FROM, TO, NEW_COMMIT, HEADERS] = [2, 3, 4, 6] as const;

/** A part header: version, digest, bytes, unpacked bytes, objects (33 bytes each: type and checksum). */
const HEADER: readonly TupleMember[] = [
  { align: 4, size: 4 },
  { align: 1 },
  { align: 8, size: 8 },
  { align: 8, size: 8 },
  { align: 1 },
];
const [UNPACKED, OBJECTS] = [3, 4] as const;
const OBJECT_BYTES = 33;
/** More than any delta has: what reads as more was written by a machine of the other byte order. */
const MOST_BYTES = 2 ** 48;

/**
 * Reads what a tar's delta leads from and to, and how large it is, in two requests. Nothing of it is verified but that
 * the commit is the one that the delta says it leads to.
 * @param feed the repository's releases
 * @throws TreesError BUNDLE_CORRUPT if it is no tar of one inline delta; as `readRange`
 */
export async function readLegacyDelta(
  feed: Feed,
  { file, release }: { readonly file: string; readonly release: string | undefined },
  signal?: AbortSignal,
): Promise<LegacyDelta> {
  const read = async (offset: number, length: number): Promise<Buffer> =>
    await readRange(feed, unsized(file, release), { offset, length, signal });
  const fail = (why: string): TreesError =>
    new TreesError('BUNDLE_CORRUPT', `cannot use ${file} of ${feed.url}: ${why}`, {
      hint: 'trees bundle install may know more of it: it reads the whole file',
      details: { file, release },
    });
  const { name, size } = parseTarHeader(await read(0, BLOCK)) ?? {};
  if (name === undefined || size === undefined || !COMMIT.test(name)) {
    throw fail('it does not begin with an inline static delta');
  }
  const end = BLOCK + size;
  let length = Math.min(TAIL, size);
  let tail = await read(end - length, length);
  let spans = tupleSpans(tail, size, SUPERBLOCK);
  const start = spans?.[AFTER_METADATA]?.start;
  if (start === undefined) throw fail('its static delta is damaged');
  if (start < size - length) {
    tail = Buffer.concat([await read(BLOCK + start, size - length - start), tail]);
    length = size - start;
    spans = tupleSpans(tail, size, SUPERBLOCK);
  }
  const member = (at: number): Buffer => {
    const span = spans?.[at];
    return span === undefined
      ? Buffer.alloc(0)
      : tail.subarray(span.start - (size - length), span.end - (size - length));
  };
  const [from, to] = [member(FROM).toString('hex'), member(TO).toString('hex')];
  const commit = commitFacts(member(NEW_COMMIT));
  const parts = arraySpans(member(HEADERS), 8);
  if (to !== name || (from !== '' && !COMMIT.test(from)) || commit === undefined || parts === undefined) {
    throw fail('its static delta is damaged');
  }
  const headers = parts.map((span) => partFacts(member(HEADERS).subarray(span.start, span.end)));
  if (headers.includes(undefined)) throw fail('its static delta is damaged');
  const sum = (of: 'writes' | 'objects'): number => headers.reduce((total, header) => total + (header?.[of] ?? 0), 0);
  return { ...commit, from: from === '' ? null : from, to, size: end, writes: sum('writes'), objects: sum('objects') };
}

function partFacts(header: Buffer): { writes: number; objects: number } | undefined {
  const spans = tupleSpans(header, header.length, HEADER);
  const [unpacked, objects] = [spans?.[UNPACKED], spans?.[OBJECTS]];
  if (unpacked === undefined || objects === undefined || unpacked.end > header.length) return undefined;
  const little = Number(header.readBigUInt64LE(unpacked.start));
  const writes = little < MOST_BYTES ? little : Number(header.readBigUInt64BE(unpacked.start));
  if (writes >= MOST_BYTES) return undefined;
  return { writes, objects: Math.floor((objects.end - objects.start) / OBJECT_BYTES) };
}

/** The first file of a tar (POSIX ustar). @returns undefined if it is no tar */
function parseTarHeader(block: Buffer): { name: string; size: number } | undefined {
  if (block.toString('latin1', 257, 262) !== 'ustar') return undefined;
  const text = (start: number, end: number): string => block.toString('latin1', start, end).replace(/\0.*$/s, '');
  const size = Number.parseInt(text(124, 136).trim(), 8);
  const isFile = ['', '0'].includes(text(156, 157));
  return isFile && size > 0 ? { name: basename(text(0, 100)), size } : undefined;
}

/** `readRange` takes bundles: here only the name is known. */
function unsized(file: string, release: string | undefined): BundleEntry {
  const unknown = { from: null, to: '', encoding: 'small', sha256: '', rawSize: 0, writes: 0 } as const;
  return { ...unknown, file, release, size: Number.MAX_SAFE_INTEGER };
}
