import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Checksum } from '../ostree/types.js';
import { appNames, findGeneration, listGenerations } from './generations.js';
import { refName } from './metadata.js';
import type { Store } from './store.js';
import { deleteStrayMarks, deleteUnreferenced } from './whole.js';

/** What pruning deleted from the repository, or would. */
export interface Pruned {
  readonly refs: readonly string[];
  readonly objects: number;
  /** Bytes. */
  readonly freed: number;
}

/**
 * Deletes from the repository what no generation needs: layers, bases and trees, their refs, the remains of killed
 * transactions, and downloads. The caller holds the store's lock exclusively.
 */
export async function pruneStore(store: Store): Promise<Pruned> {
  const { repo, paths } = store;
  const refs = await unneededRefs(store, keptGenerations(store));
  for (const ref of refs) await repo.setRef(ref, undefined);
  // libostree deletes staging directories of killed transactions when one commits.
  await using transaction = await repo.beginTransaction();
  await transaction.commit();
  const commits = await deleteUnreferenced(repo);
  const result = await repo.prune({ refsOnly: true, depth: 0, lockTimeout: store.lockTimeout });
  await deleteStrayMarks(repo);
  for (const name of await readdir(paths.downloads)) await rm(join(paths.downloads, name), { force: true });
  return { refs, objects: commits.objects + result.objectsPruned, freed: commits.freed + result.freed };
}

/**
 * What `pruneStore` would delete if only these generations were left. Deletes nothing.
 */
export async function planPrune(store: Store, kept: readonly Kept[]): Promise<Pruned> {
  const { repo } = store;
  const refs = await unneededRefs(store, kept);
  const all = await repo.listRefs();
  const needed = await objectsOf(
    store,
    [...all].filter(([ref]) => !refs.includes(ref)).map(([, commit]) => commit),
  );
  const dropped = await objectsOf(
    store,
    refs.flatMap((ref) => all.get(ref) ?? []),
  );
  const unreferenced = await repo.prune({ refsOnly: true, depth: 0, dryRun: true });
  let { objectsPruned: objects, freed } = unreferenced;
  for (const [key, { type, checksum }] of dropped) {
    if (needed.has(key)) continue;
    objects += 1;
    freed += await repo.objectSize(type, checksum);
  }
  return { refs, objects, freed };
}

type ObjectName = Awaited<ReturnType<Store['repo']['traverseCommit']>>[number];

async function objectsOf(store: Store, commits: readonly Checksum[]): Promise<Map<string, ObjectName>> {
  const objects = new Map<string, ObjectName>();
  for (const commit of new Set(commits)) {
    for (const object of await store.repo.traverseCommit(commit, { maxDepth: 0 })) {
      objects.set(`${object.checksum}.${object.type}`, object);
    }
  }
  return objects;
}

/** Refs of ours that none of the generations needs. Refs outside our namespaces are not ours to judge. */
async function unneededRefs(store: Store, kept: readonly Kept[]): Promise<string[]> {
  const needed = new Set<string>();
  const commits = new Set<Checksum>();
  for (const { name, number, sources } of kept) {
    needed.add(refName.tree(name, number));
    for (const commit of sources) commits.add(commit);
  }
  const refs: string[] = [];
  for (const prefix of ['base', 'layer', 'tree']) {
    for (const [ref, commit] of await store.repo.listRefs(prefix)) {
      if (prefix === 'tree' ? !needed.has(ref) : !commits.has(commit)) refs.push(ref);
    }
  }
  return refs.sort();
}

/** A generation and the commits that recomposing it, or a delta to its next version, would start from. */
export interface Kept {
  readonly name: string;
  readonly number: number;
  /** None where the record is damaged. */
  readonly sources: readonly Checksum[];
}

/** All generations that are in the store. */
export function keptGenerations({ paths }: Store): Kept[] {
  return appNames(paths).flatMap((name) =>
    listGenerations(paths, name).map((number) => {
      const record = findGeneration(paths, name, number);
      return { name, number, sources: record === undefined ? [] : [record.base.commit, record.layer] };
    }),
  );
}
