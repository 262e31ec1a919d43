import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from '../errors.js';
import type { BundleEntry } from '../feed/schema.js';
import { discardTree, removeTree } from './files.js';
import { GENERATION_FILE, hasGeneration } from './generations.js';
import { tryLock } from './locks.js';
import type { Store } from './store.js';
import { wholeCommits } from './whole.js';

const TEMPORARY = /^\.(new|trash|link)-[0-9a-f]{12}$/;
const NUMBER = /^[1-9]\d{0,8}$/;

/**
 * Deletes what a killed process left of an app: half-made and half-deleted generations, and refs of generations that
 * never came to be. The caller holds the app's lock (or the store's exclusively), so nobody is working on them.
 */
export async function cleanLeftovers(store: Store, name: string): Promise<void> {
  const directory = store.paths.app(name);
  for (const entry of await namesIn(directory)) {
    const path = join(directory, entry);
    if (TEMPORARY.test(entry)) await removeTree(path);
    else if (NUMBER.test(entry) && !(await namesIn(path)).includes(GENERATION_FILE)) await discardTree(path);
  }
  const prefix = `tree/${name}`;
  for (const ref of (await store.repo.listRefs(prefix)).keys()) {
    const number = Number(ref.slice(ref.lastIndexOf('/') + 1));
    if (!hasGeneration(store.paths, name, number)) await store.repo.setRef(ref, undefined);
  }
}

/** The lock of whoever fetches and applies a bundle. */
export function bundleLock({ paths }: Store, bundle: BundleEntry): string {
  return join(paths.locks, `bundle-${bundle.sha256}.lock`);
}

/**
 * Deletes downloads, and their locks, of bundles whose commit is in the store: somebody was killed who had just applied
 * them. Those of other bundles stay, to be resumed.
 */
export async function cleanDownloads(store: Store, bundles: readonly BundleEntry[]): Promise<void> {
  const { paths, repo } = store;
  const names = [...(await namesIn(paths.downloads)), ...(await namesIn(paths.locks))];
  const left = new Set(names.flatMap((name) => /[0-9a-f]{64}/.exec(name)?.[0] ?? []));
  if (left.size === 0) return;
  const whole = await wholeCommits(repo);
  for (const bundle of bundles) {
    if (!left.has(bundle.sha256) || !whole.has(bundle.to)) continue;
    // Whoever holds it is at work on this bundle and cleans up after itself.
    const lock = tryLock(bundleLock(store, bundle), 'exclusive');
    if (lock === undefined) continue;
    const path = join(paths.downloads, bundle.sha256);
    for (const file of [path, `${path}.partial`]) await rm(file, { force: true });
    lock.releaseAndDelete();
  }
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  }
}
