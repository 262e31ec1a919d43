import type { LegacyReference } from '../feed/legacy-url.js';
import type { NetworkOptions } from '../feed/network.js';
import { withLegacyTar } from './fetch-legacy.js';
import { type InstalledFile, type InstallFileOptions, installFile } from './install-file.js';
import { openStore } from './store.js';

export interface InstallLegacyOptions
  extends Omit<InstallFileOptions, 'file' | 'path' | 'keys' | 'trustUnsigned' | 'rootTree'> {
  readonly reference: LegacyReference;
  readonly network: NetworkOptions;
}

/**
 * Installs what the original project published, from where it published it. Nobody has signed it: the caller has asked
 * the user. What comes has to be the tree whose checksum lies beside it.
 * @throws TreesError as `withLegacyTar`, `installFile`
 */
export async function installLegacy(options: InstallLegacyOptions): Promise<InstalledFile> {
  const { reference, network } = options;
  const as = options.as ?? 'app';
  using store = await openStore(options);
  const name = options.name ?? reference.name;
  return await withLegacyTar(
    store,
    { reference, as, network },
    async (path, rootTree) =>
      await installFile({ ...options, name, file: reference.url, path, rootTree, keys: [], trustUnsigned: true }),
  );
}
