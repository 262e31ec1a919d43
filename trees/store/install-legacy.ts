import { randomBytes } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno, TreesError } from '../errors.js';
import { fetchLegacy, type LegacyReference } from '../feed/legacy.js';
import type { NetworkOptions } from '../feed/network.js';
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
 * @throws TreesError FEED_UNREACHABLE, NO_SPACE; as `installFile`
 */
export async function installLegacy(options: InstallLegacyOptions): Promise<InstalledFile> {
  const { reference, network, reporter, signal } = options;
  const as = options.as ?? 'app';
  using store = await openStore(options);
  const { downloads } = store.paths;
  await mkdir(downloads, { recursive: true, mode: 0o700 });
  // Called as gc expects: what a kill leaves is deleted there.
  const path = join(downloads, `tar-${randomBytes(6).toString('hex')}.tar`);
  try {
    const rootTree = await fetchWhileHeld();
    const name = options.name ?? reference.name;
    return await installFile({ ...options, name, file: reference.url, path, rootTree, keys: [], trustUnsigned: true });
  } finally {
    await rm(path, { force: true });
  }

  async function fetchWhileHeld(): Promise<string> {
    using _store = await store.lockStore('shared');
    try {
      return await fetchLegacy(reference, path, { as, network, reporter, signal });
    } catch (error) {
      if (!isErrno(error, 'ENOSPC', 'EDQUOT') && !isErrno(Reflect.get(Object(error), 'cause'), 'ENOSPC', 'EDQUOT'))
        throw error;
      throw new TreesError('NO_SPACE', `cannot download ${reference.url}: no space left in ${downloads}`, {
        hint: '`trees gc` deletes what no installed app needs',
        cause: error,
      });
    }
  }
}
