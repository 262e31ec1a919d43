import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from '../errors.js';
import { discardTree, removeTree } from './files.js';
import { GENERATION_FILE, hasGeneration } from './generations.js';
import type { Store } from './store.js';

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

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  }
}
