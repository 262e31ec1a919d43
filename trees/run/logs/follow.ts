import { type FSWatcher, watch } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isErrno } from '../../errors.js';
import type { LogEntry } from './entry.js';
import { listLogFiles, type OpenLogFile, openLogFile, parseLines, type ServiceFiles } from './files.js';

/** Milliseconds between looks where the kernel does not tell of changes, and at most otherwise. */
const LOOK_AGAIN = 1000;
const CHUNK = 1 << 16;

export interface FollowOptions {
  readonly services?: readonly string[] | undefined;
  readonly signal: AbortSignal;
  /** Asked when there is nothing new: false ends following, after one more look. */
  isRunning(): boolean | Promise<boolean>;
}

/** A file that is being read as it grows. */
interface Followed {
  readonly file: OpenLogFile;
  position: number;
}

/**
 * New entries of an instance's services, across rotations, and of services that appear later.
 *
 * @param start files as they were opened; their entries up to then are not repeated. Closed at the end.
 */
export async function* followEntries(
  directory: string,
  start: readonly ServiceFiles[],
  options: FollowOptions,
): AsyncGenerator<LogEntry> {
  const { signal } = options;
  const followed = new Map<string, Followed>();
  for (const { service, current } of start) {
    if (current !== undefined) followed.set(service, { file: current, position: await endOfLines(current) });
  }
  const changes = watchDirectory(directory);
  try {
    for (let last = false; !signal.aborted; ) {
      const changed = changes.next();
      const fresh = await readNew(directory, followed, options.services);
      yield* fresh;
      if (fresh.length > 0) continue;
      if (last) return;
      last = !(await options.isRunning());
      if (!last) await Promise.race([changed, sleep(LOOK_AGAIN, undefined, { signal }).catch(() => undefined)]);
    }
  } finally {
    changes.close();
    for (const { file } of followed.values()) await file.handle.close();
  }
}

/** Tells of changes where the kernel can; elsewhere looking now and then has to do. */
function watchDirectory(directory: string): { next(): Promise<void>; close(): void } {
  let wake: (() => void) | undefined;
  let watcher: FSWatcher | undefined;
  try {
    watcher = watch(directory, () => wake?.());
    watcher.on('error', () => undefined);
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'ENOSPC', 'EMFILE')) throw error;
  }
  const next = (): Promise<void> => new Promise<void>((resolve) => (wake = resolve));
  return { next, close: () => watcher?.close() };
}

/** What is new in all services, by time. */
async function readNew(
  directory: string,
  followed: Map<string, Followed>,
  wanted: readonly string[] | undefined,
): Promise<LogEntry[]> {
  const fresh: LogEntry[] = [];
  for (const service of listLogFiles(directory).keys()) {
    if (wanted?.includes(service) === false) continue;
    fresh.push(...(await readService(directory, service, followed)));
  }
  return fresh.sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0));
}

async function readService(directory: string, service: string, followed: Map<string, Followed>): Promise<LogEntry[]> {
  const known = followed.get(service);
  const now = await openLogFile(join(directory, `${service}.log`));
  if (known !== undefined && now?.inode === known.file.inode) {
    await now.handle.close();
    return await readOn(service, known);
  }
  // Rotated: first what is left in the old file, then what was begun and rotated since.
  const fresh = known === undefined ? [] : await readOn(service, known);
  if (known !== undefined) {
    fresh.push(...(await readBetween(directory, service, known.file.inode)));
    await known.file.handle.close();
    followed.delete(service);
  }
  if (now === undefined) return fresh;
  const next = { file: now, position: 0 };
  followed.set(service, next);
  return [...fresh, ...(await readOn(service, next))];
}

/** Entries of files that were begun after the one with that inode and are rotated already. */
async function readBetween(directory: string, service: string, inode: bigint): Promise<LogEntry[]> {
  const entries: LogEntry[] = [];
  let after = false;
  for (const path of listLogFiles(directory).get(service) ?? []) {
    const file = await openLogFile(path);
    if (file === undefined) continue;
    if (after) entries.push(...(await readOn(service, { file, position: 0 })));
    after ||= file.inode === inode;
    await file.handle.close();
  }
  return entries;
}

/** The whole lines from a position on, which is moved. */
async function readOn(service: string, followed: Followed): Promise<LogEntry[]> {
  const entries: LogEntry[] = [];
  for (let size = CHUNK; ; ) {
    const { buffer, bytesRead } = await followed.file.handle.read(Buffer.alloc(size), 0, size, followed.position);
    const { entries: found, used } = parseLines(service, buffer.subarray(0, bytesRead));
    followed.position += used;
    entries.push(...found);
    if (bytesRead < size) return entries;
    if (used === 0) size *= 2; // a line longer than the chunk
  }
}

/** Where the last whole line ends. */
async function endOfLines({ handle, size }: OpenLogFile): Promise<number> {
  const start = Math.max(0, size - CHUNK);
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(size - start + 1), 0, size - start, start);
  return start + buffer.subarray(0, bytesRead).lastIndexOf(10) + 1;
}
