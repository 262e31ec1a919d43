import { randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { finished } from 'node:stream/promises';
import { list, type ReadEntry } from 'tar';
import { inlineParts } from '../delta/index.js';
import { reasonOf, TreesError } from '../errors.js';
import type { Checksum } from '../ostree/types.js';
import { SIGNED_DELTA, unwrapSigned } from './signed-delta.js';

/** A bundle or inline delta as a file, taken out of what the user named. Dispose of it to delete temporary files. */
export interface UnpackedDelta extends AsyncDisposable {
  readonly path: string;
  /** The commit that a tar says it leads to, by the name of what it holds. */
  readonly to: Checksum | undefined;
  /** `tar`: as the original project published. */
  readonly kind: 'file' | 'tar';
  /** Ed25519 signatures over all of the file at `path`, if it was signed as a whole. */
  readonly signatures: readonly Uint8Array[];
}

const COMMIT = /^[0-9a-f]{64}$/;
const PART = /^\d{1,6}$/;
const TAR_MAGIC = { offset: 257, text: 'ustar' } as const;
const GZIP_MAGIC = 0x1f8b;

/**
 * Finds the delta in a file: the file itself, what is signed in it, or what a tar holds: one inline delta named by its commit, or a directory
 * with `superblock` and the parts `0`, `1`, …
 * @param directory for temporary files, on a file system with room for what the tar holds
 * @throws TreesError BUNDLE_UNREADABLE, BUNDLE_CORRUPT, UNSUPPORTED
 */
export async function unpackDelta(path: string, directory: string): Promise<UnpackedDelta> {
  const format = await formatOf(path);
  const plain = { to: undefined, kind: 'file' } as const;
  if (format === 'file') {
    return { ...plain, path, signatures: [], [Symbol.asyncDispose]: async () => await Promise.resolve() };
  }
  // Called as gc expects: what a kill leaves is deleted there.
  const temporary = (): string => join(directory, `tar-${randomBytes(6).toString('hex')}`);
  const made: string[] = [];
  const dispose = async (): Promise<void> => {
    for (const file of made) await rm(file, { force: true });
  };
  try {
    if (format === 'signed') {
      const inner = temporary();
      made.push(inner);
      const signatures = await unwrapSigned(path, inner);
      return { ...plain, path: inner, signatures, [Symbol.asyncDispose]: dispose };
    }
    const { superblock, parts, to } = await extract(path, { temporary, made });
    const tar = { to, kind: 'tar', signatures: [], [Symbol.asyncDispose]: dispose } as const;
    if (parts.length === 0) return { ...tar, path: superblock };
    const inline = temporary();
    made.push(inline);
    await inlineParts(superblock, parts, inline);
    return { ...tar, path: inline };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/**
 * Whether a file has to be what it holds: neither a tar nor signed as a whole.
 * @throws TreesError BUNDLE_UNREADABLE
 */
export async function isPlainDelta(path: string): Promise<boolean> {
  return (await formatOf(path)) === 'file';
}

async function formatOf(path: string): Promise<'file' | 'tar' | 'signed'> {
  const head = Buffer.alloc(512);
  try {
    const file = await open(path, 'r');
    try {
      await file.read(head, 0, head.length, 0);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw new TreesError('BUNDLE_UNREADABLE', `cannot read the bundle ${path}: ${reasonOf(error)}`, {
      hint: 'check the name and the permissions',
      details: { path },
    });
  }
  if (head.toString('latin1', 0, SIGNED_DELTA.length) === SIGNED_DELTA) return 'signed';
  const magic = head.toString('latin1', TAR_MAGIC.offset, TAR_MAGIC.offset + TAR_MAGIC.text.length);
  return magic === TAR_MAGIC.text || head.readUInt16BE(0) === GZIP_MAGIC ? 'tar' : 'file';
}

interface Extracted {
  readonly superblock: string;
  readonly parts: readonly string[];
  readonly to: Checksum | undefined;
}

/** Writes what belongs to a delta under names of ours: none of the tar's is ever a path here. */
async function extract(
  path: string,
  { temporary, made }: { temporary: () => string; made: string[] },
): Promise<Extracted> {
  const found = new Map<string, string>();
  const pending: Array<Promise<void>> = [];
  const take = (entry: ReadEntry): void => {
    const name = basename(entry.path);
    if (entry.type !== 'File' || !(COMMIT.test(name) || PART.test(name) || name === 'superblock')) {
      entry.resume();
      return;
    }
    const target = temporary();
    made.push(target);
    found.set(entry.path, target);
    const stream = createWriteStream(target, { flags: 'wx', mode: 0o600 });
    pending.push(finished(stream));
    entry.pipe(stream);
  };
  try {
    await list({ file: path, strict: true, onReadEntry: take });
    await Promise.all(pending);
  } catch (error) {
    await Promise.allSettled(pending);
    if (error instanceof Error && 'code' in error && ['ENOSPC', 'EDQUOT', 'EIO'].includes(String(error.code)))
      throw error;
    throw noDelta(path, `it is a damaged archive (${reasonOf(error)})`);
  }
  return choose(path, found);
}

function choose(path: string, found: ReadonlyMap<string, string>): Extracted {
  const blocks = [...found].filter(([name]) => basename(name) === 'superblock' || COMMIT.test(basename(name)));
  const [block, ...more] = blocks;
  if (block === undefined) throw noDelta(path, 'it holds no static delta');
  if (more.length > 0) throw noDelta(path, `it holds ${blocks.length} static deltas, which is too many`);
  const [name, superblock] = block;
  if (basename(name) !== 'superblock') return { superblock, parts: [], to: basename(name) };
  const parts: string[] = [];
  for (let part = found.get(join(dirname(name), '0')); part !== undefined; ) {
    parts.push(part);
    part = found.get(join(dirname(name), String(parts.length)));
  }
  // `FROM-TO` or `TO`
  const to = basename(dirname(name)).split('-').at(-1) ?? '';
  return { superblock, parts, to: COMMIT.test(to) ? to : undefined };
}

function noDelta(path: string, why: string): TreesError {
  return new TreesError('BUNDLE_CORRUPT', `cannot read the bundle ${path}: ${why}`, {
    hint: 'a tar has to hold one static delta: a file named by its commit, or a directory with "superblock" and parts',
    details: { path },
  });
}
