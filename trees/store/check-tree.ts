import { readdirSync, readlinkSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import type { Checksum, DirMeta } from '../ostree/index.js';
import { lstatOrUndefined, sameBytes } from './files.js';
import type { Generation } from './generations.js';
import { type Store, throwIfCancelled } from './store.js';

/** How a link tree differs from its commit; paths are absolute inside the tree. */
export interface TreeDifference {
  readonly missing: readonly string[];
  readonly changed: readonly string[];
  readonly extra: readonly string[];
}

interface Job {
  readonly store: Store;
  readonly rootfs: string;
  readonly metas: Map<Checksum, DirMeta>;
  readonly missing: string[];
  readonly changed: string[];
  readonly extra: string[];
}

/**
 * Compares a generation's link tree with its commit. Files are the same if they are the same inode as the object;
 * whether that holds what it should is for the check of objects. Symlinks in it are never followed.
 * @returns undefined if they are the same
 * @throws OstreeError if a directory object is missing
 */
export async function compareTree(store: Store, generation: Generation): Promise<TreeDifference | undefined> {
  const rootfs = store.paths.rootfs(generation.name, generation.number);
  const job: Job = { store, rootfs, metas: new Map(), missing: [], changed: [], extra: [] };
  const commit = await store.repo.readCommit(generation.tree);
  await compareDirectory(job, '/', { tree: commit.rootTree, meta: commit.rootMeta });
  const { missing, changed, extra } = job;
  return missing.length + changed.length + extra.length === 0 ? undefined : { missing, changed, extra };
}

async function compareDirectory(job: Job, path: string, wanted: { tree: Checksum; meta: Checksum }): Promise<void> {
  throwIfCancelled(job.store.signal, 'the check');
  const found = lookAt(job, path);
  if (found?.isDirectory() !== true) {
    (found === undefined ? job.missing : job.changed).push(path);
    return;
  }
  if (!(await hasMetadata(job, found, wanted.meta))) job.changed.push(path);
  const { files, dirs } = await job.store.repo.readDirTree(wanted.tree);
  const names = new Set([...files, ...dirs].map(({ name }) => name));
  for (const name of readdirSync(join(job.rootfs, path))) if (!names.has(name)) job.extra.push(join(path, name));
  for (const { name, checksum } of files) await compareFile(job, join(path, name), checksum);
  for (const { name, tree, meta } of dirs) await compareDirectory(job, join(path, name), { tree, meta });
}

/** Where owners and modes are not the tree's (a user's store) there is nothing to compare. */
async function hasMetadata({ store, metas }: Job, found: Stats, checksum: Checksum): Promise<boolean> {
  if (store.checkoutMode === 'user') return true;
  const wanted = metas.get(checksum) ?? (await store.repo.readDirMeta(checksum));
  metas.set(checksum, wanted);
  return found.uid === wanted.uid && found.gid === wanted.gid && (found.mode & 0o7777) === (wanted.mode & 0o7777);
}

async function compareFile(job: Job, path: string, checksum: Checksum): Promise<void> {
  const { store } = job;
  const found = lookAt(job, path);
  if (found === undefined) {
    job.missing.push(path);
    return;
  }
  const object = lstatOrUndefined(objectPath(store, checksum));
  // The check of objects tells of it; what the tree has may well be right.
  if (object === undefined || (object.ino === found.ino && object.dev === found.dev)) return;
  if (!(await isSeparate(job, path, { checksum, found, object }))) job.changed.push(path);
}

/**
 * What is not linked: empty files, symlinks where the repository keeps them as files, and copies that were made because
 * the file system allows no more links to the object.
 */
async function isSeparate(
  { store, rootfs }: Job,
  path: string,
  { checksum, found, object }: { checksum: Checksum; found: Stats; object: Stats },
): Promise<boolean> {
  const info = await store.repo.readFileInfo(checksum);
  const full = join(rootfs, path);
  if (info.kind === 'symlink') return found.isSymbolicLink() && readlinkSync(full) === info.target;
  if (!found.isFile() || found.size !== info.size) return false;
  const user = store.checkoutMode === 'user';
  if (!user && (found.uid !== info.uid || found.gid !== info.gid || (found.mode & 0o7777) !== (info.mode & 0o7777))) {
    return false;
  }
  if (info.size === 0) return true;
  return (!user || found.mode === object.mode) && sameBytes(full, objectPath(store, checksum));
}

function objectPath({ paths }: Store, checksum: Checksum): string {
  return join(paths.repo, 'objects', checksum.slice(0, 2), `${checksum.slice(2)}.file`);
}

function lookAt({ rootfs }: Job, path: string): Stats | undefined {
  return lstatOrUndefined(join(rootfs, path));
}
