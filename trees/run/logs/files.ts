import { createReadStream, readdirSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { isErrno } from '../../errors.js';
import { type LogEntry, parseEntry } from './entry.js';

/** The stored files of one service. Rotated ones are `NAME.log.TIME`, or `NAME.log.TIME.gz` once compressed. */
export interface ServiceFiles {
  readonly service: string;
  /** Oldest first. */
  readonly rotated: readonly string[];
  /** The one that is being written, open: rotation only renames it. */
  readonly current: OpenLogFile | undefined;
}

export interface OpenLogFile {
  readonly handle: FileHandle;
  readonly inode: bigint;
  /** Its size when it was opened. */
  readonly size: number;
}

const FILE = /^(?<service>.+)\.log(?:\.(?<time>\d{8}-\d{6}\.\d{9})(?<gz>\.gz)?)?$/;

/** Rotated files by service, oldest first; an instance that never wrote anything has none. */
export function listLogFiles(directory: string): Map<string, string[]> {
  const found = new Map<string, Map<string, string>>();
  // Sorted, so that a plain file comes before its compressed copy: while both are there, the plain one is the whole one.
  for (const name of fileNames(directory)) {
    const { service, time, gz } = FILE.exec(name)?.groups ?? {};
    if (service === undefined) continue;
    const files = found.get(service) ?? new Map<string, string>();
    if (time !== undefined && (gz === undefined || !files.has(time))) files.set(time, join(directory, name));
    found.set(service, files);
  }
  return new Map([...found].map(([service, files]) => [service, [...files.values()]]));
}

function fileNames(directory: string): string[] {
  try {
    return readdirSync(directory).sort();
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
}

/** @returns undefined if there is no such file */
export async function openLogFile(path: string): Promise<OpenLogFile | undefined> {
  try {
    const handle = await open(path);
    const { ino, size } = await handle.stat({ bigint: true });
    return { handle, inode: ino, size: Number(size) };
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** What is stored of an instance now. Whoever calls closes what is open. */
export async function openLogFiles(directory: string, services?: readonly string[]): Promise<ServiceFiles[]> {
  const names = [...listLogFiles(directory).keys()].filter((service) => services?.includes(service) ?? true);
  const result: ServiceFiles[] = [];
  for (const service of names.sort()) {
    const current = await openLogFile(join(directory, `${service}.log`));
    // Listed once more: what was rotated since is among them, or is what was opened.
    const rotated = listLogFiles(directory).get(service) ?? [];
    result.push({ service, rotated, current });
  }
  return result;
}

/** The entries of a service as of when its files were opened. */
export async function* readServiceEntries({ service, rotated, current }: ServiceFiles): AsyncGenerator<LogEntry> {
  for (const path of rotated) {
    const file = await openLogFile(path);
    if (file === undefined) {
      yield* readPath(service, `${path}.gz`); // compressed meanwhile
      continue;
    }
    await file.handle.close();
    if (file.inode !== current?.inode) yield* readPath(service, path);
  }
  if (current === undefined || current.size === 0) return;
  const bytes = current.handle.createReadStream({ start: 0, end: current.size - 1, autoClose: false });
  yield* parseStream(service, bytes);
}

async function* readPath(service: string, path: string): AsyncGenerator<LogEntry> {
  const file = createReadStream(path);
  try {
    yield* parseStream(service, path.endsWith('.gz') ? pipeline(file) : file);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error; // rotation has deleted it
  } finally {
    file.destroy();
  }
}

function pipeline(file: Readable): Readable {
  const plain = file.pipe(createGunzip());
  file.once('error', (error) => plain.destroy(error));
  return plain;
}

/** A last line without a newline is one that is just being written: left out. */
async function* parseStream(service: string, bytes: Readable): AsyncGenerator<LogEntry> {
  let rest = Buffer.alloc(0);
  for await (const chunk of bytes as AsyncIterable<Buffer>) {
    const whole = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const { entries, used } = parseLines(service, whole);
    yield* entries;
    rest = Buffer.from(whole.subarray(used));
  }
}

/** The entries in a buffer, and how many of its bytes are whole lines. */
export function parseLines(service: string, bytes: Buffer): { entries: LogEntry[]; used: number } {
  const end = bytes.lastIndexOf(10);
  if (end < 0) return { entries: [], used: 0 };
  const lines = bytes.toString('utf8', 0, end).split('\n');
  return { entries: lines.flatMap((line) => parseEntry(service, line) ?? []), used: end + 1 };
}
