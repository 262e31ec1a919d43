import { removeIfEmpty } from './files.js';
import { appNames, currentNumber, listGenerations } from './generations.js';
import { deletePin } from './hold.js';
import { cleanLeftovers } from './leftovers.js';
import { readPin } from './pins.js';
import { keptGenerations, type Pruned, planPrune, pruneStore } from './prune.js';
import { discardGenerations, findInUse } from './remove.js';
import { openExistingStore, type Store, type StoreOptions } from './store.js';

export interface GcOptions extends StoreOptions {
  /** Older generations of each app to keep for going back to. */
  readonly keep: number;
  readonly dryRun: boolean;
}

interface GenerationName {
  readonly name: string;
  readonly number: number;
}

export interface GcResult extends Pruned {
  readonly generations: readonly GenerationName[];
}

/**
 * Deletes old generations and what no generation needs. Current, pinned and running generations stay, and `keep` older
 * ones of each app.
 */
export async function collectGarbage(options: GcOptions): Promise<GcResult> {
  using store = await openExistingStore(options);
  if (store === undefined) return { generations: [], refs: [], objects: 0, freed: 0 };
  // Exclusive: no installation is under way, so whatever no generation needs is needed by nobody.
  using _lock = await store.lockStore('exclusive');
  const generations = findRemovable(store, options.keep);
  if (options.dryRun) {
    const gone = new Set(generations.map(({ name, number }) => `${name}/${number}`));
    const kept = keptGenerations(store).filter(({ name, number }) => !gone.has(`${name}/${number}`));
    return { generations, ...(await planPrune(store, kept)) };
  }
  for (const { name, number } of generations) await discardGenerations(store, name, [number]);
  for (const name of appNames(store.paths)) {
    await cleanLeftovers(store, name);
    if (listGenerations(store.paths, name).length === 0) await deletePin(store.paths, name);
    await removeIfEmpty(store.paths.app(name));
  }
  return { generations, ...(await pruneStore(store)) };
}

function findRemovable(store: Store, keep: number): GenerationName[] {
  return appNames(store.paths).flatMap((name) => {
    const current = currentNumber(store.paths, name);
    const older = listGenerations(store.paths, name).filter((number) => number !== current);
    // Without a current generation the app is not installed: what is there is left of a killed command.
    const candidates = current === undefined ? older : older.slice(0, Math.max(0, older.length - keep));
    const pinned = readPin(store.paths, name)?.generation;
    const unpinned = candidates.filter((number) => number !== pinned || current === undefined);
    const inUse = new Set(findInUse(store.paths, name, unpinned));
    return unpinned.filter((number) => !inUse.has(number)).map((number) => ({ name, number }));
  });
}
