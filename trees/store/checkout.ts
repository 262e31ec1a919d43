import { chmod, mkdir, open, rename, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Checksum } from '../ostree/types.js';
import { syncfs } from '../system/index.js';
import { type NativeCheckoutResult, runNative } from './addon.js';
import { readExports } from './exports.js';
import { removeTree, replaceSymlink, syncDirectory, temporaryName } from './files.js';
import { findGeneration, GENERATION_FILE, type Generation, IN_USE_FILE } from './generations.js';
import type { Store } from './store.js';

/** More would only wait for each other in the kernel. */
const MAX_THREADS = 8;

/** Threads that make a link tree. */
export function checkoutThreads(): number {
  return Math.min(availableParallelism(), MAX_THREADS);
}

/**
 * Makes a generation's directory: the link tree and its record, which tells the tree's size. Both are made under a
 * temporary name beside it, written to disk, and renamed; so the directory is there whole or not at all, also after a
 * power cut. The caller holds the app's lock and has set the generation's ref.
 * @returns the record
 * @throws TreesError LAYER_INVALID, STORE_UNUSABLE if hard links are impossible, STORE_CORRUPT, NO_SPACE, CANCELLED
 */
export async function makeGeneration(
  store: Store,
  generation: Omit<Generation, 'files' | 'size'>,
): Promise<Generation> {
  const { paths } = store;
  const final = paths.generation(generation.name, generation.number);
  await mkdir(paths.app(generation.name), { recursive: true });
  const temporary = temporaryName(final, 'new');
  let record: Generation;
  try {
    await mkdir(temporary);
    // Not by mkdir's mode: that is subject to the caller's umask, and containers' users have to pass.
    await chmod(temporary, 0o755);
    const { files, size } = await linkTree(store, generation.tree, join(temporary, 'rootfs'));
    record = { ...generation, size, files };
    await writeFile(join(temporary, IN_USE_FILE), '', { mode: 0o600 });
    await writeFile(join(temporary, GENERATION_FILE), `${JSON.stringify(record, null, 2)}\n`);
    // All files at once: syncing them one by one does the same for more.
    await syncfs(temporary);
    await rename(temporary, final);
  } catch (error) {
    await removeTree(temporary);
    throw error;
  }
  await syncDirectory(paths.app(generation.name));
  return record;
}

/** Makes `number` the current generation of an app by one rename. Its exported commands move with it. */
export async function switchCurrent(store: Store, name: string, number: number): Promise<void> {
  const settle = await prepareCommands(store, name, number);
  await replaceSymlink(store.paths.current(name), String(number));
  await settle?.();
}

/** Most apps have no commands: nothing is loaded for them. */
async function prepareCommands(store: Store, name: string, number: number): Promise<(() => Promise<void>) | undefined> {
  const generation = findGeneration(store.paths, name, number);
  const declares = Object.hasOwn(Object(generation?.run), 'commands');
  if (generation === undefined || (!declares && readExports(store.paths, name).commands.length === 0)) return undefined;
  const { prepareExports } = await import('./sync-exports.js');
  return await prepareExports(store, generation);
}

async function linkTree(store: Store, tree: Checksum, destination: string): Promise<NativeCheckoutResult> {
  const { paths, reporter, signal } = store;
  await mkdir(destination, { mode: 0o700 });
  await using directory = await open(destination, 'r');
  const result = await runNative(
    async (native, job) =>
      await native.checkout(job, {
        repositories: [paths.repo],
        commit: tree,
        user: store.checkoutMode === 'user',
        directory: directory.fd,
        fresh: true,
        merge: false,
        force: false,
        copy: false,
        threads: checkoutThreads(),
      }),
    {
      what: `cannot check out into ${destination}`,
      ioCode: 'STORE_UNUSABLE',
      progress: { reporter, title: 'linking files' },
      signal,
    },
  );
  if (result.broken > 0) {
    reporter.warn(
      `${result.broken} files were copied, not linked: the file system allows no more links to them; ` +
        'trees gc removes generations that are not needed',
    );
  }
  return result;
}
