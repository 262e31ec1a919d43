import { readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno, TreesError } from '../errors.js';
import { replaceFile } from './files.js';
import { requireInstalled } from './generations.js';
import { openInstalled } from './open-installed.js';
import { type StorePaths, storePaths } from './paths.js';
import type { StoreOptions } from './store.js';

/** What holds an app back: `apps/<name>/pin.json`. */
export interface Pin {
  /** Semver range of versions that updates may bring. */
  readonly range: string;
  /** The generation that was current when the app was held at its version; gc keeps it. */
  readonly generation?: number | undefined;
  /** ISO 8601, UTC. */
  readonly since: string;
}

const PIN_FILE = 'pin.json';

function pinFile(paths: StorePaths, name: string): string {
  return join(paths.app(name), PIN_FILE);
}

/**
 * An app's pin; undefined if it has none.
 * @throws TreesError STORE_CORRUPT: an app whose pin cannot be read must not be updated past it
 */
export function readPin(paths: StorePaths, name: string): Pin | undefined {
  const file = pinFile(paths, name);
  let content: string;
  try {
    content = readFileSync(file, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
  const pin = parsePin(content);
  if (pin !== undefined) return pin;
  throw new TreesError('STORE_CORRUPT', `cannot read the pin of ${name}: ${file} is damaged`, {
    hint: `write it again: trees pin ${name}, or trees unpin ${name}`,
    details: { path: file },
  });
}

function parsePin(content: string): Pin | undefined {
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const range: unknown = Reflect.get(value, 'range');
  const generation: unknown = Reflect.get(value, 'generation');
  const since: unknown = Reflect.get(value, 'since');
  if (typeof range !== 'string' || typeof since !== 'string') return undefined;
  if (generation === undefined) return { range, since };
  return typeof generation === 'number' ? { range, generation, since } : undefined;
}

export interface PinOptions extends StoreOptions {
  readonly name: string;
  /** Range to stay in; default the current version. */
  readonly range?: string | undefined;
  readonly dryRun: boolean;
}

/**
 * Holds an app at its version, or within a range.
 * @throws TreesError APP_NOT_INSTALLED
 */
export async function pinApp(options: PinOptions): Promise<Pin> {
  const { name, range, dryRun } = options;
  return await withApp(options, async (paths) => {
    const { current } = requireInstalled(paths, name);
    const since = new Date().toISOString();
    const pin: Pin =
      range === undefined ? { range: current.version, generation: current.number, since } : { range, since };
    if (!dryRun) await replaceFile(pinFile(paths, name), `${JSON.stringify(pin)}\n`);
    return pin;
  });
}

/**
 * Lets an app go on.
 * @returns whether it was held
 * @throws TreesError APP_NOT_INSTALLED
 */
export async function unpinApp(options: Omit<PinOptions, 'range'>): Promise<boolean> {
  const { name, dryRun } = options;
  return await withApp(options, async (paths) => {
    requireInstalled(paths, name);
    const held = isHeld(paths, name);
    if (held && !dryRun) await deletePin(paths, name);
    return held;
  });
}

/** Whether there is a pin, readable or not. */
function isHeld(paths: StorePaths, name: string): boolean {
  try {
    return readPin(paths, name) !== undefined;
  } catch (error) {
    if (error instanceof TreesError && error.code === 'STORE_CORRUPT') return true;
    throw error;
  }
}

/** Lets the pin of an app's generation follow it to another number. The caller holds the store's lock exclusively. */
export async function movePin(paths: StorePaths, name: string, from: number, to: number): Promise<void> {
  const pin = readPin(paths, name);
  if (pin?.generation !== from) return;
  await replaceFile(pinFile(paths, name), `${JSON.stringify({ ...pin, generation: to })}\n`);
}

/** Forgets the pin of an app that is removed. The caller holds the app's lock, or the store's exclusively. */
export async function deletePin(paths: StorePaths, name: string): Promise<void> {
  await rm(pinFile(paths, name), { force: true });
}

/** Both locks: gc, which reads pins, takes only the store's. */
async function withApp<T>(options: PinOptions, action: (paths: StorePaths) => Promise<T>): Promise<T> {
  if (options.dryRun) return await action(storePaths(options.root));
  using store = await openInstalled(options);
  using _app = await store.lockApp(options.name);
  using _lock = await store.lockStore('shared');
  return await action(store.paths);
}
