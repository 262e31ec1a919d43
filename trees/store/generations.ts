import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod/mini';
import { isErrno, TreesError } from '../errors.js';
import type { StorePaths } from './paths.js';

/*
 * A generation is a directory `apps/<name>/<n>` that holds `generation.json`. It gets its name by a rename once it is
 * whole, so one without that file is a leftover. Everything here reads links and JSON only: `trees ls` and `trees run`
 * must not pay for libostree.
 */

const checksum = z.string().check(z.regex(/^[0-9a-f]{64}$/, 'expected 64 lowercase hexadecimal digits'));

export const generationSchema = z.object({
  schema: z.literal(1),
  number: z.int().check(z.positive()),
  /** What it is installed as. */
  name: z.string(),
  /** What the feed calls it. */
  app: z.string(),
  version: z.string(),
  arch: z.string(),
  summary: z.string(),
  /** Name of the feed it came from. */
  feed: z.string(),
  base: z.object({ name: z.string(), version: z.string(), commit: checksum }),
  layer: checksum,
  tree: checksum,
  /** Unpacked bytes of regular files. */
  size: z.int().check(z.nonnegative()),
  /** Files and links, directories not counted. */
  files: z.int().check(z.nonnegative()),
  installed: z.iso.datetime(),
  /** Never removed by gc. */
  pinned: z.optional(z.boolean()),
  /** `RunSpec`, checked when it was installed and again by whoever runs it. */
  run: z.unknown(),
});

export type Generation = z.infer<typeof generationSchema>;

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
  return readNames(paths.app(name))
    .filter((entry) => NUMBER.test(entry))
    .map(Number)
    .filter((number) => readGeneration(paths, name, number) !== undefined)
    .sort((a, b) => a - b);
}

/**
 * What is recorded about a generation; undefined if there is none of that number.
 * @throws TreesError STORE_CORRUPT if the record cannot be read
 */
export function readGeneration(paths: StorePaths, name: string, number: number): Generation | undefined {
  const file = join(paths.generation(name, number), GENERATION_FILE);
  let content: string;
  try {
    content = readFileSync(file, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw unreadable(file, error);
  }
  try {
    return z.parse(generationSchema, JSON.parse(content));
  } catch (error) {
    throw new TreesError('STORE_CORRUPT', `cannot read generation ${number} of ${name}: ${file} is damaged`, {
      hint: `install it again: trees install ${name} --force`,
      cause: error,
      details: { path: file },
    });
  }
}

/** Number that `current` points at; undefined if nothing is current. */
export function currentNumber(paths: StorePaths, name: string): number | undefined {
  try {
    const target = readlinkSync(paths.current(name));
    return NUMBER.test(target) ? Number(target) : undefined;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR', 'EINVAL')) return undefined;
    throw unreadable(paths.current(name), error);
  }
}

/**
 * An installed app; undefined if it is not installed.
 * @throws TreesError STORE_CORRUPT if its record cannot be read, STORE_UNUSABLE without permission
 */
export function readInstalled(paths: StorePaths, name: string): InstalledApp | undefined {
  if (!isAppName(name)) return undefined;
  const number = currentNumber(paths, name);
  const current = number === undefined ? undefined : readGeneration(paths, name, number);
  if (current === undefined) return undefined;
  return { name, current, generations: listGenerations(paths, name) };
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

/** Installed apps by name. */
export function listInstalled(paths: StorePaths): InstalledApp[] {
  return appNames(paths).flatMap((name) => readInstalled(paths, name) ?? []);
}

/** Names of all app directories, installed or left over, sorted. */
export function appNames(paths: StorePaths): string[] {
  return readNames(paths.apps).filter(isAppName).sort();
}

function readNames(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return [];
    throw unreadable(directory, error);
  }
}

function unreadable(path: string, cause: unknown): TreesError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new TreesError('STORE_UNUSABLE', `cannot read the store: ${why}`, {
    hint: 'a machine-wide store is readable for root only; --user has your own',
    cause,
    details: { path },
  });
}
