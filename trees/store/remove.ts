import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno, TreesError } from '../errors.js';
import { instancesOf } from '../run/instance.js';
import { discardTree, removeIfEmpty, removeTree, syncDirectory } from './files.js';
import { appNames, currentNumber, hasGeneration, IN_USE_FILE, isAppName, listGenerations } from './generations.js';
import { deleteNotes } from './hold.js';
import { cleanLeftovers } from './leftovers.js';
import { type Lock, tryLock } from './locks.js';
import { refName } from './metadata.js';
import type { StorePaths } from './paths.js';
import { keptGenerations, type Pruned, planPrune, pruneStore } from './prune.js';
import { findRunning } from './running.js';
import { openExistingStore, type Store, type StoreOptions } from './store.js';

export interface RemoveOptions extends StoreOptions {
  readonly name: string;
  /** Delete what the app's instance wrote, too. */
  readonly purge: boolean;
  /** Remove it even while something runs from it. */
  readonly force: boolean;
}

export interface RemoveResult {
  readonly name: string;
  readonly generations: readonly number[];
  /** Data directories that were left: its own and those of its instances with other names. */
  readonly data: readonly string[];
  /** Data directories that were deleted. */
  readonly purged: readonly string[];
  readonly pruned: Pruned;
}

/**
 * Removes an app: `current`, its generations, their refs, and from the repository what no other app needs. Data stays
 * unless `purge` is given. Killed half way, the app is not installed any more and the same call again does the rest.
 * @throws TreesError APP_NOT_INSTALLED, IN_USE
 */
export async function removeApp(options: RemoveOptions): Promise<RemoveResult> {
  const { name } = options;
  using store = await openExistingStore(options);
  if (store === undefined || !isAppName(name)) throw notInstalled(name);
  // Before the lock, which would leave a file for every mistyped name.
  await findRemains(store, options);
  const lock = await store.lockApp(name);
  try {
    // Nothing is added to the repository meanwhile, so that deleting and pruning see the same state.
    using _store = await store.lockStore('exclusive');
    const result = await removeLocked(store, options);
    lock.releaseAndDelete();
    return result;
  } finally {
    lock[Symbol.dispose]();
  }
}

async function removeLocked(store: Store, options: RemoveOptions): Promise<RemoveResult> {
  const { paths } = store;
  const { name, purge } = options;
  const { generations, data } = await findRemains(store, options);
  // From here on nothing new can start from them.
  using _held = options.force ? nothingHeld : holdUnused(paths, name, generations);
  if (currentNumber(paths, name) !== undefined || generations.length > 0) {
    await rm(paths.current(name), { force: true });
    await syncDirectory(paths.app(name));
    for (const number of generations) await discardGeneration(store, name, number);
  }
  await cleanLeftovers(store, name);
  await deleteNotes(paths, name);
  if (purge) for (const directory of data) await removeTree(directory);
  const pruned = await pruneStore(store);
  // Last: as long as it is there, the same command again takes up what was left undone.
  await removeIfEmpty(paths.app(name));
  return {
    name,
    generations,
    data: purge ? [] : data,
    purged: purge ? data : [],
    pruned,
  };
}

/**
 * What `removeApp` would do. Changes nothing.
 * @throws TreesError as `removeApp`
 */
export async function planRemove(options: RemoveOptions): Promise<RemoveResult> {
  const { name, purge } = options;
  using store = await openExistingStore(options);
  if (store === undefined || !isAppName(name)) throw notInstalled(name);
  // Only reads: the store may be read-only.
  using _lock = await store.lockForReading();
  const { generations, data } = await findRemains(store, options);
  const kept = keptGenerations(store).filter((generation) => generation.name !== name);
  return {
    name,
    generations,
    data: purge ? [] : data,
    purged: purge ? data : [],
    pruned: await planPrune(store, kept),
  };
}

/** What there is of an app. @throws TreesError APP_NOT_INSTALLED if nothing is, IN_USE */
async function findRemains(
  { paths }: Store,
  { name, purge, force }: RemoveOptions,
): Promise<{ generations: number[]; data: string[] }> {
  const data = dataOf(paths, name).map((instance) => join(paths.data, instance));
  // Purging may come later than removing.
  if (!(await exists(paths.app(name))) && !(purge && data.length > 0)) throw notInstalled(name);
  const generations = listGenerations(paths, name);
  const inUse = findRunning(paths, name, generations);
  if (inUse.length > 0 && !force) throw inUseError(name, inUse);
  return { generations, data };
}

/** Instances that wrote data as this app: the one of its name, and others unless they are another app's own by now. */
function dataOf(paths: StorePaths, name: string): string[] {
  const apps = new Set(appNames(paths));
  return instancesOf(paths, name).filter((instance) => instance === name || !apps.has(instance));
}

/**
 * Deletes generations that nothing runs from.
 * @returns those that were kept because they are in use
 */
export async function discardGenerations(store: Store, name: string, numbers: readonly number[]): Promise<number[]> {
  const kept: number[] = [];
  for (const number of numbers) {
    const lock = lockUnused(store.paths, name, number);
    if (lock === undefined) {
      kept.push(number);
      continue;
    }
    using _lock = lock;
    await discardGeneration(store, name, number);
  }
  return kept;
}

const nothingHeld: Disposable = { [Symbol.dispose]: () => undefined };

/** Keeps containers from starting from these generations. @throws TreesError IN_USE if one has just started */
function holdUnused(paths: StorePaths, name: string, numbers: readonly number[]): Disposable {
  const locks: Lock[] = [];
  const held: Disposable = {
    [Symbol.dispose]: () => {
      for (const lock of locks) lock[Symbol.dispose]();
    },
  };
  for (const number of numbers) {
    const lock = lockUnused(paths, name, number);
    if (lock === undefined) {
      held[Symbol.dispose]();
      throw inUseError(name, [number]);
    }
    locks.push(lock);
  }
  return held;
}

/** Numbers of the generations that something runs from. */
export function findInUse(paths: StorePaths, name: string, numbers: readonly number[]): number[] {
  return numbers.filter((number) => {
    using lock = lockUnused(paths, name, number);
    return lock === undefined;
  });
}

/** The directory goes before the ref: a generation that is there always has its objects. */
async function discardGeneration(store: Store, name: string, number: number): Promise<void> {
  await discardTree(store.paths.generation(name, number));
  await store.repo.setRef(refName.tree(name, number), undefined);
}

/** The launcher holds this lock shared for as long as a container runs. */
function lockUnused(paths: StorePaths, name: string, number: number): Lock | undefined {
  if (!hasGeneration(paths, name, number)) return undefined;
  return tryLock(join(paths.generation(name, number), IN_USE_FILE), 'exclusive');
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}

function notInstalled(name: string): TreesError {
  return new TreesError('APP_NOT_INSTALLED', `cannot remove "${name}": it is not installed`, {
    hint: 'trees ls shows what is',
    details: { name },
  });
}

function inUseError(name: string, generations: readonly number[]): TreesError {
  const which = generations.length === 1 ? 'generation' : 'generations';
  return new TreesError('IN_USE', `cannot remove ${name}: ${which} ${generations.join(', ')} of it is running`, {
    hint: 'stop it first, or remove it all the same with --force',
    details: { name, generations },
  });
}
