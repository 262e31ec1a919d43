import { TreesError } from '../errors.js';
import type { Feed } from './feed.js';
import { readRange } from './range.js';
import type { BundleEntry } from './schema.js';

/** What is asked for where the index does not say how long the tail is: enough for most bundles. */
const GUESS = 64 * 1024;
/** Of zstd's seekable format: number of frames (4), descriptor (1), magic (4) end the file. */
const FOOTER = 9;
const SEEKABLE_MAGIC = 0x8f92eab1;
const SKIPPABLE_HEADER = 8;
const CHECKSUM_FLAG = 0x80;

/**
 * Reads the end of a bundle that tells all about it: the last frame, which holds the static delta's header and the
 * commit, and the seek table; what comes before that may be there, too. Not verified: opening the bundle checks it
 * against the commit.
 * @throws TreesError as `readRange`; BUNDLE_CORRUPT if it is no bundle
 */
export async function readTail(feed: Feed, entry: BundleEntry, signal?: AbortSignal): Promise<Buffer> {
  const grow = async (end: Buffer, length: number): Promise<Buffer> => {
    if (length > entry.size) throw noBundle(entry);
    if (length <= end.length) return end;
    const range = { offset: entry.size - length, length: length - end.length, signal };
    return Buffer.concat([await readRange(feed, entry, range), end]);
  };
  const first = await grow(Buffer.alloc(0), Math.min(entry.tail ?? GUESS, entry.size));
  const table = tableSize(first, entry);
  const most = await grow(first, table);
  return await grow(most, table + lastFrame(most.subarray(most.length - table)));
}

function tableSize(end: Buffer, entry: BundleEntry): number {
  if (end.length < FOOTER || end.readUInt32LE(end.length - 4) !== SEEKABLE_MAGIC) throw noBundle(entry);
  const frames = end.readUInt32LE(end.length - FOOTER);
  const size = SKIPPABLE_HEADER + frames * entrySize(end) + FOOTER;
  if (frames === 0 || size > entry.size) throw noBundle(entry);
  return size;
}

/** Bytes of the last frame as stored, from a whole seek table. */
function lastFrame(table: Buffer): number {
  return table.readUInt32LE(table.length - FOOTER - entrySize(table));
}

function entrySize(end: Buffer): number {
  return (end.readUInt8(end.length - 5) & CHECKSUM_FLAG) === 0 ? 8 : 12;
}

function noBundle(entry: BundleEntry): TreesError {
  return new TreesError('BUNDLE_CORRUPT', `cannot use bundle ${entry.file}: it does not end in a seek table`, {
    hint: 'tell the publisher',
    details: { file: entry.file },
  });
}
