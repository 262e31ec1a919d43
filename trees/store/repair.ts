import { rename } from 'node:fs/promises';
import { TreesError } from '../errors.js';
import { type GatheredFeeds, type GatherOptions, gatherFeeds } from '../feed/gather.js';
import { openFeed } from '../feed/open.js';
import type { Selection } from '../feed/select.js';
import { compareTree } from './check-tree.js';
import { makeGeneration, switchCurrent } from './checkout.js';
import { composeTree } from './compose.js';
import { fetchCommits } from './fetch-commits.js';
import { discardTree, removeTree, temporaryName } from './files.js';
import { type Damage, type Inspection, inspect } from './fsck.js';
import { appNames, currentNumber, findGeneration, type Generation, listGenerations } from './generations.js';
import { movePin } from './hold.js';
import { cleanLeftovers } from './leftovers.js';
import { refName } from './metadata.js';
import { rebuildRecord } from './rebuild-record.js';
import { findInUse } from './remove.js';
import { openExistingStore, type Store, type StoreOptions } from './store.js';
import { clearMarks, deleteStrayMarks, hasEverything, whileArriving } from './whole.js';

export interface FsckOptions extends StoreOptions, Pick<GatherOptions, 'allowStale' | 'network'> {
  /** Apps to check; undefined: the whole store. */
  readonly names: readonly string[] | undefined;
  readonly repair: boolean;
}

export interface FsckResult extends Inspection {
  /** What was damaged and is not any more. */
  readonly repaired: readonly Damage[];
}

/** Behind a damaged directory there may be more that only shows once it is whole. */
const PASSES = 4;

/**
 * Checks the store and, if asked to, puts right what can be: objects are fetched again from the feeds, trees composed
 * and link trees made again. Data is never touched.
 * @throws TreesError STORE_UNUSABLE, LOCKED, CANCELLED; what cannot be repaired is in the result
 */
export async function checkStore(options: FsckOptions): Promise<FsckResult> {
  const nothing = { damage: [], marks: 0, generations: 0, repaired: [] };
  using store = await openExistingStore(options);
  if (store === undefined) return nothing;
  if (!options.repair) {
    using _lock = await store.lockForReading();
    return { ...(await inspect(store, options.names)), repaired: [] };
  }
  // The network is asked before anybody has to wait for us.
  const feeds = await gatherFeeds(options.root, options);
  using _lock = await store.lockStore('exclusive');
  const names = options.names ?? appNames(store.paths);
  let now = await inspect(store, options.names);
  const seen = new Map(now.damage.map((damage) => [keyOf(damage), damage]));
  for (let pass = 0; pass < PASSES && now.damage.length > 0; pass += 1) {
    await repair(store, { names, damage: now.damage, feeds, options });
    const before = new Set(now.damage.map(keyOf));
    now = await inspect(store, options.names);
    for (const damage of now.damage) seen.set(keyOf(damage), damage);
    if (now.damage.every((damage) => before.has(keyOf(damage))) && now.damage.length === before.size) break;
  }
  await clearMarks(store.repo);
  await deleteStrayMarks(store.repo);
  const left = new Set(now.damage.map(keyOf));
  return { ...now, marks: 0, repaired: [...seen].filter(([key]) => !left.has(key)).map(([, damage]) => damage) };
}

function keyOf(damage: Damage): string {
  switch (damage.kind) {
    case 'object':
      return `object ${damage.checksum}.${damage.type}`;
    case 'commit':
      return `commit ${damage.commit}`;
    case 'ref':
      return `ref ${damage.ref}`;
    case 'record':
    case 'tree':
    case 'current':
      return `${damage.kind} ${damage.name}/${damage.generation}`;
  }
}

interface Repair {
  readonly names: readonly string[];
  readonly damage: readonly Damage[];
  readonly feeds: GatheredFeeds;
  readonly options: FsckOptions;
}

async function repair(store: Store, { names, damage, feeds, options }: Repair): Promise<void> {
  for (const name of names) await cleanLeftovers(store, name);
  for (const { name, generation } of damage.filter((found) => found.kind === 'record')) {
    await attempt(store, async () => await rebuildRecord(store, feeds, name, generation));
  }
  const generations = names.flatMap((name) =>
    listGenerations(store.paths, name).flatMap((number) => findGeneration(store.paths, name, number) ?? []),
  );
  await deleteCorrupt(store, { damage, feeds, generations });
  for (const generation of generations) {
    await attempt(store, async () => {
      await restoreCommits(store, generation, { feeds, options });
      await restoreTree(store, generation);
    });
  }
  for (const generation of generations) await attempt(store, async () => await restoreLinks(store, generation));
  for (const name of names) await restoreCurrent(store, name);
}

