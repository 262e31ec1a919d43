import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  copyFileSync,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  renameSync,
  type Stats,
  statSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { isErrno, TreesError, usageError } from '../errors.js';
import { getXattr, listXattrs, setXattr } from '../system/index.js';
import { temporaryName } from './files.js';

export interface IntoOptions {
  /** Replace what is in the way (never a directory). */
  readonly force: boolean;
  /** Copy files instead of linking them. */
  readonly copy: boolean;
  /** Root of the store: nothing is checked out into it. */
  readonly store: string;
  readonly signal?: AbortSignal | undefined;
}

export interface IntoResult {
  /** Files and symlinks that were put there. */
  readonly placed: number;
  /** Files and symlinks that were there already as they should be. */
  readonly same: number;
  /** Paths (relative) of other files that were in the way and were kept. */
  readonly kept: readonly string[];
}

interface Job {
  readonly options: IntoOptions;
  readonly rootfs: string;
  readonly target: string;
  placed: number;
  same: number;
  kept: string[];
}

/**
 * Adds a link tree to a directory, which is created if need be. What is in it stays: directories are merged, files in
 * the way are kept (or replaced with `force`). Directories are entered by descriptor and without following symlinks,
 * so nothing outside of `target` is ever written, whatever an earlier checkout or somebody else has put there.
 * @param rootfs link tree of a generation; the caller keeps it from being removed
 * @throws TreesError PATH_CONFLICT, UNSUPPORTED if it is on another file system and `copy` is not set
 */
export function checkoutInto(rootfs: string, target: string, options: IntoOptions): IntoResult {
  const job: Job = { options, rootfs, target, placed: 0, same: 0, kept: [] };
  const ancestor = nearestExisting(target);
  const fromStore = relative(realpathSync(options.store), realpathSync(ancestor));
  if (fromStore !== '..' && !fromStore.startsWith(`..${sep}`)) {
    throw usageError(`Expected the target to be outside of the store, got ${target}`);
  }
  if (!options.copy && statSync(ancestor).dev !== lstatSync(rootfs).dev) throw otherFileSystem(job);
  mkdirSync(target, { recursive: true });
  const fd = openSync(target, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    mergeDirectory(job, '', fd);
  } finally {
    closeSync(fd);
  }
  return { placed: job.placed, same: job.same, kept: job.kept };
}

function nearestExisting(path: string): string {
  for (let at = path; ; at = dirname(at)) if (lstatOrUndefined(at) !== undefined) return at;
}

/** @param path relative to both roots; @param fd the target's directory of that path */
function mergeDirectory(job: Job, path: string, fd: number): void {
  if (job.options.signal?.aborted === true) throw new TreesError('CANCELLED', 'the checkout was cancelled');
  for (const entry of readdirSync(join(job.rootfs, path), { withFileTypes: true })) {
    const entryPath = join(path, entry.name);
    // The kernel resolves this to the opened directory itself, wherever it may have been moved since.
    const destination = `/proc/self/fd/${fd}/${entry.name}`;
    if (entry.isDirectory()) placeDirectory(job, entryPath, destination);
    else placeFile(job, entryPath, destination);
  }
}

function placeDirectory(job: Job, path: string, destination: string): void {
  const source = join(job.rootfs, path);
  const found = lstatOrUndefined(destination);
  if (found !== undefined && !found.isDirectory()) {
    if (!job.options.force) throw conflict(job, path, `${kindOf(found)} is where a directory belongs`);
    unlinkSync(destination);
  }
  const created = found?.isDirectory() !== true;
  if (created) mkdirSync(destination, { mode: 0o700 });
  const fd = openDirectory(job, path, destination);
  try {
    mergeDirectory(job, path, fd);
    if (created) copyMetadata(source, `/proc/self/fd/${fd}/.`, lstatSync(source));
  } finally {
    closeSync(fd);
  }
}

