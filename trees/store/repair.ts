import { reasonOf, TreesError } from '../errors.js';
import { type GatheredFeeds, type GatherOptions, gatherFeeds } from '../feed/gather.js';
import { openFeed } from '../feed/open.js';
import type { Selection } from '../feed/select.js';
import type { Checksum } from '../ostree/types.js';
import { fetchCommits } from './fetch-commits.js';
import { type Damage, type Inspection, inspect } from './fsck.js';
import { appNames, findGeneration, type Generation, listGenerations } from './generations.js';
import { cleanDownloads, cleanLeftovers } from './leftovers.js';
import { rebuildRecord } from './rebuild-record.js';
import { fetchSupplies, type ObjectKey, type Supplies, type Useless } from './repair-supplies.js';
import { type ObjectName, replaceObjects } from './replace-objects.js';
import { isWhole, restoreCurrent, restoreLinks, restoreTree } from './restore.js';
import { openExistingStore, type Store, type StoreOptions } from './store.js';
import { dropSupplies, dropUnfinished } from './sweep-temporary.js';
import { clearMarks, deleteStrayMarks, wholeCommits } from './whole.js';

export interface FsckOptions extends StoreOptions, Pick<GatherOptions, 'allowStale' | 'network'> {
  /** Apps to check; undefined: the whole store. */
  readonly names: readonly string[] | undefined;
  readonly repair: boolean;
}

export interface FsckResult extends Inspection {
  /** What was damaged and is not any more. */
  readonly repaired: readonly Damage[];
  /** Bytes that were fetched to repair with. */
  readonly fetched: number;
}

/** Behind a damaged directory there may be more that only shows once it is whole, and a bundle may be of no use. */
const ROUNDS = 6;

/**
 * Checks the store and, if asked to, puts right what can be: objects are fetched again from the feeds, of bundles only
 * the parts that hold them; trees are composed and link trees made again. Others may work with the store while
 * something is fetched. Data is never touched.
 * @throws TreesError STORE_UNUSABLE, LOCKED, CANCELLED; what cannot be repaired is in the result
 */
export async function checkStore(options: FsckOptions): Promise<FsckResult> {
  using store = await openExistingStore(options);
  if (store === undefined) return { damage: [], marks: 0, generations: 0, repaired: [], fetched: 0 };
  if (!options.repair) {
    using _lock = await store.lockForReading();
    return { ...(await inspect(store, options.names)), repaired: [], fetched: 0 };
  }
  // The network is asked before anybody has to wait for us.
  const gathered = await gatherFeeds(options.root, options);
  // Of what nobody signs no single objects are fetched: its bundles have other forms.
  const feeds = { ...gathered, feeds: gathered.feeds.filter(({ legacy }) => legacy === undefined) };
  const useless: Useless = { parts: new Set(), whole: new Set() };
  const seen = new Map<string, Damage>();
  let fetched = 0;
  let before = '';
  for (let round = 0; round < ROUNDS; round += 1) {
    const found = await look(store, { feeds, options, useless });
    const { damage, supplies } = found;
    for (const one of damage) seen.set(keyOf(one), one);
    const now = JSON.stringify([damage.map(keyOf).sort(), useless.parts.size, useless.whole.size]);
    if (damage.length === 0 || now === before) break;
    before = now;
    fetched += supplies.fetched;
    using _lock = await store.lockStore('exclusive');
    await repair(store, { ...found, feeds, options, useless });
  }
  using _lock = await store.lockStore('exclusive');
  await clearMarks(store.repo);
  await deleteStrayMarks(store.repo);
  // What a killed repair left, which may have had nothing else to do.
  for (const name of options.names ?? appNames(store.paths)) await cleanLeftovers(store, name);
  for (const { index } of feeds.feeds) await cleanDownloads(store, index.bundles);
  await dropUnfinished(store);
  await dropSupplies(store);
  const now = await inspect(store, options.names);
  const left = new Set(now.damage.map(keyOf));
  return {
    ...now,
    marks: 0,
    repaired: [...seen].filter(([key]) => !left.has(key)).map(([, damage]) => damage),
    fetched,
  };
}