/** What one generation cannot get back must not keep the others from it. */
async function attempt(store: Store, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (store.signal?.aborted === true || (error instanceof TreesError && error.code === 'CANCELLED')) throw error;
    store.reporter.warn(error instanceof Error ? error.message : String(error));
  }
}

/**
 * Deletes damaged objects, so that they can be written anew; but not if a generation needs one and no feed offers what
 * it is part of any more: a damaged file may still be of use to somebody. The commits are marked before, so that they are not
 * taken for whole if this is killed.
 */
async function deleteCorrupt(
  { repo }: Store,
  { damage, feeds, generations }: Pick<Repair, 'damage' | 'feeds'> & { generations: readonly Generation[] },
): Promise<void> {
  const corrupt = damage.filter((found) => found.kind === 'object').filter(({ problem }) => problem === 'corrupt');
  if (corrupt.length === 0) return;
  const precious = new Set<string>();
  for (const generation of generations) {
    const { base, layer, tree } = generation;
    const offered = findSelection(feeds, generation) !== undefined;
    for (const commit of [base.commit, layer, tree]) {
      const objects = await repo.traverseCommit(commit, { maxDepth: 0 }).catch(() => []);
      if (!offered) for (const { type, checksum } of objects) precious.add(`${checksum}.${type}`);
      const affected = objects.some((object) => corrupt.some(({ checksum }) => checksum === object.checksum));
      if (affected && offered) await repo.setCommitPartial(commit, true);
    }
  }
  for (const { type, checksum } of corrupt) {
    if (!precious.has(`${checksum}.${type}`)) await repo.deleteObject(type, checksum);
  }
}

/** Fetches what is missing of base and layer. */
async function restoreCommits(
  store: Store,
  generation: Generation,
  { feeds, options }: Pick<Repair, 'feeds' | 'options'>,
): Promise<void> {
  const { repo } = store;
  const { name, version, base, layer } = generation;
  const broken: string[] = [];
  for (const commit of [base.commit, layer]) if (!(await isWhole(store, commit))) broken.push(commit);
  if (broken.length === 0) return;
  const selection = findSelection(feeds, generation);
  if (selection === undefined) {
    throw new TreesError(
      'VERSION_NOT_FOUND',
      `cannot repair ${name} ${version}: no feed offers it on ${base.name} ${base.version} any more`,
    );
  }
  for (const commit of broken) await repo.setCommitPartial(commit, true);
  await fetchCommits(store, openFeed(selection.feed.feed, options.network), selection);
}

async function isWhole({ repo }: Store, commit: string): Promise<boolean> {
  return (await repo.hasObject('commit', commit)) && (await hasEverything(repo, commit));
}

function findSelection(
  { feeds }: GatheredFeeds,
  { app: name, arch, summary, base, layer }: Generation,
): Selection | undefined {
  for (const feed of feeds) {
    const { apps, bases } = feed.index;
    const app = Object.hasOwn(apps, name) ? apps[name]?.versions.find(({ commit }) => commit === layer) : undefined;
    const version = Object.hasOwn(bases, base.name)
      ? bases[base.name]?.versions.find((candidate) => candidate.commit === base.commit && candidate.arch === arch)
      : undefined;
    if (app !== undefined && version !== undefined) {
      return { feed, name, summary, app, base: { name: base.name, version } };
    }
  }
  return undefined;
}

/** Composes the tree again where it or a ref is not whole: composing gives the same commit. */
async function restoreTree(
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
 */
async function restoreLinks(store: Store, generation: Generation): Promise<void> {
  const { paths, repo } = store;
  const { name, number, tree } = generation;
  if (!(await isWhole(store, tree)) || (await compareTree(store, generation)) === undefined) return;
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
async function restoreCurrent(store: Store, name: string): Promise<void> {
  const current = currentNumber(store.paths, name);
  const numbers = listGenerations(store.paths, name);
  const newest = numbers.at(-1);
  if (current === undefined || newest === undefined || numbers.includes(current)) return;
  await switchCurrent(store, name, newest);
}