function openDirectory(job: Job, path: string, destination: string): number {
  try {
    return openSync(destination, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  } catch (error) {
    if (isErrno(error, 'ELOOP', 'ENOTDIR')) throw conflict(job, path, 'it was replaced while the checkout ran');
    throw error;
  }
}

function placeFile(job: Job, path: string, destination: string): void {
  const source = join(job.rootfs, path);
  const wanted = lstatSync(source);
  const found = lstatOrUndefined(destination);
  if (found === undefined) {
    put(job, path, { source, destination, wanted });
  } else if (found.ino === wanted.ino && found.dev === wanted.dev) {
    job.same += 1;
    return;
  } else if (!job.options.force) {
    job.kept.push(path);
    return;
  } else if (found.isDirectory()) {
    throw conflict(job, path, 'a directory is where a file belongs');
  } else {
    replace(job, path, { source, destination, wanted });
  }
  job.placed += 1;
}

interface Placement {
  readonly source: string;
  readonly destination: string;
  readonly wanted: Stats;
}

/** By way of a temporary name, so that the path always holds the old or the new file. */
function replace(job: Job, path: string, { source, destination, wanted }: Placement): void {
  const temporary = temporaryName(destination, 'co');
  put(job, path, { source, destination: temporary, wanted });
  try {
    renameSync(temporary, destination);
  } catch (error) {
    unlinkSync(temporary);
    throw error;
  }
}

function put(job: Job, path: string, { source, destination, wanted }: Placement): void {
  if (!job.options.copy) {
    try {
      // link(2) does not follow a symlink: the symlink itself gets another name.
      linkSync(source, destination);
    } catch (error) {
      if (isErrno(error, 'EXDEV')) throw otherFileSystem(job);
      if (isErrno(error, 'EMLINK')) throw conflict(job, path, 'its file system allows no more links to the file');
      throw error;
    }
    return;
  }
  const temporary = temporaryName(destination, 'co');
  try {
    if (wanted.isSymbolicLink()) {
      symlinkSync(readlinkSync(source), temporary);
      if (process.geteuid?.() === 0) lchownSync(temporary, wanted.uid, wanted.gid);
      lutimesSync(temporary, wanted.atime, wanted.mtime);
    } else {
      copyFileSync(source, temporary, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
      copyMetadata(source, temporary, wanted);
    }
    renameSync(temporary, destination);
  } catch (error) {
    if (lstatOrUndefined(temporary) !== undefined) unlinkSync(temporary);
    throw error;
  }
}

/** Owner first: chown clears setuid bits and file capabilities. */
function copyMetadata(source: string, destination: string, wanted: Stats): void {
  if (process.geteuid?.() === 0) chownSync(destination, wanted.uid, wanted.gid);
  chmodSync(destination, wanted.mode & 0o7777);
  for (const name of listXattrs(source)) {
    const value = getXattr(source, name);
    if (value !== undefined && !isOstreesOwn(name)) setXattr(destination, name, value);
  }
  lutimesSync(destination, wanted.atime, wanted.mtime);
}

/** `user.ostreemeta` of a bare-user repository describes the object, not the file. */
function isOstreesOwn(name: string): boolean {
  return name === 'user.ostreemeta';
}

function lstatOrUndefined(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}

function kindOf(stats: Stats): string {
  if (stats.isSymbolicLink()) return 'a symbolic link';
  return stats.isFile() ? 'a file' : 'a special file';
}

function conflict(job: Job, path: string, why: string): TreesError {
  const at = join(job.target, path);
  return new TreesError('PATH_CONFLICT', `cannot check out to ${at}: ${why}`, {
    hint: 'choose another target, move it out of the way, or replace files with --force',
    details: { path: at },
  });
}

function otherFileSystem(job: Job): TreesError {
  return new TreesError(
    'UNSUPPORTED',
    `cannot link into ${job.target}: it is on another file system than the store ${job.options.store}`,
    { hint: 'choose a target on the same file system, or copy the files with --copy', details: { path: job.target } },
  );
}
