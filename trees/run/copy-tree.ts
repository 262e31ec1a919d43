import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  futimesSync,
  lchownSync,
  mkdirSync,
  openSync,
  readSync,
  type Stats,
  symlinkSync,
  writeSync,
} from 'node:fs';
import { basename } from 'node:path';
import { TreesError } from '../errors.js';
import { type Place, resolveIn } from './root-view.js';
import type { SafeDirectory } from './safe-directory.js';

/** One side of a copy. */
export interface CopyRoot {
  readonly root: SafeDirectory;
  /** Number that is added to an id in the container to get the one seen on this side; undefined: ids mean nothing here. */
  readonly firstId: number | undefined;
  /** New entries have to be made by their parent's owner: root has no id in the container's user namespace. */
  readonly asOwner: boolean;
}

export interface CopyOptions {
  readonly from: CopyRoot;
  readonly source: string;
  readonly to: CopyRoot;
  readonly target: string;
  /** Keep owners; otherwise everything is root's in a container, and the caller's outside. */
  readonly archive: boolean;
  /** Copy what a symlink as the source leads to. */
  readonly followLink: boolean;
  readonly warn: (message: string) => void;
  readonly signal?: AbortSignal | undefined;
}

export interface Copied {
  files: number;
  bytes: number;
}

const CHUNK = 1 << 20;
const MAX_DEPTH = 2048;
const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/**
 * Copies a file or directory, as podman cp does: into the target if that is a directory, else to that name; `SOURCE/.`
 * stands for what is in it. On both sides names are looked up in directories that are held.
 * @throws TreesError PATH_CONFLICT
 */
export function copyTree(options: CopyOptions): Copied {
  const { from, source, to, target } = options;
  const contents = source.endsWith('/.') || source === '.' || source.endsWith('/');
  using place = resolveIn(from.root, source, { follow: options.followLink || contents });
  const stats = place.name === undefined ? undefined : place.directory.look(place.name);
  if (place.name !== undefined && stats === undefined) throw conflict(source, 'it does not exist');
  const isDirectory = stats === undefined || stats.isDirectory();
  using goal = resolveIn(to.root, target, { follow: true });
  const there = goal.name === undefined ? undefined : goal.directory.look(goal.name);
  const copied: Copied = { files: 0, bytes: 0 };
  if (goal.name === undefined || there?.isDirectory() === true) {
    using directory = enterPlace(goal, target);
    if (isDirectory && (contents || place.name === undefined)) {
      using inner = enterPlace(place, source);
      copyContents(inner, directory, 0, options, copied);
    } else {
      const name = place.name ?? basename(source);
      copyEntry({ directory: place.directory, name }, { directory: directory, name }, 0, options, copied);
    }
    return copied;
  }
  if (isDirectory && there !== undefined) throw conflict(target, 'it is no directory');
  if (!isDirectory && target.endsWith('/')) throw conflict(target, 'there is no such directory');
  const name = { directory: goal.directory, name: goal.name };
  if (place.name === undefined) {
    using inner = enterPlace(place, source);
    using made = makeDirectory(name, undefined, options);
    copyContents(inner, made, 0, options, copied);
  } else copyEntry({ directory: place.directory, name: place.name }, name, 0, options, copied);
  return copied;
}

function enterPlace({ directory, name }: Place, path: string): SafeDirectory {
  const entered = directory.enter(name ?? '.');
  if (entered === undefined) throw conflict(path, 'it is no directory');
  return entered;
}

interface Entry {
  readonly directory: SafeDirectory;
  readonly name: string;
}

function copyContents(
  from: SafeDirectory,
  to: SafeDirectory,
  depth: number,
  options: CopyOptions,
  copied: Copied,
): void {
  if (depth > MAX_DEPTH) throw conflict(options.source, `it has directories more than ${MAX_DEPTH} deep`);
  for (const name of from.names()) {
    options.signal?.throwIfAborted();
    copyEntry({ directory: from, name }, { directory: to, name }, depth + 1, options, copied);
  }
}

