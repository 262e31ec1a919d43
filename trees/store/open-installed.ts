import { requireInstalled } from './generations.js';
import { storePaths } from './paths.js';
import { openExistingStore, type Store, type StoreOptions } from './store.js';

/**
 * Opens the store for changing an app that has to be installed. Looked up first: a mistyped name leaves no lock file.
 * @throws TreesError APP_NOT_INSTALLED
 */
export async function openInstalled(options: StoreOptions & { readonly name: string }): Promise<Store> {
  requireInstalled(storePaths(options.root), options.name);
  const store = await openExistingStore(options);
  if (store === undefined) throw new Error(`${options.name} is installed without a repository`);
  return store;
}
