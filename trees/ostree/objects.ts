/** Reading and writing single objects. */
import {
  checkArray,
  checkBytes,
  checkChecksum,
  checkFilename,
  checkInteger,
  checkNonEmpty,
  checkObject,
  checkOneOf,
  checkOptionalChecksum,
  checkOptions,
  checkSignal,
  checkString,
  checkUint32,
  invalid,
} from './arguments.js';
import { withSignal } from './cancel.js';
import type { NativeCommit } from './native.js';
import { type RepoState, shared } from './repo-state.js';
import type { Cancellable, Checksum, CommitInput, DirMeta, DirTree, Metadata, NewFile } from './types.js';
import { toNativeMetadata } from './variant.js';
import { toNativeXattrs } from './xattrs.js';

/** Objects above this are not read whole unless the caller says so. */
const DEFAULT_MAX_SIZE = 64 * 1024 * 1024;
const DEFAULT_CHUNK_SIZE = 256 * 1024;
const MAX_CHUNK_SIZE = 64 * 1024 * 1024;
const TYPE_MASK = 0o170000;
const DIRECTORY = 0o040000;
const REGULAR = 0o100000;
const SYMLINK = 0o120000;

export async function readFile(
  repo: RepoState,
  checksum: Checksum,
  options?: { maxSize?: number } & Cancellable,
): Promise<Uint8Array> {
  checkChecksum(checksum, 'checksum');
  const { maxSize, signal } = checkOptions(options, 'options', ['maxSize', 'signal']);
  const limit = checkInteger(maxSize ?? DEFAULT_MAX_SIZE, 'options.maxSize', 0, Number.MAX_SAFE_INTEGER);
  return shared(repo, checkSignal(signal, 'options.signal'), (handle, token) =>
    repo.native.readFile(handle, checksum, limit, token),
  );
}

/** Checks at the call, opens at the first read, closes when the loop ends in any way. */
export function readFileStream(
  repo: RepoState,
  checksum: Checksum,
  options?: { chunkSize?: number } & Cancellable,
): AsyncIterable<Uint8Array> {
  checkChecksum(checksum, 'checksum');
  const { chunkSize, signal } = checkOptions(options, 'options', ['chunkSize', 'signal']);
  const size = checkInteger(chunkSize ?? DEFAULT_CHUNK_SIZE, 'options.chunkSize', 1, MAX_CHUNK_SIZE);
  return chunks(repo, checksum, size, checkSignal(signal, 'options.signal'));
}

async function* chunks(
  repo: RepoState,
  checksum: Checksum,
  size: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { native } = repo;
  const stream = await shared(repo, signal, (handle) => native.openFile(handle, checksum));
  try {
    for (;;) {
      const chunk = await withSignal(native, signal, (token) => native.readStream(stream, size, token));
      if (chunk === undefined) return;
      yield chunk;
    }
  } finally {
    native.closeStream(stream);
  }
}

export async function writeDetachedMetadata(
  repo: RepoState,
  commit: Checksum,
  metadata: Metadata | undefined,
): Promise<void> {
  checkChecksum(commit, 'commit');
  const checked = metadata === undefined ? undefined : toNativeMetadata(metadata, 'metadata');
  await shared(repo, undefined, (handle) => repo.native.writeDetachedMetadata(handle, commit, checked));
}

export async function writeDirTree(repo: RepoState, tree: DirTree): Promise<Checksum> {
  const { files, dirs } = checkObject(tree, 'tree');
  const names = new Set<string>();
  const unique = (value: unknown, name: string): string => {
    const checked = checkFilename(value, name);
    if (names.has(checked))
      throw new TypeError(`Expected tree to name each entry once, got ${JSON.stringify(checked)} twice`);
    names.add(checked);
    return checked;
  };
  const fileRows = checkArray(files, 'tree.files').map((item, index) => {
    const at = `tree.files[${index}]`;
    const entry = checkObject(item, at);
    return [unique(entry['name'], `${at}.name`), checkChecksum(entry['checksum'], `${at}.checksum`)] as const;
  });
  const dirRows = checkArray(dirs, 'tree.dirs').map((item, index) => {
    const at = `tree.dirs[${index}]`;
    const entry = checkObject(item, at);
    return [
      unique(entry['name'], `${at}.name`),
      checkChecksum(entry['tree'], `${at}.tree`),
      checkChecksum(entry['meta'], `${at}.meta`),
    ] as const;
  });
  const native = [bytewise(fileRows).flat(), bytewise(dirRows).flat()] as const;
  return shared(repo, undefined, (handle) => repo.native.writeDirTree(handle, native[0], native[1]));
}

