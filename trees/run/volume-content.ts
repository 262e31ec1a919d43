import {
  chmodSync,
  constants,
  copyFileSync,
  lchownSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  type Stats,
  symlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { isErrno } from '../errors.js';

const MAX_LINKS = 40;

/**
 * The directory of a tree that a path inside leads to, symbolic links taken inside of the tree as the container takes them:
 * none of them leads out. Undefined if there is no directory.
 */
export function findTreeDirectory(rootfs: string, path: string): string | undefined {
  let left = path.split('/').filter(Boolean);
  let found: string[] = [];
  for (let links = 0; left.length > 0; ) {
    const [name = '', ...rest] = left;
    left = rest;
    if (name === '.') continue;
    if (name === '..') {
      found = found.slice(0, -1);
      continue;
    }
    const place = join(rootfs, ...found, name);
    const status = lstat(place);
    if (status?.isSymbolicLink() === true) {
      if (++links > MAX_LINKS) return undefined;
      const target = readlinkSync(place);
      if (target.startsWith('/')) found = [];
      left = [...target.split('/').filter(Boolean), ...rest];
    } else if (status?.isDirectory() === true) {
      found = [...found, name];
    } else {
      return undefined;
    }
  }
  return join(rootfs, ...found);
}

/**
 * Copies what is in a directory: files (sharing their blocks where the file system can), directories and symbolic links
 * with their modes and times, and as root with their owners. What else there is, and extended attributes, stay behind.
 */
export function copyContent(from: string, to: string): void {
  for (const name of readdirSync(from)) {
    const source = join(from, name);
    const target = join(to, name);
    const status = lstatSync(source);
    if (status.isDirectory()) {
      mkdirSync(target, { mode: 0o700 });
      copyContent(source, target);
    } else if (status.isSymbolicLink()) {
      symlinkSync(readlinkSync(source), target);
    } else if (status.isFile()) {
      copyFileSync(source, target, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
    } else {
      continue;
    }
    keepStatus(target, status);
  }
}

/** Gives a copy the owner, mode and times of what it was made from. */
export function keepStatus(path: string, status: Stats): void {
  if (process.geteuid?.() === 0) lchownSync(path, status.uid, status.gid);
  // After the owner, whose change clears setuid bits.
  if (!status.isSymbolicLink()) chmodSync(path, status.mode & 0o7777);
  lutimesSync(path, status.atime, status.mtime);
}

function lstat(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}
