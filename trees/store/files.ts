import { randomBytes } from 'node:crypto';
import { closeSync, lstatSync, openSync, readSync, type Stats } from 'node:fs';
import { chmod, constants, open, readdir, rename, rm, rmdir, symlink, unlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isErrno } from '../errors.js';

/** A name beside `path` that nobody else uses. Starts with a dot, so that it is never an app or a generation. */
export function temporaryName(path: string, purpose: string): string {
  return join(dirname(path), `.${purpose}-${randomBytes(6).toString('hex')}`);
}

/** Makes what happened to a directory's entries survive a power cut. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Points a symlink at `target` by one rename: at every instant it is the old or the new one. */
export async function replaceSymlink(path: string, target: string): Promise<void> {
  const temporary = temporaryName(path, 'link');
  await symlink(target, temporary);
  try {
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary);
    throw error;
  }
  await syncDirectory(dirname(path));
}

/** Replaces a file's content by one rename, written to disk before. What a kill leaves, `cleanLeftovers` deletes. */
export async function replaceFile(path: string, content: string): Promise<void> {
  const temporary = temporaryName(path, 'new');
  try {
    await writeFile(temporary, content, { flush: true });
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncDirectory(dirname(path));
}

/** Deletes a directory and all below it. Nothing at `path` is fine. */
export async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } catch (error) {
    // A user's own link tree may have directories without the owner's write permission; root is not held up by that.
    if (!isErrno(error, 'EACCES', 'EPERM', 'ENOTEMPTY')) throw error;
    await makeWritable(path);
    await rm(path, { recursive: true, force: true });
  }
}

/** Moves a directory out of its place, then deletes it: nobody ever sees it half deleted under its name. */
export async function discardTree(path: string): Promise<void> {
  const trash = temporaryName(path, 'trash');
  try {
    await rename(path, trash);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return;
    throw error;
  }
  await removeTree(trash);
}

/** Deletes a directory unless there is something in it. */
export async function removeIfEmpty(path: string): Promise<void> {
  try {
    await rmdir(path);
  } catch (error) {
    if (!isErrno(error, 'ENOTEMPTY', 'EEXIST', 'ENOENT')) throw error;
  }
}

/** What is at `path`, itself if it is a symlink; undefined if nothing is. */
export function lstatOrUndefined(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}

const COMPARE_CHUNK = 1024 * 1024;

/** Whether two files have the same content. Neither may be a symlink. */
export function sameBytes(a: string, b: string): boolean {
  const one = Buffer.alloc(COMPARE_CHUNK);
  const other = Buffer.alloc(COMPARE_CHUNK);
  const fds = [a, b].map((path) => openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW));
  const [first = -1, second = -1] = fds;
  try {
    for (let position = 0; ; position += COMPARE_CHUNK) {
      const size = readSync(first, one, 0, COMPARE_CHUNK, position);
      if (size !== readSync(second, other, 0, COMPARE_CHUNK, position)) return false;
      if (size === 0) return true;
      if (!one.subarray(0, size).equals(other.subarray(0, size))) return false;
    }
  } finally {
    for (const fd of fds) closeSync(fd);
  }
}

/** open(2)'s flag, which Node does not name: a handle that needs no permission on the directory itself. */
const O_PATH = 0o10000000;

async function makeWritable(directory: string): Promise<void> {
  // By descriptor, so that no symlink is followed out of the tree.
  const handle = await open(directory, O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW).catch(() => undefined);
  if (handle === undefined) return;
  try {
    await chmod(`/proc/self/fd/${handle.fd}`, 0o700);
  } finally {
    await handle.close();
  }
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) await makeWritable(join(directory, entry.name));
  }
}
