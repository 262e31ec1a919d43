import { join } from 'node:path';
import { isErrno, TreesError } from '../errors.js';
import { checkoutInto, type IntoResult } from './checkout-into.js';
import { type Generation, IN_USE_FILE } from './generations.js';
import { type Lock, tryLock, tryReadLock } from './locks.js';
import { isUserStore } from './mode.js';
import { storePaths } from './paths.js';
import type { StoreOptions } from './store.js';

export interface CheckoutAppOptions extends StoreOptions {
  /** What to check out. */
  readonly generation: Generation;
  /** Directory to add the tree to. */
  readonly target: string;
  readonly force: boolean;
  readonly copy: boolean;
}

/**
 * Adds a generation's tree to a directory; see `checkoutInto`.
 * @throws TreesError LOCKED and as `checkoutInto`
 */
export async function checkoutApp(options: CheckoutAppOptions): Promise<IntoResult> {
  const paths = storePaths(options.root);
  // As long as there is the generation, its ref keeps the objects.
  using _use = useGeneration(options.root, options.generation);
  const source = { store: options.root, repo: paths.repo, user: isUserStore(paths), commit: options.generation.tree };
  return await checkoutInto(source, options.target, {
    force: options.force,
    copy: options.copy,
    signal: options.signal,
    reporter: options.reporter,
  });
}

/** Keeps a generation from being removed, as a running container does. @throws TreesError LOCKED */
function useGeneration(root: string, { name, number }: Generation): Lock {
  const lock = tryShared(join(storePaths(root).generation(name, number), IN_USE_FILE));
  if (lock !== undefined) return lock;
  throw new TreesError('LOCKED', `cannot use generation ${number} of ${name}: it is being removed`);
}

function tryShared(path: string): Lock | undefined {
  try {
    return tryLock(path, 'shared');
  } catch (error) {
    // Where nothing can be written nothing can be removed.
    if (isErrno(error, 'EROFS')) return tryReadLock(path, 'shared');
    throw error;
  }
}