interface Found {
  readonly damage: readonly Damage[];
  readonly corrupt: ReadonlyMap<ObjectKey, ObjectName>;
  readonly supplies: Supplies;
  /** Commits that lack something. */
  readonly broken: ReadonlySet<Checksum>;
}

interface Context {
  readonly feeds: GatheredFeeds;
  readonly options: FsckOptions;
  readonly useless: Useless;
}

/** What is damaged, and what there is to repair it with. Changes nothing but downloads. */
async function look(store: Store, { feeds, options, useless }: Context): Promise<Found> {
  using _lock = await store.lockStore('shared');
  const { damage } = await inspect(store, options.names);
  const objects = damage.filter((one) => one.kind === 'object');
  const corrupt = objects.filter(({ problem }) => problem === 'corrupt');
  const byKey = (list: readonly ObjectName[]) =>
    new Map(list.map(({ type, checksum }) => [`${checksum}.${type}`, { type, checksum }]));
  const damaged = new Set(byKey(objects).keys());
  const generations = generationsOf(store, options.names);
  const broken = await findBroken(store, generations, damaged);
  const repairables = generations.flatMap((generation) => {
    const selection = findSelection(feeds, generation);
    return selection === undefined ? [] : [{ generation, selection }];
  });
  const supplies = await fetchSupplies(store, repairables, { options, damaged, broken, useless });
  return { damage, corrupt: byKey(corrupt), supplies, broken: new Set(broken.keys()) };
}

function generationsOf({ paths }: Store, names: readonly string[] | undefined): Generation[] {
  return (names ?? appNames(paths)).flatMap((name) =>
    listGenerations(paths, name).flatMap((number) => findGeneration(paths, name, number) ?? []),
  );
}

/**
 * Bases and layers that lack something, with what that is as far as it is damaged; undefined where it cannot be told.
 * Of the other commits, too, on which no generation is built: bundles may start from them.
 */
async function findBroken(
  { repo }: Store,
  generations: readonly Generation[],
  damaged: ReadonlySet<ObjectKey>,
): Promise<Map<Checksum, ReadonlySet<ObjectKey> | undefined>> {
  const broken = new Map<Checksum, ReadonlySet<ObjectKey> | undefined>();
  const needed = generations.flatMap(({ base, layer }) => [base.commit, layer]);
  for (const commit of new Set([...needed, ...(await wholeCommits(repo))])) {
    // Of a commit that is not there libostree says that it needs nothing.
    const isThere = await repo.hasObject('commit', commit);
    const objects = isThere ? await repo.traverseCommit(commit, { maxDepth: 0 }).catch(() => undefined) : undefined;
    const lacking = objects?.map(({ type, checksum }) => `${checksum}.${type}`).filter((key) => damaged.has(key));
    if (lacking === undefined || lacking.length > 0) broken.set(commit, lacking && new Set(lacking));
  }
  return broken;
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

interface Repair extends Context, Found {}

async function repair(store: Store, found: Repair): Promise<void> {
  const { damage, supplies, feeds, options } = found;
  const names = options.names ?? appNames(store.paths);
  for (const name of names) await cleanLeftovers(store, name);
  for (const { name, generation } of damage.filter((one) => one.kind === 'record')) {
    await attempt(store, { name, number: generation }, async () => await rebuildRecord(store, feeds, name, generation));
  }
  const generations = generationsOf(store, options.names);
  await replaceDamaged(store, generations, found);
  for (const generation of generations) {
    await attempt(store, generation, async () => {
      await restoreCommits(store, generation, { feeds, options, supplies });
      const { base, layer } = generation;
      // What is still missing comes in the next round, or is told of as damage.
      if ((await isWhole(store, base.commit)) && (await isWhole(store, layer))) await restoreTree(store, generation);
    });
  }
  const renewed = await findRenewed(store, damage);
  for (const generation of generations)
    await attempt(store, generation, async () => await restoreLinks(store, generation, renewed));
  for (const name of names) await restoreCurrent(store, name);
}

/** Files that were damaged and are not any more. */
async function findRenewed({ repo }: Store, damage: readonly Damage[]): Promise<Set<Checksum>> {
  const renewed = new Set<Checksum>();
  for (const one of damage) {
    if (one.kind !== 'object' || one.type !== 'file') continue;
    if ((await repo.fsckObject(one.type, one.checksum)) === undefined) renewed.add(one.checksum);
  }
  return renewed;
}

/** What one generation cannot get back must not keep the others from it. */
async function attempt(
  store: Store,
  { name, number }: Pick<Generation, 'name' | 'number'>,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (store.signal?.aborted === true || (error instanceof TreesError && error.code === 'CANCELLED')) throw error;
    // What is no failure of ours does not say what came to nothing.
    const what = error instanceof TreesError ? '' : `cannot repair generation ${number} of ${name}: `;
    store.reporter.warn(`${what}${reasonOf(error)}`);
  }
}

