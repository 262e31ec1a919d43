import { chmod, mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TreesError } from '../errors.js';
import { type Checksum, OstreeError } from '../ostree/index.js';
import { syncfs } from '../system/index.js';
import { removeTree, replaceSymlink, syncDirectory, temporaryName } from './files.js';
import { GENERATION_FILE, type Generation, IN_USE_FILE } from './generations.js';
import type { Store } from './store.js';

/**
 * Makes a generation's directory: the link tree and its record. Both are made under a temporary name beside it,
 * written to disk, and renamed; so the directory is there whole or not at all, also after a power cut.
 * The caller holds the app's lock and has set the generation's ref.
 * @throws TreesError STORE_UNUSABLE if hard links are impossible, NO_SPACE
 */
export async function makeGeneration(store: Store, generation: Generation): Promise<void> {
  const { paths } = store;
  const final = paths.generation(generation.name, generation.number);
  await mkdir(paths.app(generation.name), { recursive: true });
  const temporary = temporaryName(final, 'new');
  try {
    await mkdir(temporary);
    // Not by mkdir's mode: that is subject to the caller's umask, and containers' users have to pass.
    await chmod(temporary, 0o755);
    await linkTree(store, generation.tree, join(temporary, 'rootfs'));
    await writeFile(join(temporary, IN_USE_FILE), '', { mode: 0o600 });
    await writeFile(join(temporary, GENERATION_FILE), `${JSON.stringify(generation, null, 2)}\n`);
    await syncfs(temporary);
    await rename(temporary, final);
  } catch (error) {
    await removeTree(temporary);
    throw error;
  }
  await syncDirectory(paths.app(generation.name));
}

/** Makes `number` the current generation of an app by one rename. */
export async function switchCurrent(store: Store, name: string, number: number): Promise<void> {
  await replaceSymlink(store.paths.current(name), String(number));
}

async function linkTree(store: Store, tree: Checksum, destination: string): Promise<void> {
  try {
    await store.repo.checkout(tree, destination, {
      mode: store.checkoutMode,
      overwrite: 'none',
      requireHardlinks: true,
      // libostree would sync file by file; one syncfs when all is there does the same for less.
      enableFsync: false,
      signal: store.signal,
    });
  } catch (error) {
    throw linkError(error, store.paths.repo, destination);
  }
}

/** Tells why hard links from the repository are impossible; other errors stay what they are. */
function linkError(error: unknown, repo: string, destination: string): unknown {
  if (!(error instanceof OstreeError)) return error;
  const details = { repo, destination };
  if (/across devices|cross-device link/i.test(error.message)) {
    return new TreesError(
      'STORE_UNUSABLE',
      `cannot link files of ${repo} into ${destination}: they are on different file systems`,
      { hint: 'hard links need both on one file system', cause: error, details },
    );
  }
  if (/too many links/i.test(error.message)) {
    return new TreesError(
      'STORE_UNUSABLE',
      `cannot link files of ${repo} into ${destination}: the file system allows no more links to a file`,
      { hint: 'remove generations that are not needed (trees gc)', cause: error, details },
    );
  }
  if (/no space left/i.test(error.message)) {
    return new TreesError('NO_SPACE', `cannot check out into ${destination}: no space left`, { cause: error, details });
  }
  return error;
}
