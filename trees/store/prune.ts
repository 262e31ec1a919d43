import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from '../errors.js';
import type { Checksum } from '../ostree/types.js';
import { appNames, findGeneration, listGenerations } from './generations.js';
import { refName } from './metadata.js';
import type { Store } from './store.js';
import { sweepTemporary } from './sweep-temporary.js';
import { deleteStrayMarks, deleteUnreferenced, isHalfNamed } from './whole.js';

/** What pruning deleted, or would. */
export interface Pruned {
  readonly refs: readonly string[];
  readonly objects: number;
  /** Files of downloads. */
  readonly downloads: number;
  /** Bytes of objects and downloads. */
  readonly freed: number;
}

/**
 * Deletes from the repository what no generation needs: layers, bases and trees, their refs, the remains of killed
 * transactions, and downloads. The caller holds the store's lock exclusively.
 */
export async function pruneStore(store: Store): Promise<Pruned> {
  const { repo } = store;
  const refs = [...(await judgeRefs(store, keptGenerations(store))).unneeded.keys()];
  for (const ref of refs) await repo.setRef(ref, undefined);
  // libostree deletes staging directories of killed transactions when one commits.
  await using transaction = await repo.beginTransaction();
  await transaction.commit();
  const commits = await deleteUnreferenced(repo);
  const result = await repo.prune({ refsOnly: true, depth: 0, lockTimeout: store.lockTimeout });
  await deleteStrayMarks(repo);
  const downloads = await listDownloads(store);
  for (const { path } of downloads) await rm(path, { force: true });
  await sweepTemporary(store);
  return {
    refs,
    objects: commits.objects + result.objectsPruned,
    downloads: downloads.length,
    freed: commits.freed + result.freed + sizeOf(downloads),
  };
}

/**
 * What `pruneStore` would delete if only these generations were left. Reads only.
 * @throws OstreeError if something that is needed is damaged
 */
export async function planPrune(store: Store, kept: readonly Kept[]): Promise<Pruned> {
  const { repo, signal } = store;
  const { unneeded } = await judgeRefs(store, kept);
  const needed = new Set<string>();
  const commits = [...(await repo.listRefs())].filter(([ref]) => !unneeded.has(ref)).map(([, commit]) => commit);
  for (const commit of new Set(commits)) {
    for (const { type, checksum } of await repo.traverseCommit(commit, { maxDepth: 0, signal })) {
      needed.add(`${checksum}.${type}`);
    }
  }
  let objects = 0;
  let freed = 0;
  for (const { type, checksum } of await repo.listObjects({ signal })) {
    if (needed.has(`${checksum}.${type}`)) continue;
    objects += 1;
    freed += await repo.objectSize(type, checksum);
  }
  const downloads = await listDownloads(store);
  return { refs: [...unneeded.keys()], objects, downloads: downloads.length, freed: freed + sizeOf(downloads) };
}

interface Download {
  readonly path: string;
  readonly size: number;
}

/** Files called otherwise are not ours to judge. */
const DOWNLOAD = /^([0-9a-f]{64}(\.(partial|parts|[a-z]+\.damaged))?|tar-[0-9a-f]{12}[\w.-]*)$/;

async function listDownloads({ paths }: Store): Promise<Download[]> {
  const found: Download[] = [];
  for (const name of await readdir(paths.downloads).catch(() => [])) {
    if (!DOWNLOAD.test(name)) continue;
    const path = join(paths.downloads, name);
    try {
      found.push({ path, size: (await stat(path)).size });
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw error;
    }
  }
  return found;
}

function sizeOf(downloads: readonly Download[]): number {
  return downloads.reduce((sum, { size }) => sum + size, 0);
}

/** Refs of ours, sorted: those that none of the generations needs, and the others with those that need them. */
export interface JudgedRefs {
  readonly unneeded: ReadonlyMap<string, Checksum>;
  /** Bases and layers by ref. */
  readonly needed: ReadonlyMap<string, readonly GenerationName[]>;
}

/** Refs outside our namespaces are not ours to judge. */
export async function judgeRefs({ repo }: Store, kept: readonly Kept[]): Promise<JudgedRefs> {
  const trees = new Set(kept.map(({ name, number }) => refName.tree(name, number)));
  const unneeded = new Map<string, Checksum>();
  const needed = new Map<string, readonly GenerationName[]>();
  for (const prefix of ['base', 'layer', 'tree']) {
    const refs = [...(await repo.listRefs(prefix))].sort(([a], [b]) => (a < b ? -1 : 1));
    for (const [ref, commit] of refs) {
      if (isHalfNamed(ref)) {
        unneeded.set(ref, commit);
        continue;
      }
      const users = kept.filter(({ sources }) => sources.includes(commit));
      if (prefix === 'tree' ? trees.has(ref) : users.length > 0) {
        if (prefix !== 'tree') {
          needed.set(
            ref,
            users.map(({ name, number }) => ({ name, number })),
          );
        }
      } else {
        unneeded.set(ref, commit);
      }
    }
  }
  return { unneeded, needed };
}

export interface GenerationName {
  readonly name: string;
  readonly number: number;
}

/** A generation and the commits that recomposing it, or a delta to its next version, would start from. */
export interface Kept extends GenerationName {
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
