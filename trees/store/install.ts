import { gatherFor } from '../feed/gather.js';
import type { NetworkOptions } from '../feed/network.js';
import { openFeed } from '../feed/open.js';
import type { Selection } from '../feed/select.js';
import { buildGeneration } from './build-tree.js';
import { type FailedBundle, type Fetched, fetchCommits } from './fetch-commits.js';
import { fetchLegacyCommits } from './fetch-legacy.js';
import { collectibleBytes } from './gc.js';
import { type Generation, listGenerations } from './generations.js';
import {
  chooseTarget,
  type ExplainedPlan,
  explainBundles,
  type InstallRequest,
  type InstallTarget,
  planBundles,
} from './install-plan.js';
import { cleanLeftovers } from './leftovers.js';
import { linkSpeed } from './link-speed.js';
import { ensureNoBase, NO_BASE } from './no-base.js';
import { storePaths } from './paths.js';
import { discardGenerations } from './remove.js';
import { requireSpace, spaceFor } from './space.js';
import { isEnough, type SpaceEstimate } from './space-estimate.js';
import { openExistingStore, openStore, type Store, type StoreOptions } from './store.js';
import { clearMarks, wholeCommits } from './whole.js';

export interface InstallOptions extends StoreOptions, InstallRequest {
  /** Accept an expired index. */
  readonly allowStale?: boolean | undefined;
  readonly network?: NetworkOptions | undefined;
}

export interface InstallResult {
  /** `unchanged`: it was there already and nothing was done. */
  readonly action: 'installed' | 'unchanged';
  readonly generation: Generation;
  /** What was current before, if that is another generation. */
  readonly previous: Generation | undefined;
  /** Bytes fetched. */
  readonly fetched: number;
  readonly bundles: readonly string[];
  /** Bundles that failed, so that another way was taken. */
  readonly fallback: readonly FailedBundle[];
}

/** What an installation would do. */
export interface InstallPlan {
  readonly target: InstallTarget;
  readonly path: ExplainedPlan;
  readonly space: SpaceEstimate;
  /** Where it does not fit: bytes that `trees gc` would free. */
  readonly collectible: number | undefined;
}

/**
 * Installs an app and makes it current. Whatever happens on the way, `current` is the old or the new generation,
 * whole, and the same call again finishes the job.
 * @throws TreesError
 */
export async function installApp(options: InstallOptions): Promise<InstallResult> {
  const paths = storePaths(options.root);
  const feeds = await gatherFor(options.root, options);
  const early = chooseTarget(feeds, paths, options);
  if (early.done && early.installed !== undefined) return unchanged(early.installed.current);

  using store = await openStore(options);
  using _app = await store.lockApp(early.name);
  using _store = await store.lockStore('shared');
  // Whoever held the lock before us may have done the work.
  const target = chooseTarget(feeds, paths, options);
  if (target.done && target.installed !== undefined) return unchanged(target.installed.current);

  return await installTarget(store, target, options);
}

/**
 * Brings a target in and makes it current. The caller holds the app's lock and the store's shared lock.
 * @throws TreesError
 */
export async function installTarget(
  store: Store,
  target: InstallTarget,
  options: Pick<InstallOptions, 'force' | 'network'>,
): Promise<InstallResult> {
  await cleanLeftovers(store, target.name);
  await clearMarks(store.repo);
  const { selection, installed } = target;
  await checkSpace(store, selection);
  const fetched = await bringIn(store, selection, options.network);
  const generation = await buildTarget(store, target, options.force === true);
  if (options.force === true) {
    const others = listGenerations(store.paths, target.name).filter((number) => number !== generation.number);
    const kept = await discardGenerations(store, target.name, others);
    if (kept.length > 0) store.reporter.warn(`generations in use were kept: ${kept.join(', ')}`);
  }
  const previous = installed?.current.number === generation.number ? undefined : installed?.current;
  return {
    action: 'installed',
    generation,
    previous,
    fetched: fetched.bytes,
    bundles: fetched.bundles,
    fallback: fetched.fallback,
  };
}

async function bringIn(store: Store, selection: Selection, network: NetworkOptions | undefined): Promise<Fetched> {
  const { feed, legacy } = selection.feed;
  if (legacy === undefined) return await fetchCommits(store, openFeed(feed, network), selection);
  store.reporter.warn(`${selection.name} comes from ${feed.url}, where nothing is signed: nobody vouches for it`);
  return await fetchLegacyCommits(store, selection, network);
}

/** What the original project published are whole trees: nothing has to be below them. */
async function buildTarget(store: Store, { name, selection }: InstallTarget, fresh: boolean): Promise<Generation> {
  if (selection.feed.legacy === undefined) return await buildGeneration(store, { name, selection }, { fresh });
  const { version, arch, commit } = selection.app;
  const below = { version: NO_BASE.version, commit: await ensureNoBase(store, arch) };
  const whole = {
    ...selection,
    app: { version, arch, commit, base: undefined },
    base: { name: NO_BASE.name, version: below },
  };
  return await buildGeneration(store, { name, selection: whole }, { fresh, anonymous: true });
}

/**
 * What `installApp` would do. Changes nothing: the indexes are fetched, verified and not stored.
 * @throws TreesError as `installApp` would before it changes anything, but not for lack of space: that is in the result
 */
export async function planInstall(options: InstallOptions): Promise<InstallPlan> {
  const paths = storePaths(options.root);
  const feeds = await gatherFor(options.root, { ...options, dryRun: true });
  const target = chooseTarget(feeds, paths, options);
  using store = await openExistingStore(options);
  const { selection } = target;
  const path = await explainFor(store, paths.root, selection);
  const space = await spaceFor(paths.root, selection, path);
  const short = store !== undefined && !isEnough(space);
  return { target, path, space, collectible: short ? await collectibleBytes(store) : undefined };
}

/** The bundles for a selection, with names and alternatives. */
async function explainFor(store: Store | undefined, root: string, selection: Selection): Promise<ExplainedPlan> {
  const bytesPerSecond = linkSpeed(root, selection.feed.feed);
  if (store === undefined) return explainBundles(selection, new Set(), { bytesPerSecond });
  const refs = await store.repo.listRefs();
  return explainBundles(selection, await wholeCommits(store.repo), { bytesPerSecond, refs });
}

/** Refuses before the first byte is fetched. @throws TreesError NO_SPACE, with what `trees gc` would free */
async function checkSpace(store: Store, selection: Selection): Promise<void> {
  const { root } = store.paths;
  const bytesPerSecond = linkSpeed(root, selection.feed.feed);
  const path = planBundles(selection, await wholeCommits(store.repo), { bytesPerSecond });
  const space = await spaceFor(root, selection, path);
  requireSpace(root, space, isEnough(space) ? undefined : await collectibleBytes(store));
}

function unchanged(generation: Generation): InstallResult {
  return { action: 'unchanged', generation, previous: undefined, fetched: 0, bundles: [], fallback: [] };
}