function copyEntry(from: Entry, to: Entry, depth: number, options: CopyOptions, copied: Copied): void {
  const stats = from.directory.look(from.name);
  // Gone since it was listed.
  if (stats === undefined) return;
  if (stats.isDirectory()) {
    using inner = from.directory.enter(from.name);
    if (inner === undefined) return;
    using made = makeDirectory(to, stats, options);
    copyContents(inner, made, depth, options, copied);
  } else if (stats.isFile()) {
    copied.bytes += copyFile(from, to, stats, options);
    copied.files += 1;
  } else if (stats.isSymbolicLink()) {
    const target = from.directory.readLink(from.name);
    clear(to);
    create(to, options, (path) => symlinkSync(target, path));
    const ids = idsFor(stats, options);
    if (ids !== undefined) lchownSync(to.directory.path(to.name), ids.uid, ids.gid);
    copied.files += 1;
  } else options.warn(`${from.name} was left out: it is a device, pipe or socket`);
}

function makeDirectory(to: Entry, stats: Stats | undefined, options: CopyOptions): SafeDirectory {
  const there = to.directory.look(to.name);
  if (there !== undefined && !there.isDirectory()) throw conflict(to.name, 'it is in the way of a directory');
  if (there === undefined) create(to, options, (path) => mkdirSync(path, { mode: 0o700 }));
  const made = to.directory.enter(to.name);
  if (made === undefined) throw conflict(to.name, 'it was replaced meanwhile');
  if (there !== undefined) return made;
  const ids = idsFor(stats, options);
  if (ids !== undefined) fchownSync(made.fd, ids.uid, ids.gid);
  fchmodSync(made.fd, (stats?.mode ?? 0o755) & 0o777);
  return made;
}

function copyFile(from: Entry, to: Entry, stats: Stats, options: CopyOptions): number {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const source = openSync(from.directory.path(from.name), flags);
  let target = -1;
  try {
    clear(to);
    target = create(to, options, (path) => openSync(path, NEW_FILE, 0o600));
    const buffer = Buffer.allocUnsafe(CHUNK);
    let total = 0;
    for (let size = readSync(source, buffer); size > 0; size = readSync(source, buffer)) {
      options.signal?.throwIfAborted();
      for (let at = 0; at < size; ) at += writeSync(target, buffer, at, size - at);
      total += size;
    }
    const ids = idsFor(stats, options);
    if (ids !== undefined) fchownSync(target, ids.uid, ids.gid);
    fchmodSync(target, stats.mode & 0o777);
    futimesSync(target, stats.atime, stats.mtime);
    return total;
  } finally {
    closeSync(source);
    if (target >= 0) closeSync(target);
  }
}

/** A file or link in the way is replaced, as it would be by its name; a directory is not. */
function clear({ directory, name }: Entry): void {
  const there = directory.look(name);
  if (there === undefined) return;
  if (there.isDirectory()) throw conflict(name, 'a directory is in its place');
  directory.remove(name);
}

function create<T>({ directory, name }: Entry, { to }: CopyOptions, make: (path: string) => T): T {
  if (!to.asOwner) return directory.make(name, make);
  const { uid, gid } = directory.own();
  process.setegid?.(gid);
  process.seteuid?.(uid);
  try {
    return directory.make(name, make);
  } finally {
    process.seteuid?.(0);
    process.setegid?.(0);
  }
}

function idsFor(
  stats: Stats | undefined,
  { from, to, archive }: CopyOptions,
): { uid: number; gid: number } | undefined {
  if (to.firstId === undefined) return undefined;
  if (!archive || stats === undefined) return { uid: to.firstId, gid: to.firstId };
  const move = to.firstId - (from.firstId ?? 0);
  return { uid: stats.uid + move, gid: stats.gid + move };
}

function conflict(path: string, why: string): TreesError {
  return new TreesError('PATH_CONFLICT', `cannot copy ${path}: ${why}`, { details: { path } });
}
