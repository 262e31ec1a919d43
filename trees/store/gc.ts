import { OstreeError } from '../ostree/index.js';
import { removeIfEmpty } from './files.js';
import { appNames, currentNumber, findGeneration, listGenerations } from './generations.js';
import { deleteNotes } from './hold.js';
import { cleanLeftovers } from './leftovers.js';
import { refName } from './metadata.js';
import { readPin } from './pins.js';
import { type GenerationName, judgeRefs, keptGenerations, type Pruned, planPrune, pruneStore } from './prune.js';
import { discardGenerations } from './remove.js';
import { findRunning } from './running.js';
import { openExistingStore, type Store, type StoreOptions } from './store.js';

/** Older generations that `trees gc` keeps of each app. */
export const DEFAULT_KEEP = 2;

export interface GcOptions extends StoreOptions {
  /** Older generations of each app to keep for going back to. */
  readonly keep: number;
  readonly dryRun: boolean;
}

/** Why a generation stays. `recent`: one of the older ones that are kept to go back to. */
export type KeptReason = 'current' | 'pinned' | 'running' | 'recent';

export interface KeptGeneration extends GenerationName {
  /** Undefined where the record is damaged. */
  readonly version: string | undefined;
  readonly reasons: readonly KeptReason[];
}

export interface GcResult extends Pruned {
  /** Deleted, or would be. */
  readonly generations: readonly GenerationName[];
  /** What stays, and why. */
  readonly kept: {
    readonly generations: readonly KeptGeneration[];
    /** Bases and layers, and the generations that need them. */
    readonly refs: ReadonlyArray<{ readonly ref: string; readonly neededBy: readonly GenerationName[] }>;
  };
}

/**
 * Deletes old generations and what no generation needs. Current, pinned and running generations stay, and `keep` older
 * ones of each app. A dry run only reads: it takes no writer's lock and works on a read-only file system.
 * @throws TreesError STORE_UNUSABLE, LOCKED; OstreeError if what is needed is damaged
 */
export async function collectGarbage(options: GcOptions): Promise<GcResult> {
  using store = await openExistingStore(options);
  if (store === undefined) {
    return { generations: [], refs: [], objects: 0, downloads: 0, freed: 0, kept: { generations: [], refs: [] } };
  }
  if (options.dryRun) {
    using _lock = await store.lockForReading();
    return await planGarbage(store, options.keep);
  }
  // Exclusive: no installation is under way, so whatever no generation needs is needed by nobody.
  using _lock = await store.lockStore('exclusive');
  const { removable } = judgeGenerations(store, options.keep);
  const generations: GenerationName[] = [];
  for (const { name, number } of removable) {
    const inUse = await discardGenerations(store, name, [number]);
    if (inUse.length === 0) generations.push({ name, number });
  }
  for (const name of appNames(store.paths)) {
    await cleanLeftovers(store, name);
    if (listGenerations(store.paths, name).length === 0) await deleteNotes(store.paths, name);
    await removeIfEmpty(store.paths.app(name));
  }
  const pruned = await pruneStore(store);
  const { kept } = judgeGenerations(store, options.keep);
  return { generations, ...pruned, kept: { generations: kept, refs: await neededRefs(store) } };
}

/**
 * Bytes that `trees gc` would free; undefined where damage keeps that from being told. For hints: the store may be in
 * use meanwhile.
 */
export async function collectibleBytes(store: Store): Promise<number | undefined> {
  try {
    return (await planGarbage(store, DEFAULT_KEEP)).freed;
  } catch (error) {
    if (error instanceof OstreeError) return undefined;
    throw error;
  }
}

async function planGarbage(store: Store, keep: number): Promise<GcResult> {
  const { removable, kept } = judgeGenerations(store, keep);
  const gone = new Set(removable.map(({ name, number }) => `${name}/${number}`));
  const left = keptGenerations(store).filter(({ name, number }) => !gone.has(`${name}/${number}`));
  const pruned = await planPrune(store, left);
  // Those of the generations go with them.
  const trees = new Set(removable.map(({ name, number }) => refName.tree(name, number)));
  const refs = pruned.refs.filter((ref) => !trees.has(ref));
  return {
    generations: removable,
    ...pruned,
    refs,
    kept: { generations: kept, refs: await neededRefs(store, left) },
  };
}

async function neededRefs(store: Store, left = keptGenerations(store)) {
  const { needed } = await judgeRefs(store, left);
  return [...needed].map(([ref, neededBy]) => ({ ref, neededBy }));
}

function judgeGenerations(store: Store, keep: number): { removable: GenerationName[]; kept: KeptGeneration[] } {
  const { paths } = store;
  const removable: GenerationName[] = [];
  const kept: KeptGeneration[] = [];
  for (const name of appNames(paths)) {
    const numbers = listGenerations(paths, name);
    const current = currentNumber(paths, name);
    const older = numbers.filter((number) => number !== current);
    // Without a current generation the app is not installed: what is there is left of a killed command.
    const recent = new Set(current === undefined ? [] : older.slice(Math.max(0, older.length - keep)));
    const pinned = current === undefined ? undefined : readPin(paths, name)?.generation;
    const running = new Set(findRunning(paths, name, numbers));
    for (const number of numbers) {
      const reasons: KeptReason[] = [
        ...(number === current ? (['current'] as const) : []),
        ...(number === pinned ? (['pinned'] as const) : []),
        ...(running.has(number) ? (['running'] as const) : []),
        ...(recent.has(number) ? (['recent'] as const) : []),
      ];
      if (reasons.length === 0) removable.push({ name, number });
      else kept.push({ name, number, version: findGeneration(paths, name, number)?.version, reasons });
    }
  }
  return { removable, kept };
}
