import { createReadStream } from 'node:fs';
import { type FileHandle, open, readFile, stat } from 'node:fs/promises';
import { TreesError } from '../errors.js';

/** Larger than the superblock of any delta without inline parts. */
const MAX_SUPERBLOCK = 256 << 20;
/** Members of the superblock that GVariant's framing offsets name: all but the timestamp and the last one. */
const MEMBERS = 6;

/**
 * Turns a static delta whose parts are files of their own into an inline one, which is what bundles and
 * `apply-offline` know: each part becomes an entry of the superblock's metadata. Nothing is decoded or verified here.
 * Format: libostree's OSTREE_STATIC_DELTA_SUPERBLOCK_FORMAT `(a{sv}tayay(…)aya(…)a(…))`, serialised as GVariant.
 * @param superblock path of the file `superblock`
 * @param parts paths of the files `0`, `1`, …
 * @param output file to write; must not exist
 * @throws TreesError BUNDLE_CORRUPT
 */
export async function inlineParts(superblock: string, parts: readonly string[], output: string): Promise<void> {
  const size = (await stat(superblock)).size;
  if (size > MAX_SUPERBLOCK) throw damaged(superblock, 'it is too large');
  const block = await readFile(superblock);
  const ends = memberEnds(block, superblock);
  const [metadataEnd = 0, fromEnd = 0, toEnd = 0] = ends;
  const rest = block.subarray(align(metadataEnd), block.length - MEMBERS * offsetSize(block.length));
  const from = block.subarray(align(metadataEnd) + 8, fromEnd);
  const to = block.subarray(fromEnd, toEnd);
  if ((from.length !== 0 && from.length !== 32) || to.length !== 32)
    throw damaged(superblock, 'its commits are malformed');
  const file = await open(output, 'wx', 0o600);
  try {
    const metadata = entriesOf(block.subarray(0, metadataEnd), superblock);
    const writer: Writer = { file, position: 0 };
    await write(writer, metadata.body);
    for (const [index, part] of parts.entries()) {
      metadata.ends.push(await writePart(writer, deltaKey(from, to, index), part));
    }
    await write(writer, offsets(metadata.ends, writer.position));
    const end = writer.position;
    await write(writer, Buffer.alloc(align(end) - end));
    const shift = align(end) - align(metadataEnd);
    await write(writer, rest);
    const moved = [end, ...ends.slice(1).map((value) => value + shift)];
    // The first member's offset comes last.
    await write(writer, offsets(moved.toReversed(), writer.position));
  } finally {
    await file.close();
  }
}

interface Writer {
  readonly file: FileHandle;
  position: number;
}

async function write(writer: Writer, bytes: Buffer): Promise<void> {
  if (bytes.length > 0) await writer.file.write(bytes, 0, bytes.length, writer.position);
  writer.position += bytes.length;
}

/** Writes `{sv}` with a part, which is a `(yay)` as it lies on disk. @returns where it ends */
async function writePart(writer: Writer, key: string, part: string): Promise<number> {
  await write(writer, Buffer.alloc(align(writer.position) - writer.position));
  const start = writer.position;
  const name = Buffer.from(`${key}\0`);
  await write(writer, name);
  await write(writer, Buffer.alloc(align(name.length) - name.length));
  for await (const chunk of createReadStream(part, { highWaterMark: 1 << 20 })) {
    const bytes: Buffer = chunk;
    await write(writer, bytes);
  }
  await write(writer, Buffer.from('\0(yay)'));
  await write(writer, offsets([name.length], writer.position - start));
  return writer.position;
}

function memberEnds(block: Buffer, path: string): number[] {
  const width = offsetSize(block.length);
  const body = block.length - MEMBERS * width;
  if (width === 0 || body < 0) throw damaged(path, 'it is too short');
  const ends = Array.from({ length: MEMBERS }, (_, n) => readOffset(block, body + (MEMBERS - 1 - n) * width, width));
  let previous = 0;
  for (const end of ends) {
    if (end < previous || end > body) throw damaged(path, 'its framing is damaged');
    previous = end;
  }
  if (align(ends[0] ?? 0) + 8 > (ends[1] ?? 0)) throw damaged(path, 'its framing is damaged');
  return ends;
}

/** The elements of the metadata `a{sv}` without the array's offsets, and where each of them ends. */
function entriesOf(array: Buffer, path: string): { body: Buffer; ends: number[] } {
  if (array.length === 0) return { body: array, ends: [] };
  const width = offsetSize(array.length);
  const bodyEnd = readOffset(array, array.length - width, width);
  if (bodyEnd > array.length - width || (array.length - bodyEnd) % width !== 0) {
    throw damaged(path, 'its metadata is damaged');
  }
  const count = (array.length - bodyEnd) / width;
  const ends = Array.from({ length: count }, (_, n) => readOffset(array, bodyEnd + n * width, width));
  return { body: array.subarray(0, bodyEnd), ends };
}

/** `deltas/…/N`, as libostree names inline parts: base64 of the checksums with `_` for `/` and no padding. */
function deltaKey(from: Buffer, to: Buffer, index: number): string {
  const base64 = (checksum: Buffer): string => checksum.toString('base64').replaceAll('/', '_').replaceAll('=', '');
  const first = base64(from.length === 0 ? to : from);
  const second = from.length === 0 ? '' : `-${base64(to)}`;
  return `deltas/${first.slice(0, 2)}/${first.slice(2)}${second}/${index}`;
}

function align(offset: number): number {
  return Math.ceil(offset / 8) * 8;
}

/** Framing offsets that end a container whose members take `body` bytes. */
function offsets(values: readonly number[], body: number): Buffer {
  const fits = (width: number, limit: number): boolean => body + width * values.length <= limit;
  const width = fits(1, 0xff) ? 1 : fits(2, 0xffff) ? 2 : fits(4, 0xffffffff) ? 4 : 8;
  const bytes = Buffer.alloc(width * values.length);
  for (const [index, value] of values.entries()) {
    if (width === 8) bytes.writeBigUInt64LE(BigInt(value), index * width);
    else bytes.writeUIntLE(value, index * width, width);
  }
  return bytes;
}

/** Bytes of each framing offset in a finished container. */
function offsetSize(size: number): number {
  if (size > 0xffffffff) return 8;
  if (size > 0xffff) return 4;
  if (size > 0xff) return 2;
  return size > 0 ? 1 : 0;
}

function readOffset(bytes: Buffer, position: number, width: number): number {
  return width === 8 ? Number(bytes.readBigUInt64LE(position)) : bytes.readUIntLE(position, width);
}

function damaged(path: string, why: string): TreesError {
  return new TreesError('BUNDLE_CORRUPT', `cannot read the static delta ${path}: ${why}`, {
    hint: 'fetch it again',
    details: { path },
  });
}
