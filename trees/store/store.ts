import { chmod, lstat, mkdir, readdir, rename, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isErrno, reasonOf, TreesError } from '../errors.js';
import { Repo, type RepoMode } from '../ostree/index.js';
import { type Reporter, silentReporter } from '../reporter.js';
import { removeTree, syncDirectory } from './files.js';
import { acquireLock, type Lock, type LockKind } from './locks.js';
import { type StorePaths, storePaths } from './paths.js';
import { checkUsable, createRoot, unusable, unusableBecause } from './usable.js';

/** What every operation on a store takes. */
export interface StoreOptions {
  /** `settings.root` */
  readonly root: string;
  /** Seconds to wait for other processes. */
  readonly lockTimeout: number;
  /** What is being done, for those who wait for us: `install etcd`. */
  readonly command: string;
  /** Where commands that apps declare go; absent: nowhere. */
  readonly binDir?: string | undefined;
  readonly reporter?: Reporter | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** An open store. Dispose of it to close the repository. */
export interface Store extends Disposable {
  readonly paths: StorePaths;
  readonly repo: Repo;
  /** How link trees are made: `none` keeps owners and modes (bare repository), `user` cannot. */
  readonly checkoutMode: 'none' | 'user';
  /** Where commands that apps declare go; absent: nowhere. */
  readonly binDir: string | undefined;
  readonly reporter: Reporter;
  readonly signal: AbortSignal | undefined;
  readonly lockTimeout: number;
  /** One writer per app. Taken before the store's lock, never while holding it. */
  lockApp(name: string): Promise<Lock>;
  /** Shared by whatever adds objects, exclusive for what deletes them. Taken last. */
  lockStore(kind: LockKind): Promise<Lock>;
  /** As `lockStore('shared')` for looking only: nothing is written, so the store may be read-only. */
  lockForReading(): Promise<Lock>;
}

/** Kept free on the file system for everybody else; libostree's default is 3 % of it, however large that is. */
const MIN_FREE = { size: 64, unit: 'MB' } as const;

/**
 * Opens the store, creating it if it is not there.
 * @throws TreesError STORE_UNUSABLE, before anything is changed
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  const paths = storePaths(options.root);
  const exists = await checkUsable(paths.root);
  if (!exists) await createRoot(paths.root);
  // Link trees hold setuid files of other systems: nobody else gets near them.
  else await chmod(paths.root, 0o700);
  await createDirectories(paths);
  return storeOf(await openRepo(paths, options), paths, options);
}

/** Opens the store for looking at it; undefined if there is none. */
export async function openExistingStore(options: StoreOptions): Promise<Store | undefined> {
  const paths = storePaths(options.root);
  try {
    await stat(join(paths.repo, 'config'));
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw unusable(paths.root, reasonOf(error));
  }
  return storeOf(await Repo.open(paths.repo), paths, options);
}

async function createDirectories(paths: StorePaths): Promise<void> {
  for (const directory of [paths.locks, paths.apps, paths.data, paths.downloads]) {
    try {
      // Not recursively: Node would say ENOENT where the disk is full.
      await mkdir(directory);
    } catch (error) {
      if (isErrno(error, 'EEXIST') && (await isDirectory(directory))) continue;
      throw unusableBecause(paths.root, error);
    }
  }
}

async function isDirectory(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() === true;
}

async function openRepo(paths: StorePaths, options: StoreOptions): Promise<Repo> {
  using _lock = await acquireLock(join(paths.locks, 'create.lock'), 'exclusive', lockOptions(options, paths));
  if (await isComplete(paths.repo)) return await Repo.open(paths.repo);
  try {
    await createRepo(paths.repo);
  } catch (error) {
    throw unusableBecause(paths.root, error, 'cannot create the repository');
  }
  return await Repo.open(paths.repo);
}

/** Under another name first, so that a kill leaves none or one with all its settings. The caller has the lock for it. */
async function createRepo(path: string): Promise<void> {
  const mode: RepoMode = process.geteuid?.() === 0 ? 'bare' : 'bare-user';
  // What is there, empty or half made, is completed: it may be a mount point or a link to another place.
  const there = await lstat(path).catch(() => undefined);
  const target = there === undefined ? join(dirname(path), '.new-repo') : path;
  if (there === undefined) await removeTree(target);
  using repo = await Repo.create(target, { mode });
  await repo.setMinFreeSpace(MIN_FREE);
  if (target === path) return;
  await rename(target, path);
  await syncDirectory(dirname(path));
}

/** A kill while the repository is created may leave a part of it; creating again completes that. */
async function isComplete(repo: string): Promise<boolean> {
  try {
    const entries = await readdir(repo);
    return ['config', 'objects', 'refs', 'tmp', 'state'].every((entry) => entries.includes(entry));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false;
    throw error;
  }
}

function storeOf(repo: Repo, paths: StorePaths, options: StoreOptions): Store {
  if (repo.mode !== 'bare' && repo.mode !== 'bare-user') {
    repo.close();
    throw unusable(paths.root, `Expected its repository to be bare or bare-user, got ${repo.mode}`);
  }
  if (repo.mode === 'bare' && process.geteuid?.() !== 0) {
    repo.close();
    throw unusable(paths.root, 'it keeps real owners and modes, which only root can', 'run as root');
  }
  return {
    paths,
    repo,
    checkoutMode: repo.mode === 'bare' ? 'none' : 'user',
    binDir: options.binDir,
    reporter: options.reporter ?? silentReporter,
    signal: options.signal,
    lockTimeout: options.lockTimeout,
    lockApp: async (name) =>
      await acquireLock(join(paths.locks, `app-${name}.lock`), 'exclusive', {
        ...lockOptions(options, paths),
        what: `app "${name}"`,
      }),
    lockStore: async (kind) => await acquireLock(join(paths.locks, 'store.lock'), kind, lockOptions(options, paths)),
    lockForReading: async () =>
      await acquireLock(join(paths.locks, 'store.lock'), 'shared', { ...lockOptions(options, paths), readOnly: true }),
    [Symbol.dispose]: () => repo.close(),
  };
}

function lockOptions(options: StoreOptions, paths: StorePaths) {
  return {
    what: `the store ${paths.root}`,
    command: options.command,
    timeout: options.lockTimeout,
    signal: options.signal,
    reporter: options.reporter,
  };
}

/** Rethrows a cancellation as ours; for the points between two steps. */
export function throwIfCancelled(signal: AbortSignal | undefined, what: string): void {
  if (signal?.aborted === true) throw new TreesError('CANCELLED', `${what} was cancelled`);
}
