import { rename } from 'node:fs/promises';
import { TreesError } from '../errors.js';
import type { Checksum } from '../ostree/types.js';
import { compareTree } from './check-tree.js';
import { makeGeneration, switchCurrent } from './checkout.js';
import { composeTree } from './compose.js';
import { discardTree, removeTree, temporaryName } from './files.js';
import { currentNumber, type Generation, listGenerations } from './generations.js';
import { movePin } from './hold.js';
import { refName } from './metadata.js';
import { findInUse } from './remove.js';
import type { Store } from './store.js';
import { hasEverything, whileArriving } from './whole.js';

/** Whether a commit and all it needs are there. */
export async function isWhole({ repo }: Store, commit: string): Promise<boolean> {
  return (await repo.hasObject('commit', commit)) && (await hasEverything(repo, commit));
}

/** Composes the tree again where it or a ref is not whole: composing gives the same commit. */
export async function restoreTree(
  store: Store,
  { name, number, app, arch, version, base, layer, tree }: Generation,
): Promise<void> {
  const { repo } = store;
  const wanted = [
    [refName.base(base.name, arch, base.version), base.commit],
    [refName.layer(app, arch, version), layer],
  ] as const;
  const refs = await repo.listRefs();
  for (const [ref, commit] of wanted) {
    if (refs.get(ref) === undefined && (await isWhole(store, commit))) await repo.setRef(ref, commit);
  }
  const ref = refName.tree(name, number);
  if (await isWhole(store, tree)) {
    if (refs.get(ref) !== tree) await repo.setRef(ref, tree);
    return;
  }
  await using transaction = await repo.beginTransaction({ signal: store.signal });
  const composed = await composeTree(repo, { base: base.commit, layers: [layer] });
  if (composed !== tree) {
    throw new TreesError('STORE_CORRUPT', `cannot repair ${name}: composing gives ${composed}, it was ${tree}`);
  }
  transaction.setRef(ref, tree);
  await whileArriving(repo, tree, async () => await transaction.commit());
}

/**
 * Makes a damaged link tree again. The current one is replaced by a new generation, so that there is always a whole one;
 * what something runs from stays.
 * @param renewed files (checksums) whose objects were just written anew: trees that have them share nothing with those yet
 */
export async function restoreLinks(
  store: Store,
  generation: Generation,
  renewed: ReadonlySet<Checksum>,
): Promise<void> {
  const { paths, repo } = store;
  const { name, number, tree } = generation;
  if (!(await isWhole(store, tree))) return;
  const objects = renewed.size === 0 ? [] : await repo.traverseCommit(tree, { maxDepth: 0 });
  const isUnlinked = objects.some(({ checksum }) => renewed.has(checksum));
  if (!isUnlinked && (await compareTree(store, generation)) === undefined) return;
  const inUse = findInUse(paths, name, [number]).length > 0;
  if (currentNumber(paths, name) === number) {
    const next = (listGenerations(paths, name).at(-1) ?? 0) + 1;
    await repo.setRef(refName.tree(name, next), tree);
    await makeGeneration(store, { ...generation, number: next });
    await switchCurrent(store, name, next);
    await movePin(paths, name, number, next);
    if (!inUse) {
      await discardTree(paths.generation(name, number));
      await repo.setRef(refName.tree(name, number), undefined);
    }
  } else if (!inUse) {
    const aside = temporaryName(paths.generation(name, number), 'trash');
    await rename(paths.generation(name, number), aside);
    await makeGeneration(store, generation);
    await removeTree(aside);
  }
  if (inUse)
    store.reporter.warn(`generation ${number} of ${name} is running: stop it and repair again, or run trees gc`);
}

/** Makes the newest generation current where that is gone. */
export async function restoreCurrent(store: Store, name: string): Promise<void> {
  const current = currentNumber(store.paths, name);
  const numbers = listGenerations(store.paths, name);
  const newest = numbers.at(-1);
  if (current === undefined || newest === undefined || numbers.includes(current)) return;
  await switchCurrent(store, name, newest);
}
