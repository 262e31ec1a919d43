import type { Checksum } from '../ostree/index.js';
import { findGeneration, listGenerations } from './generations.js';
import { openExistingStore, type Store, type StoreOptions } from './store.js';

/** Bytes of objects in the repository. */
export interface Usage {
  /** Of objects that only this app needs: what removing it gives back. */
  readonly own: number;
  /** Of objects that other apps need, too. */
  readonly shared: number;
  readonly total: number;
}

export interface StoreUsage {
  readonly apps: ReadonlyMap<string, Usage>;
  /** Of all of them, shared objects counted once. */
  readonly total: number;
}

interface ObjectUse {
  readonly size: number;
  readonly apps: Set<string>;
}

/** What the generations of apps, with the bases and layers that they are made of, take in the repository. */
export async function measureUsage(options: StoreOptions, names: readonly string[]): Promise<StoreUsage> {
  using store = await openExistingStore(options);
  if (store === undefined) return { apps: new Map(), total: 0 };
  // Nothing is pruned meanwhile.
  using _lock = await store.lockForReading();
  const objects = new Map<string, ObjectUse>();
  for (const name of names) {
    const commits = new Set(
      listGenerations(store.paths, name).flatMap((number) => {
        const generation = findGeneration(store.paths, name, number);
        return generation === undefined ? [] : [generation.base.commit, generation.layer, generation.tree];
      }),
    );
    for (const commit of commits) await addObjects(store, objects, { name, commit });
  }
  return summarise(objects, names);
}

async function addObjects(
  { repo, signal }: Store,
  objects: Map<string, ObjectUse>,
  { name, commit }: { name: string; commit: Checksum },
): Promise<void> {
  // A layer that was published again under the same version may be gone.
  if (!(await repo.hasObject('commit', commit))) return;
  for (const { type, checksum } of await repo.traverseCommit(commit, { maxDepth: 0, signal })) {
    const key = `${checksum}.${type}`;
    const known = objects.get(key);
    if (known !== undefined) known.apps.add(name);
    else objects.set(key, { size: await repo.objectSize(type, checksum), apps: new Set([name]) });
  }
}

function summarise(objects: ReadonlyMap<string, ObjectUse>, names: readonly string[]): StoreUsage {
  const apps = new Map(names.map((name) => [name, { own: 0, shared: 0, total: 0 }]));
  let total = 0;
  for (const { size, apps: users } of objects.values()) {
    total += size;
    for (const name of users) {
      const usage = apps.get(name);
      if (usage === undefined) continue;
      usage.total += size;
      usage[users.size === 1 ? 'own' : 'shared'] += size;
    }
  }
  return { apps, total };
}
