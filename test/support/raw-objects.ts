/** Metadata objects written straight into a repository, with whatever in them: libostree would refuse most of it. */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Checksum } from '../../trees/ostree/types.js';

export interface RawDirTree {
  readonly files: ReadonlyArray<readonly [name: string | Buffer, checksum: Checksum]>;
  readonly dirs: ReadonlyArray<readonly [name: string | Buffer, tree: Checksum, meta: Checksum]>;
}

/** Writes an object under the name that its bytes give, or under a false one. */
export function writeRaw(repo: string, type: string, bytes: Buffer, name?: Checksum): Checksum {
  const checksum = name ?? createHash('sha256').update(bytes).digest('hex');
  const path = join(repo, 'objects', checksum.slice(0, 2), `${checksum.slice(2)}.${type}`);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
  return checksum;
}

/** Entries are written in the order given. */
export function writeRawDirTree(repo: string, tree: Partial<RawDirTree>, name?: Checksum): Checksum {
  return writeRaw(repo, 'dirtree', serializeDirTree(tree), name);
}

export function writeRawDirMeta(
  repo: string,
  { uid = 0, gid = 0, mode = 0o40755, xattrs = [] }: RawDirMeta = {},
): Checksum {
  const numbers = Buffer.alloc(12);
  numbers.writeUInt32BE(uid, 0);
  numbers.writeUInt32BE(gid, 4);
  numbers.writeUInt32BE(mode, 8);
  const list = array(xattrs.map(([key, value]) => tuple([Buffer.from(`${key}\0`)], Buffer.from(value))));
  return writeRaw(repo, 'dirmeta', Buffer.concat([numbers, list]));
}

interface RawDirMeta {
  readonly uid?: number;
  readonly gid?: number;
  readonly mode?: number;
  readonly xattrs?: ReadonlyArray<readonly [name: string, value: string]>;
}

/** `(a(say)a(sayay))` */
export function serializeDirTree({ files = [], dirs = [] }: Partial<RawDirTree>): Buffer {
  const fileRows = files.map(([name, checksum]) => tuple([text(name)], hex(checksum)));
  const dirRows = dirs.map(([name, tree, meta]) => tuple([text(name), hex(tree)], hex(meta)));
  return tuple([array(fileRows)], array(dirRows));
}

const hex = (checksum: Checksum): Buffer => Buffer.from(checksum, 'hex');
const text = (name: string | Buffer): Buffer => Buffer.concat([Buffer.from(name), Buffer.of(0)]);

/** Members of variable size and no alignment: framing offsets of all but the last, in reverse order, at the end. */
function tuple(members: readonly Buffer[], last: Buffer): Buffer {
  const ends: number[] = [];
  for (const member of members) ends.push((ends.at(-1) ?? 0) + member.length);
  return framed(Buffer.concat([...members, last]), ends.toReversed());
}

function array(elements: readonly Buffer[]): Buffer {
  const ends: number[] = [];
  for (const element of elements) ends.push((ends.at(-1) ?? 0) + element.length);
  return elements.length === 0 ? Buffer.alloc(0) : framed(Buffer.concat(elements), ends);
}

function framed(body: Buffer, offsets: readonly number[]): Buffer {
  const width = [1, 2, 4].find((size) => body.length + offsets.length * size < 2 ** (8 * size)) ?? 8;
  const table = Buffer.alloc(offsets.length * width);
  for (const [index, offset] of offsets.entries()) table.writeUIntLE(offset, index * width, Math.min(width, 6));
  return Buffer.concat([body, table]);
}
