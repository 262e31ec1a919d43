import { link, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from '../errors.js';
import { removeTree } from './files.js';
import type { Store } from './store.js';

/** What libostree calls a file until it is renamed into its place (libglnx: `tmp.` and six characters). */
const TEMPORARY = /^tmp\.[A-Za-z0-9]{6}$/;
/** Where the addon collects a bundle's objects (stage.cc). */
const STAGE = /^trees-stage-\w{6}$/;
const LOCK_SUFFIX = '-lock';
const BUNDLE_LOCK = /^bundle-[0-9a-f]{64}\.lock$/;
/** What `replaceFile` calls a file until it is renamed. An update may be writing its note just then; it does without. */
const NEW_FILE = /^\.new-[0-9a-f]{12}$/;

/** What a feed's records are called until they are renamed (feed/files.ts). Feeds are written to without our lock. */
const FEED_FILE = /\.[0-9a-f]{12}\.tmp$/;
/** Nobody takes that long to write a file of a few kilobytes. Milliseconds. */
const ABANDONED = 60 * 60 * 1000;

/**
 * Deletes what killed processes left: files that never got their name, and the locks of bundles. Files called
 * otherwise are not ours to judge. The caller holds the store's lock exclusively, so nobody is at work.
 */
export async function sweepTemporary(store: Store): Promise<void> {
  const { paths } = store;
  const { repo } = paths;
  await dropUnfinished(store);
  const objects = await directoriesIn(join(repo, 'objects'));
  const refs = await allBelow(join(repo, 'refs/heads'));
  for (const directory of [repo, join(repo, 'state'), ...objects, ...refs]) await deleteFiles(directory, TEMPORARY);
  await deleteFiles(paths.locks, BUNDLE_LOCK);
  for (const directory of [paths.root, ...(await directoriesIn(paths.feeds))]) await deleteFiles(directory, NEW_FILE);
  for (const directory of await directoriesIn(paths.feeds)) await deleteOld(directory, FEED_FILE);
}

/**
 * Deletes what a killed repair left among the downloads. A damaged object that it had put aside and that nothing has
 * replaced goes back: it may still be of use to somebody. The caller holds the store's lock exclusively.
 */
export async function dropSupplies({ paths }: Store): Promise<void> {
  await deleteFiles(paths.downloads, /^[0-9a-f]{64}\.parts$/);
  for (const { name } of await entriesOf(paths.downloads)) {
    const [, first, rest, type] = /^([0-9a-f]{2})([0-9a-f]{62})\.([a-z]+)\.damaged$/.exec(name) ?? [];
    if (first === undefined) continue;
    const aside = join(paths.downloads, name);
    // Only where there is none: link does not replace.
    await link(aside, join(paths.repo, 'objects', first, `${rest}.${type}`)).catch((error: unknown) => {
      if (!isErrno(error, 'EEXIST', 'ENOENT')) throw error;
    });
    await rm(aside, { force: true });
  }
}

/**
 * Deletes what killed transactions had written. libostree does that when one ends: the remains of the same boot become the
 * next one's own, and aborting deletes those. The caller holds the store's lock exclusively.
 */
export async function dropUnfinished({ repo }: Store): Promise<void> {
  const directory = join(repo.path, 'tmp');
  const remains = async (): Promise<string[]> =>
    (await entriesOf(directory)).map(({ name }) => name).filter((name) => name.startsWith('staging-'));
  if ((await remains()).length > 0) {
    const own = await repo.beginTransaction();
    await own.abort();
  }
  if ((await remains()).some((name) => !isLock(name))) {
    const others = await repo.beginTransaction();
    await others.commit();
  }
  for (const { name } of await entriesOf(directory)) {
    if (STAGE.test(name)) await removeTree(join(directory, name));
  }
  const left = await remains();
  for (const name of left.filter(isLock)) {
    if (!left.includes(name.slice(0, -LOCK_SUFFIX.length))) await rm(join(directory, name), { force: true });
  }
}

function isLock(name: string): boolean {
  return name.endsWith(LOCK_SUFFIX);
}

async function deleteFiles(directory: string, pattern: RegExp): Promise<void> {
  for (const entry of await entriesOf(directory)) {
    if (entry.isFile() && pattern.test(entry.name)) await rm(join(directory, entry.name), { force: true });
  }
}

async function deleteOld(directory: string, pattern: RegExp): Promise<void> {
  for (const entry of await entriesOf(directory)) {
    const path = join(directory, entry.name);
    if (!entry.isFile() || !pattern.test(entry.name)) continue;
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }));
    if (mtimeMs < Date.now() - ABANDONED) await rm(path, { force: true });
  }
}

async function directoriesIn(directory: string): Promise<string[]> {
  const entries = await entriesOf(directory);
  return entries.filter((entry) => entry.isDirectory()).map((entry) => join(directory, entry.name));
}

async function allBelow(directory: string): Promise<string[]> {
  const below = await Promise.all((await directoriesIn(directory)).map(async (child) => await allBelow(child)));
  return [directory, ...below.flat()];
}

async function entriesOf(directory: string) {
  try {
    return await readdir(directory, { withFileTypes: true });
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  }
}