export async function writeDirTrees(repo: RepoState, trees: readonly Uint8Array[]): Promise<Checksum[]> {
  const checked = checkArray(trees, 'trees').map((item, index) => checkBytes(item, `trees[${index}]`));
  return shared(repo, undefined, (handle) => repo.native.writeDirTrees(handle, checked));
}

/** Sorted as strcmp does, which is what the format asks for; JavaScript's own order differs beyond the BMP. */
function bytewise<T extends readonly [string, ...string[]]>(rows: readonly T[]): T[] {
  return rows
    .map((row) => ({ row, key: Buffer.from(row[0]) }))
    .sort((a, b) => Buffer.compare(a.key, b.key))
    .map(({ row }) => row);
}

export async function writeDirMeta(repo: RepoState, meta: DirMeta): Promise<Checksum> {
  const input = checkObject(meta, 'meta');
  const uid = checkUint32(input['uid'], 'meta.uid');
  const gid = checkUint32(input['gid'], 'meta.gid');
  const mode = checkMode(input['mode'], 'meta.mode', DIRECTORY, 'a directory');
  const xattrs = toNativeXattrs(input['xattrs'], 'meta.xattrs');
  return shared(repo, undefined, (handle) => repo.native.writeDirMeta(handle, uid, gid, mode, xattrs));
}

export async function writeFile(repo: RepoState, file: NewFile): Promise<Checksum> {
  const input = checkObject(file, 'file');
  const kind = checkOneOf(input['kind'], 'file.kind', ['regular', 'symlink']);
  const uid = checkUint32(input['uid'], 'file.uid');
  const gid = checkUint32(input['gid'], 'file.gid');
  const xattrs = toNativeXattrs(input['xattrs'], 'file.xattrs');
  const { native } = repo;
  if (kind === 'symlink') {
    const target = checkNonEmpty(input['target'], 'file.target');
    if (input['mode'] !== undefined) checkMode(input['mode'], 'file.mode', SYMLINK, 'a symlink');
    return shared(repo, undefined, (handle) => native.writeSymlink(handle, target, uid, gid, xattrs));
  }
  const content = checkBytes(input['content'], 'file.content');
  const mode = checkMode(input['mode'], 'file.mode', REGULAR, 'a regular file');
  return shared(repo, undefined, (handle) => native.writeRegular(handle, content, uid, gid, mode, xattrs));
}

/** A full `st_mode`, or permission bits only, of the one type that fits. */
function checkMode(value: unknown, name: string, type: number, what: string): number {
  const mode = checkInteger(value, name, 0, 0o177777);
  const given = mode & TYPE_MASK;
  if (given !== 0 && given !== type) throw invalid(name, `the mode of ${what}`, `0${mode.toString(8)}`);
  return type | (mode & 0o7777);
}

export async function writeCommit(repo: RepoState, input: CommitInput): Promise<Checksum> {
  const { rootTree, rootMeta, ...rest } = checkObject(input, 'input');
  const tree = checkChecksum(rootTree, 'input.rootTree');
  const meta = checkChecksum(rootMeta, 'input.rootMeta');
  const commit = toNativeCommit(rest, 'input');
  return shared(repo, undefined, (handle) => repo.native.writeCommit(handle, tree, meta, commit));
}

/** The parts of a commit that are not its tree. */
export function toNativeCommit(input: Readonly<Record<string, unknown>>, name: string): NativeCommit {
  const { parent, subject, body, timestamp, metadata } = input;
  return {
    parent: checkOptionalChecksum(parent, `${name}.parent`),
    subject: checkString(subject ?? '', `${name}.subject`),
    body: checkString(body ?? '', `${name}.body`),
    timestamp: checkInteger(timestamp, `${name}.timestamp`, 0, Number.MAX_SAFE_INTEGER),
    metadata: toNativeMetadata(metadata ?? {}, `${name}.metadata`),
  };
}
