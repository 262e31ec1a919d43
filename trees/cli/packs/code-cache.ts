import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs';

/**
 * A file with V8's code cache of one pack: what V8 would have to compile again at every start.
 *
 * V8 looks at its own version, its flags and the length of the source, but at no checksum: a flipped bit ends the
 * process. So the data is in the file twice, and both have to be the same, which costs less than any digest that does
 * not have Node load its modules for cryptography. Whole pages that a crash left empty would be the same in both; a sum of
 * samples is against those. Whom to trust is another question, see `Place`.
 *
 * Header: `TREESJIT`, length of the data and sum of the samples as 32-bit numbers, lowest byte first.
 */
const MAGIC = 'TREESJIT';
const HEADER_BYTES = 16;
/** Every page of 4 KiB has sixteen. */
const SAMPLE_STEP = 256;

/** Content of the file for V8's data. */
export function encodeCache(data: Buffer): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.write(MAGIC, 'latin1');
  header.writeUInt32LE(data.length, MAGIC.length);
  header.writeUInt32LE(sampleSum(data), MAGIC.length + 4);
  return Buffer.concat([header, data, data]);
}

/**
 * Data of a cache file.
 * @param trusted told what the open file is; false if whoever could have written it must not decide what runs here
 * @returns undefined if there is none, it is not whole, or it is not trusted
 */
export function readCache(path: string, trusted: (file: Stats) => boolean): Buffer | undefined {
  let fd: number | undefined;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    const stats = fstatSync(fd);
    if (!stats.isFile() || !trusted(stats)) return undefined;
    const file = Buffer.allocUnsafeSlow(stats.size);
    return readSync(fd, file) === file.length ? decodeCache(file) : undefined;
  } catch {
    return undefined;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function decodeCache(file: Buffer): Buffer | undefined {
  if (file.length < HEADER_BYTES || file.toString('latin1', 0, MAGIC.length) !== MAGIC) return undefined;
  const length = file.readUInt32LE(MAGIC.length);
  if (file.length !== HEADER_BYTES + 2 * length) return undefined;
  const first = file.subarray(HEADER_BYTES, HEADER_BYTES + length);
  const second = file.subarray(HEADER_BYTES + length);
  return first.equals(second) && sampleSum(first) === file.readUInt32LE(MAGIC.length + 4) ? first : undefined;
}

function sampleSum(data: Buffer): number {
  let sum = 1;
  for (let at = 0; at < data.length; at += SAMPLE_STEP) sum = (Math.imul(sum, 31) + (data[at] ?? 0)) | 0;
  return sum >>> 0;
}
