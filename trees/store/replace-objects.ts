import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { applyParts } from '../delta/index.js';
import { isErrno, reasonOf, TreesError } from '../errors.js';
import type { Checksum, ObjectType } from '../ostree/types.js';
import type { ObjectKey, PartSupply, Useless } from './repair-supplies.js';
import type { Store } from './store.js';

/**
 * Writes damaged objects anew from parts of bundles. A damaged object is kept aside meanwhile and put back if the part
 * does not give a better one: what is damaged may still be of use to somebody. The caller holds the store's lock
 * exclusively and has marked the commits.
 */
export async function replaceObjects(
  store: Store,
  supplies: readonly PartSupply[],
  { corrupt, useless }: { corrupt: ReadonlyMap<ObjectKey, ObjectName>; useless: Useless },
): Promise<void> {
  for (const supply of supplies) {
    const aside: ObjectName[] = [];
    try {
      for (const key of supply.objects) {
        const object = corrupt.get(key);
        if (object === undefined) continue;
        await move(objectPath(store, object), asidePath(store, object));
        aside.push(object);
      }
      const { path, parts, commit } = supply;
      await applyParts({ repoPath: store.paths.repo, path, parts, commit, signal: store.signal });
    } catch (error) {
      store.signal?.throwIfAborted();
      if (error instanceof TreesError && error.code === 'NO_SPACE') throw error;
      useless.parts.add(supply.sha256);
      store.reporter.warn(`a part of a bundle is of no use for the repair: ${reasonOf(error)}`);
    } finally {
      for (const object of aside) {
        const isThere = await store.repo.hasObject(object.type, object.checksum);
        if (isThere) await rm(asidePath(store, object), { force: true });
        else await move(asidePath(store, object), objectPath(store, object));
      }
      await rm(supply.path, { force: true });
    }
  }
}

export interface ObjectName {
  readonly type: ObjectType;
  readonly checksum: Checksum;
}

function objectPath({ paths }: Store, { type, checksum }: ObjectName): string {
  return join(paths.repo, 'objects', checksum.slice(0, 2), `${checksum.slice(2)}.${type}`);
}

/** Among the downloads, which gc deletes. */
function asidePath({ paths }: Store, { type, checksum }: ObjectName): string {
  return join(paths.downloads, `${checksum}.${type}.damaged`);
}

async function move(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
}