/**
 * Replaces damaged objects from parts, and deletes those that whole bundles or composing will bring; but none that a
 * generation needs and nothing was fetched for: a damaged file may still be of use to somebody. The commits are marked
 * before, so that they are not taken for whole if this is killed.
 */
async function replaceDamaged(
  store: Store,
  generations: readonly Generation[],
  { corrupt: seen, supplies, broken, useless }: Repair,
): Promise<void> {
  const { repo } = store;
  // No bundle starts from them until they have everything again.
  for (const commit of broken) await repo.setCommitPartial(commit, true);
  // Somebody may have put it right since we looked.
  const corrupt = new Map<ObjectKey, ObjectName>();
  for (const [key, object] of seen) {
    if ((await repo.fsckObject(object.type, object.checksum))?.problem === 'corrupt') corrupt.set(key, object);
  }
  const supplied = new Set(supplies.parts.flatMap(({ objects }) => [...objects]));
  const precious = new Set<ObjectKey>();
  for (const { base, layer, tree } of generations) {
    for (const commit of [base.commit, layer, tree]) {
      const objects = await repo.traverseCommit(commit, { maxDepth: 0 }).catch(() => undefined);
      const damaged = objects?.map(({ type, checksum }) => `${checksum}.${type}`).filter((key) => corrupt.has(key));
      if (damaged?.length === 0) continue;
      const isReplaced = damaged?.every((key) => supplied.has(key)) ?? false;
      if (commit !== tree && !supplies.whole.has(commit) && !isReplaced) {
        for (const key of damaged ?? corrupt.keys()) if (!supplied.has(key)) precious.add(key);
      }
      await repo.setCommitPartial(commit, true);
    }
  }
  for (const { to } of supplies.parts) await repo.setCommitPartial(to, true);
  await replaceObjects(store, supplies.parts, { corrupt, useless });
  for (const [key, { type, checksum }] of corrupt) {
    if (!supplied.has(key) && !precious.has(key)) await repo.deleteObject(type, checksum);
  }
}

/** Brings what is missing of base and layer and was downloaded before. */
async function restoreCommits(
  store: Store,
  generation: Generation,
  { feeds, options, supplies }: Pick<Repair, 'feeds' | 'options' | 'supplies'>,
): Promise<void> {
  const { name, version, base, layer } = generation;
  const broken: Checksum[] = [];
  for (const commit of [base.commit, layer]) if (!(await isWhole(store, commit))) broken.push(commit);
  if (broken.length === 0) return;
  const selection = findSelection(feeds, generation);
  if (selection === undefined) {
    throw new TreesError(
      'VERSION_NOT_FOUND',
      `cannot repair ${name} ${version}: no feed offers it on ${base.name} ${base.version} any more`,
    );
  }
  for (const commit of broken) await store.repo.setCommitPartial(commit, true);
  // The others come in the next round: nobody has to wait for the network.
  if (!broken.every((commit) => supplies.whole.has(commit))) return;
  await fetchCommits(store, openFeed(selection.feed.feed, options.network), selection);
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
