import { type FileHandle, open } from 'node:fs/promises';
import { TreesError } from '../errors.js';
import { ED25519_METADATA_KEY, ED25519_METADATA_TYPE } from '../feed/commit-signature.js';

/**
 * A static delta that was signed as a whole (`ostree static-delta generate --sign`): `(taya{sv})`, that is a magic
 * number, the delta, and signatures over the delta's bytes (ostree-repo-static-delta-private.h,
 * OSTREE_STATIC_DELTA_SIGNED_FORMAT), serialised as GVariant.
 */
export const SIGNED_DELTA = 'OSTSGNDT';

/** Bytes of signatures; a hundred of them are a tenth of this. */
const MAX_SIGNATURES = 64 * 1024;
const COPY = 4 * 1024 * 1024;

/**
 * Writes the delta inside of a signed one to a file of its own.
 * @param path of the signed one
 * @param output file to write; must not exist
 * @returns its Ed25519 signatures, which nobody has looked at
 * @throws TreesError BUNDLE_CORRUPT
 */
export async function unwrapSigned(path: string, output: string): Promise<readonly Uint8Array[]> {
  await using source = await open(path, 'r');
  await using target = await open(output, 'wx', 0o600);
  const { size } = await source.stat();
  const width = offsetSize(size);
  const end = size < SIGNED_DELTA.length + width ? 0 : number(await read(source, { at: size - width, size: width }));
  const start = align(end);
  if (end <= SIGNED_DELTA.length || start > size - width || size - start > MAX_SIGNATURES) throw damaged(path);
  for (let at = SIGNED_DELTA.length; at < end; at += COPY) {
    const bytes = await read(source, { at, size: Math.min(COPY, end - at) });
    await target.write(bytes, 0, bytes.length);
  }
  const signatures = await read(source, { at: start, size: size - width - start });
  try {
    return signaturesOf(signatures);
  } catch (cause) {
    if (cause instanceof RangeError) throw damaged(path, cause);
    throw cause;
  }
}

/** Those of libostree's Ed25519 engine, of an `a{sv}`. @throws RangeError if it is not serialised as one */
function signaturesOf(dictionary: Buffer): readonly Uint8Array[] {
  for (const entry of items(dictionary, 8)) {
    const width = offsetSize(entry.length);
    const keyEnd = number(slice(entry, entry.length - width, entry.length));
    const key = slice(entry, 0, keyEnd - 1).toString('utf8');
    if (key !== ED25519_METADATA_KEY) continue;
    // A variant: the value, a NUL and the type.
    const variant = slice(entry, align(keyEnd), entry.length - width);
    const separator = variant.lastIndexOf(0);
    if (slice(variant, separator + 1, variant.length).toString('latin1') !== ED25519_METADATA_TYPE) continue;
    return items(slice(variant, 0, separator), 1).map((signature) => Uint8Array.from(signature));
  }
  return [];
}

/** The elements of an array whose elements have no fixed size: after them, where each of them ends. */
function items(array: Buffer, alignment: number): Buffer[] {
  if (array.length === 0) return [];
  const width = offsetSize(array.length);
  const last = number(slice(array, array.length - width, array.length));
  const ends = slice(array, last, array.length);
  const result: Buffer[] = [];
  let start = 0;
  for (let at = 0; at < ends.length; at += width) {
    const end = number(slice(ends, at, at + width));
    result.push(slice(array, align(start, alignment), end));
    start = end;
  }
  return result;
}

/** As `subarray`, but never of other bytes than were asked for. */
function slice(bytes: Buffer, start: number, end: number): Buffer {
  if (start < 0 || start > end || end > bytes.length) throw new RangeError('a framing offset is out of range');
  return bytes.subarray(start, end);
}

/** Bytes of a framing offset in a container of that size. */
function offsetSize(size: number): number {
  return size <= 0xff ? 1 : size <= 0xffff ? 2 : size <= 0xffff_ffff ? 4 : 8;
}

function number(bytes: Buffer): number {
  return bytes.length === 8 ? Number(bytes.readBigUInt64LE()) : bytes.readUIntLE(0, bytes.length);
}

function align(position: number, alignment = 8): number {
  return Math.ceil(position / alignment) * alignment;
}

async function read(file: FileHandle, { at, size }: { at: number; size: number }): Promise<Buffer> {
  const buffer = Buffer.alloc(size);
  const { bytesRead } = await file.read(buffer, 0, size, at);
  return buffer.subarray(0, bytesRead);
}

function damaged(path: string, cause?: unknown): TreesError {
  return new TreesError('BUNDLE_CORRUPT', `cannot read the bundle ${path}: it is a damaged signed static delta`, {
    hint: 'fetch it again, or tell the publisher',
    details: { path },
    cause,
  });
}
