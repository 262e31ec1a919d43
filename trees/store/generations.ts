import { existsSync, lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno, reasonOf, TreesError } from '../errors.js';
import type { Channel } from '../feed/schema.js';
import { noteInput, readTextFile } from '../inputs.js';
import type { Checksum } from '../ostree/types.js';
import type { StorePaths } from './paths.js';

/*
 * A generation is a directory `apps/<name>/<n>` that holds `generation.json`. It gets its name by a rename once it is
 * whole, so one without that file is a leftover. Everything here reads links and JSON only: `trees ls` and `trees run`
 * must not pay for libostree.
 */

export interface Generation {
  readonly schema: 1;
  readonly number: number;
  /** What it is installed as. */
  readonly name: string;
  /** What the feed calls it. */
  readonly app: string;
  readonly version: string;
  readonly arch: string;
  readonly summary: string;
  /** Name of the feed it came from. */
  readonly feed: string;
  /** Channel that its updates come from; absent: stable. */
  readonly channel?: Channel | undefined;
  readonly base: { readonly name: string; readonly version: string; readonly commit: Checksum };
  readonly layer: Checksum;
  readonly tree: Checksum;
  /** Unpacked bytes of regular files. */
  readonly size: number;
  /** Files and links, directories not counted. */
  readonly files: number;
  /** ISO 8601, UTC. */
  readonly installed: string;
  /** `RunSpec`, checked when it was installed and again by whoever runs it. */
  readonly run: unknown;
}

export interface InstalledApp {
  readonly name: string;
  readonly current: Generation;
  /** Numbers of all generations, oldest first. */
  readonly generations: readonly number[];
}

export const GENERATION_FILE = 'generation.json';
/** Locked (flock, shared) by whatever runs from the generation. */
export const IN_USE_FILE = '.in-use';

const NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;
const NUMBER = /^[1-9]\d{0,8}$/;

/** Names that an app can be installed under: those of the index. */
export function isAppName(name: string): boolean {
  return NAME.test(name);
}

/** Numbers of an app's generations, oldest first; none if it was never installed. */
export function listGenerations(paths: StorePaths, name: string): number[] {
  return readNames(paths.app(name), 'ENOENT', 'ENOTDIR')
    .filter((entry) => NUMBER.test(entry))
    .map(Number)
    .filter((number) => hasGeneration(paths, name, number))
    .sort((a, b) => a - b);
}

/** Whether there is a generation of that number, whatever its record says. */
export function hasGeneration(paths: StorePaths, name: string, number: number): boolean {
  return existsSync(join(paths.generation(name, number), GENERATION_FILE));
}

/** As `readGeneration`, for going through all there are: undefined also for a damaged record. */
export function findGeneration(paths: StorePaths, name: string, number: number): Generation | undefined {
  try {
    return readGeneration(paths, name, number);
  } catch (error) {
    if (error instanceof TreesError && error.code === 'STORE_CORRUPT') return undefined;
    throw error;
  }
}

/**
 * What is recorded about a generation; undefined if there is none of that number.
 * @throws TreesError STORE_CORRUPT if the record cannot be read
 */
export function readGeneration(paths: StorePaths, name: string, number: number): Generation | undefined {
  const file = join(paths.generation(name, number), GENERATION_FILE);
  let content: string;
  try {
    content = readTextFile(file);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw unreadable(file, error);
  }
  const record = parseGeneration(content);
  if (record !== undefined) return record;
  throw new TreesError('STORE_CORRUPT', `cannot read generation ${number} of ${name}: ${file} is damaged`, {
    hint: `trees fsck ${name} --repair writes it again`,
    details: { path: file },
  });
}

const CHECKSUM = /^[0-9a-f]{64}$/;
const texts = ['name', 'app', 'version', 'arch', 'summary', 'feed', 'installed'] as const;
const numbers = ['number', 'size', 'files'] as const;

/** By hand: a schema library would cost `trees ls` and `trees run` more than everything else they do. */
function parseGeneration(content: string): Generation | undefined {
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch {
    return undefined;
  }
  return isGeneration(value) ? value : undefined;
}

function isGeneration(value: unknown): value is Generation {
  if (!isRecord(value) || value['schema'] !== 1 || !isRecord(value['base'])) return false;
  const { base } = value;
  return (
    texts.every((key) => typeof value[key] === 'string') &&
    numbers.every((key) => Number.isSafeInteger(value[key])) &&
    [value['layer'], value['tree'], base['commit']].every((sum) => typeof sum === 'string' && CHECKSUM.test(sum)) &&
    typeof base['name'] === 'string' &&
    typeof base['version'] === 'string' &&
    [undefined, 'stable', 'edge'].some((channel) => channel === value['channel'])
  );
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

/** Number that `current` points at; undefined if nothing is current. */
export function currentNumber(paths: StorePaths, name: string): number | undefined {
  noteInput('link', paths.current(name));
  try {
    const target = readlinkSync(paths.current(name));
    return NUMBER.test(target) ? Number(target) : undefined;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'EINVAL')) return undefined;
    throw unreadable(paths.current(name), error);
  }
}

/** As `readInstalled`, for its current generation only. */
export function readCurrent(paths: StorePaths, name: string): Generation | undefined {
  const number = isAppName(name) ? currentNumber(paths, name) : undefined;
  return number === undefined ? undefined : readGeneration(paths, name, number);
}

/**
 * An installed app; undefined if it is not installed.
 * @throws TreesError STORE_CORRUPT if its record cannot be read, STORE_UNUSABLE without permission
 */
export function readInstalled(paths: StorePaths, name: string): InstalledApp | undefined {
  const current = readCurrent(paths, name);
  return current === undefined ? undefined : { name, current, generations: listGenerations(paths, name) };
}

/** As `readInstalled`, for an app that has to be there. @throws TreesError APP_NOT_INSTALLED */
export function requireInstalled(paths: StorePaths, name: string): InstalledApp {
  const app = readInstalled(paths, name);
  if (app !== undefined) return app;
  throw new TreesError('APP_NOT_INSTALLED', `cannot find app "${name}": it is not installed`, {
    hint: `trees ls shows what is; trees install ${name} installs it`,
    details: { name },
  });
}

/**
 * Installed apps by name.
 * @param onDamaged told of apps whose record cannot be read, which are left out; default: the error is thrown
 */
export function listInstalled(paths: StorePaths, onDamaged?: (error: TreesError) => void): InstalledApp[] {
  return appNames(paths).flatMap((name) => {
    try {
      return readInstalled(paths, name) ?? [];
    } catch (error) {
      if (onDamaged === undefined || !(error instanceof TreesError) || error.code !== 'STORE_CORRUPT') throw error;
      onDamaged(error);
      return [];
    }
  });
}

/** Names of all app directories, installed or left over, sorted. What else is among them is not ours. */
export function appNames(paths: StorePaths): string[] {
  const isDirectory = (name: string): boolean =>
    lstatSync(join(paths.apps, name), { throwIfNoEntry: false })?.isDirectory() === true;
  return readNames(paths.apps, 'ENOENT')
    .filter((name) => isAppName(name) && isDirectory(name))
    .sort();
}

function readNames(directory: string, ...absent: readonly string[]): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (isErrno(error, ...absent)) return [];
    throw unreadable(directory, error);
  }
}

function unreadable(path: string, cause: unknown): TreesError {
  return new TreesError('STORE_UNUSABLE', `cannot read ${path} of the store: ${reasonOf(cause)}`, {
    hint: 'a machine-wide store is readable for root only, --user has your own; --root names a directory',
    cause,
    details: { path },
  });
}
