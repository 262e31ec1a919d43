import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno, reasonOf, TreesError } from '../errors.js';
import { storePaths } from '../store/paths.js';
import { instancePaths } from './instance.js';
import { type Instance, type InstancePlaces, runDirectory } from './instances.js';
import type { RunRequest } from './resolve.js';
import { SPEC_FILE, writeSpecFiles } from './spec-file.js';

/** What an instance was asked to be, so that it can be started again as it was: everything is resolved and absolute. */
export interface InstanceSpec {
  readonly schema: 1;
  /** Name the app is installed under. */
  readonly app: string;
  /** Whose data it uses, if not its own. */
  readonly data?: string | undefined;
  readonly request: RunRequest;
  readonly userns: string;
  readonly tty: boolean;
  /** ISO 8601, UTC: when `run` asked for it. */
  readonly created: string;
  readonly labels: Readonly<Record<string, string>>;
}

const NUMBER_KEY = 'trees:number';

export interface NoteOptions {
  readonly name: string;
  /** It has data to be started with again, also after the machine was. */
  readonly keeps: boolean;
  /** Absent: what the app declares, as there is nothing to note then. */
  readonly spec: InstanceSpec | undefined;
}

/** Notes it in the run directory, and for what is to outlive the machine's next start also beside the data. */
export function noteInstanceSpec(places: InstancePlaces, { name, keeps, spec }: NoteOptions): void {
  writeSpecFiles(specDirectories(places, name, keeps), spec === undefined ? undefined : encodeSpec(spec));
}

/** Where it is noted. */
export function specDirectories(places: InstancePlaces, name: string, keeps: boolean): string[] {
  const runDir = runDirectory(places, name);
  return keeps ? [runDir, instancePaths(storePaths(places.root), name).directory] : [runDir];
}

/** With another time than `created` it is what another start at that time would note. */
export function encodeSpec(spec: InstanceSpec): string {
  return `${JSON.stringify(spec, encodeValue)}\n`;
}

/**
 * What an instance was asked to be; undefined: what its app declares.
 * @throws TreesError STORE_CORRUPT
 */
export function findInstanceSpec({ runDir, data }: Pick<Instance, 'runDir' | 'data'>): InstanceSpec | undefined {
  return readInstanceSpec(data === undefined ? [runDir] : [runDir, data]);
}

/** From the first of these directories that knows. */
function readInstanceSpec(directories: readonly string[]): InstanceSpec | undefined {
  for (const directory of directories) {
    const spec = readOne(join(directory, SPEC_FILE));
    if (spec !== undefined) return spec;
  }
  return undefined;
}

function readOne(file: string): InstanceSpec | undefined {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'), decodeValue);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw corrupt(file, reasonOf(error), error);
  }
  if (isInstanceSpec(value)) return value;
  throw corrupt(file, 'it is not of a kind that this version knows');
}

function corrupt(file: string, why: string, cause?: unknown): TreesError {
  return new TreesError('STORE_CORRUPT', `cannot read how an instance was run: ${why} (${file})`, {
    hint: 'run it anew: trees run, with its options',
    cause,
    details: { path: file },
  });
}

/** We wrote it: this only tells what an older or newer version wrote from damage. */
function isInstanceSpec(value: unknown): value is InstanceSpec {
  if (typeof value !== 'object' || value === null) return false;
  const { schema, app, request, created } = value as Partial<Record<keyof InstanceSpec, unknown>>;
  return (
    schema === 1 &&
    typeof app === 'string' &&
    typeof created === 'string' &&
    typeof request === 'object' &&
    request !== null &&
    Array.isArray(Reflect.get(request, 'command')) &&
    Array.isArray(Reflect.get(request, 'mounts'))
  );
}

/** What JSON has no words for: limits without limit, and 64-bit numbers. */
function encodeValue(_key: string, value: unknown): unknown {
  return value === Infinity || typeof value === 'bigint' ? { [NUMBER_KEY]: String(value) } : value;
}

function decodeValue(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const text: unknown = Reflect.get(value, NUMBER_KEY);
  if (typeof text !== 'string' || Object.keys(value).length !== 1 || !/^(Infinity|\d+)$/.test(text)) return value;
  return text === 'Infinity' ? Infinity : BigInt(text);
}
