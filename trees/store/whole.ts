import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Checksum, Repo } from '../ostree/index.js';

/*
 * libostree commits a transaction by renaming object after object into place, and prunes by deleting one after the
 * other, in no particular order. A kill in between would leave a commit object whose content is not all there, which
 * fsck calls corruption. So a commit that arrives is marked as partial before and the mark is taken away after: what is
 * marked and lacks something is unfinished work, not damage. A commit that goes is deleted before its content. A ref is
 * set after the objects, so what has one is whole.
 */

const MARK = '.commitpartial';

/** Does work that brings a commit into the repository, marked as partial meanwhile. */
export async function whileArriving<T>(repo: Repo, commit: Checksum, work: () => Promise<T>): Promise<T> {
  const marked = await repo.isCommitPartial(commit).catch(() => false);
  await repo.setCommitPartial(commit, true);
  try {
    const result = await work();
    await repo.setCommitPartial(commit, false);
    return result;
  } catch (error) {
    if (!marked && !(await repo.hasObject('commit', commit))) await repo.setCommitPartial(commit, false);
    throw error;
  }
}

/** A ref whose writer was killed before its file got its name: libostree (libglnx) calls it `tmp.` and six characters. */
export function isHalfNamed(ref: string): boolean {
  return /(^|\/)tmp\.[A-Za-z0-9]{6}$/.test(ref);
}

/** Commits with a ref and all their objects: what deltas may start from. Changes nothing. */
export async function wholeCommits(repo: Repo): Promise<Set<Checksum>> {
  const whole = new Set<Checksum>();
  const refs = [...(await repo.listRefs())].filter(([ref]) => !isHalfNamed(ref));
  for (const commit of new Set(refs.map(([, target]) => target))) {
    if (!(await repo.hasObject('commit', commit))) continue;
    if (!(await repo.isCommitPartial(commit)) || (await hasEverything(repo, commit))) whole.add(commit);
  }
  return whole;
}

/** Takes the mark from commits that turned out whole: their writer was killed just before it would have done that. */
export async function clearMarks(repo: Repo): Promise<void> {
  for (const commit of await wholeCommits(repo)) {
    if (await repo.isCommitPartial(commit)) await repo.setCommitPartial(commit, false);
  }
}

/**
 * Deletes the commit objects that no ref keeps, so that what prune then deletes one by one belongs to no commit any more.
 * The caller has the store to itself.
 * @returns how many, and the bytes they took
 */
export async function deleteUnreferenced(repo: Repo): Promise<{ objects: number; freed: number }> {
  const kept = new Set((await repo.listRefs()).values());
  let objects = 0;
  let freed = 0;
  for (const { type, checksum } of await repo.listObjects()) {
    if (type !== 'commit' || kept.has(checksum)) continue;
    freed += await repo.objectSize(type, checksum);
    objects += 1;
    await repo.deleteObject(type, checksum);
  }
  return { objects, freed };
}

/** Deletes marks of commits that are gone or never came. The caller has the store to itself. */
export async function deleteStrayMarks(repo: Repo): Promise<void> {
  for (const name of await readdir(join(repo.path, 'state'))) {
    const commit = name.slice(0, -MARK.length);
    if (!name.endsWith(MARK) || !/^[0-9a-f]{64}$/.test(commit)) continue;
    if (!(await repo.hasObject('commit', commit))) await repo.setCommitPartial(commit, false);
  }
}

/** Whether a commit and all that it reaches are there; contents are not looked at. */
export async function hasEverything(repo: Repo, commit: Checksum): Promise<boolean> {
  try {
    for await (const entry of repo.walk(commit)) {
      if (entry.kind === 'file' && !(await repo.hasObject('file', entry.checksum))) return false;
      if (entry.meta !== undefined && !(await repo.hasObject('dirmeta', entry.meta))) return false;
    }
    return true;
  } catch {
    // A directory is missing.
    return false;
  }
}
