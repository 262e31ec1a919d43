import { rm } from 'node:fs/promises';
import satisfies from 'semver/functions/satisfies.js';
import { TreesError } from '../errors.js';
import { deleteExports } from './exports.js';
import { replaceFile } from './files.js';
import { requireInstalled } from './generations.js';
import { openInstalled } from './open-installed.js';
import { type StorePaths, storePaths } from './paths.js';
import { type Pin, pinFile, readPin } from './pins.js';
import { deleteIntent } from './rollback-intent.js';
import type { StoreOptions } from './store.js';

export interface PinOptions extends StoreOptions {
  readonly name: string;
  /** Range to stay in; default the current version. */
  readonly range?: string | undefined;
  readonly dryRun: boolean;
}

export interface PinnedApp {
  readonly pin: Pin;
  /** Version that is current. */
  readonly current: string;
  /** Whether that is in the range. */
  readonly fits: boolean;
}

/**
 * Holds an app at its version, or within a range.
 * @throws TreesError APP_NOT_INSTALLED
 */
export async function pinApp(options: PinOptions): Promise<PinnedApp> {
  const { name, range, dryRun } = options;
  return await withApp(options, async (paths) => {
    const { current } = requireInstalled(paths, name);
    const since = new Date().toISOString();
    const pin: Pin =
      range === undefined ? { range: current.version, generation: current.number, since } : { range, since };
    if (!dryRun) await replaceFile(pinFile(paths, name), `${JSON.stringify(pin)}\n`);
    return { pin, current: current.version, fits: satisfies(current.version, pin.range) };
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

/** Forgets what is noted about an app that is removed. The caller holds the app's lock, or the store's exclusively. */
export async function deleteNotes(paths: StorePaths, name: string): Promise<void> {
  await deleteExports(paths, name);
  await deletePin(paths, name);
  await deleteIntent(paths, name);
}

async function deletePin(paths: StorePaths, name: string): Promise<void> {
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
