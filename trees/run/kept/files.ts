import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  futimesSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { isErrno } from '../../errors.js';
import { decodeEntry, type Entry, encodeEntry } from './entry.js';

/** About 1 MB altogether. */
const MOST_ENTRIES = 64;
const LARGEST_ENTRY = 1 << 20;
const OTHERS = 0o077n;
const WRITABLE_BY_OTHERS = 0o022n;
const STICKY = 0o1000n;
/** How exactly it is known which was used last. */
const USED_EVERY_MS = 60_000;

/**
 * An entry that this user wrote to a place where nobody else can write.
 * @returns undefined if there is none, it is damaged, or it is not to be trusted
 */
export function readEntry(directory: string, name: string): Entry | undefined {
  let fd: number;
  try {
    fd = openSync(join(directory, name), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP')) return undefined;
    throw error;
  }
  try {
    const status = fstatSync(fd, { bigint: true });
    if (!status.isFile() || !isPrivate(status) || status.nlink !== 1n || status.size > LARGEST_ENTRY) return undefined;
    if (!isTrusted(directory)) return undefined;
    const bytes = Buffer.allocUnsafeSlow(Number(status.size));
    const entry = readSync(fd, bytes) === bytes.length ? decodeEntry(bytes) : undefined;
    const now = Date.now();
    if (entry !== undefined && now - Number(status.mtimeMs) > USED_EVERY_MS) futimesSync(fd, now / 1000, now / 1000);
    return entry;
  } finally {
    closeSync(fd);
  }
}

/**
 * Writes an entry, and removes what was used longest ago if there are too many.
 * @returns false where it cannot be kept; that costs time only
 */
export function writeEntry(directory: string, name: string, entry: Entry): boolean {
  const bytes = encodeEntry(entry);
  if (bytes.length > LARGEST_ENTRY) return false;
  const temporary = join(directory, `${name}.${process.pid}`);
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    if (!isTrusted(directory)) return false;
    writeFileSync(temporary, bytes, { mode: 0o600, flag: 'wx' });
    renameSync(temporary, join(directory, name));
    removeOldest(directory);
    return true;
  } catch (error) {
    removeQuietly(temporary);
    if (isErrno(error, 'EACCES', 'EEXIST', 'ENOENT', 'ENOTDIR', 'EROFS', 'EPERM', 'ENOSPC', 'EDQUOT')) return false;
    throw error;
  }
}

function removeQuietly(file: string): void {
  try {
    unlinkSync(file);
  } catch {
    // It was not made, or stays as one that is not used.
  }
}

/** Removes the entries that are damaged, and those that `isWanted` does not want. */
export function removeEntries(directory: string, isWanted: (entry: Entry) => boolean): void {
  const names = namesIn(directory);
  if (names.length > 0 && !isTrusted(directory)) return;
  for (const name of names) {
    const entry = readEntry(directory, name);
    if (entry === undefined || !isWanted(entry)) rmSync(join(directory, name), { force: true });
  }
}

/** Of a new directory the mode is right already; an old one may have been opened to others. */
function isTrusted(directory: string): boolean {
  const own = lstatSync(directory, { bigint: true });
  const above = statSync(dirname(directory), { bigint: true });
  return own.isDirectory() && isPrivate(own) && isGuarded(above);
}

function isPrivate({ uid, mode }: BigIntStats): boolean {
  return isOwn(uid) && (mode & OTHERS) === 0n;
}

/** Nobody else can put another directory in place of ours. */
function isGuarded({ uid, mode }: BigIntStats): boolean {
  return (isOwn(uid) || uid === 0n) && ((mode & WRITABLE_BY_OTHERS) === 0n || (mode & STICKY) !== 0n);
}

function isOwn(uid: bigint): boolean {
  return Number(uid) === process.geteuid?.();
}

function removeOldest(directory: string): void {
  const names = namesIn(directory);
  if (names.length <= MOST_ENTRIES) return;
  const aged = names.flatMap((name) => {
    const status = lstatSync(join(directory, name), { throwIfNoEntry: false });
    return status === undefined ? [] : [{ name, used: status.mtimeMs }];
  });
  aged.sort((a, b) => b.used - a.used);
  for (const { name } of aged.slice(MOST_ENTRIES)) rmSync(join(directory, name), { force: true });
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'EACCES')) return [];
    throw error;
  }
}
