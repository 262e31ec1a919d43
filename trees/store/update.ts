import { TreesError } from '../errors.js';
import { type FeedsOptions, listFeeds } from '../feed/feeds.js';
import { type GatheredFeeds, gatherFeeds } from '../feed/gather.js';
import type { FailedBundle } from './fetch-commits.js';
import { appNames, currentNumber, type Generation, type InstalledApp, readInstalled } from './generations.js';
import { installTarget } from './install.js';
import { type ExplainedPlan, explainBundles } from './install-plan.js';
import { linkSpeed } from './link-speed.js';
import { type StorePaths, storePaths } from './paths.js';
import type { Pin } from './pins.js';
import { spaceFor } from './space.js';
import type { SpaceEstimate } from './space-estimate.js';
import { openExistingStore, openStore, type Store, type StoreOptions, throwIfCancelled } from './store.js';
import { factsBefore, remember } from './up-to-date.js';
import { chooseFollower, chooseUpdate, type UpdateTarget } from './update-plan.js';
import { wholeCommits } from './whole.js';

export interface UpdateOptions extends StoreOptions, Pick<FeedsOptions, 'allowStale' | 'network'> {
  /** Apps to update; none means all. */
  readonly names: readonly string[];
}

/** What became of one app. */
export type UpdateOutcome = {
  readonly name: string;
} & (
  | {
      /** `recomposed`: the same version of the app on a newer base. */
      readonly action: 'updated' | 'recomposed';
      readonly generation: Generation;
      readonly previous: Generation;
      readonly pin: Pin | undefined;
      /** Bytes. */
      readonly fetched: number;
      readonly bundles: readonly string[];
      /** Bundles that failed, so that another way was taken. */
      readonly fallback: readonly FailedBundle[];
    }
  | { readonly action: 'unchanged'; readonly generation: Generation; readonly pin: Pin | undefined }
  | { readonly action: 'failed'; readonly error: unknown }
);

/** What would become of one app. */
export type UpdatePlan = {
  readonly name: string;
} & (
  | {
      readonly action: 'update' | 'recompose' | 'unchanged';
      readonly target: UpdateTarget;
      readonly path: ExplainedPlan;
      readonly space: SpaceEstimate | undefined;
    }
  | { readonly action: 'failed'; readonly error: unknown }
);

/** One app's part: what it goes to is decided again under its lock. */
interface Job {
  readonly name: string;
  readonly target: UpdateTarget;
  choose(): UpdateTarget | undefined;
}

interface Failure {
  readonly name: string;
  readonly action: 'failed';
  readonly error: unknown;
}

const NOTHING: ExplainedPlan = {
  edges: [],
  bytes: 0,
  writes: 0,
  reason: 'nothing is wanted',
  alternatives: [],
  nameOf: (commit) => commit,
};

/**
 * Brings apps to the newest version that their pins and feeds allow. When one moves to a newer base, the other apps on
 * that base are composed with it, too. An app that fails does not stop the others. If there is nothing to do, only the
 * indexes and JSON are read.
 * @returns one outcome an app, in order of their names
 */
export async function updateApps(options: UpdateOptions): Promise<UpdateOutcome[]> {
  const paths = storePaths(options.root);
  const before = options.names.length === 0 ? factsBefore(paths) : undefined;
  const { jobs, failures, gathered } = await plan(options, paths);
  const outcomes: UpdateOutcome[] = [...failures];
  const pending = jobs.filter(({ target }) => !target.done);
  for (const { name, target } of jobs) if (target.done) outcomes.push(unchanged(name, target));
  if (pending.length > 0) {
    using store = await openStore(options);
    for (const job of pending) {
      outcomes.push(await attempt(job.name, options, async () => await updateOne(store, job, options)));
    }
  }
  const { feeds, problems } = gathered;
  const complete = outcomes.length > 0 && outcomes.every(({ action }) => action !== 'failed') && problems.length === 0;
  if (before !== undefined && complete && feeds.every(({ stale }) => !stale)) {
    const generations = outcomes.flatMap((app) =>
      'generation' in app ? [[app.name, app.generation.number] as const] : [],
    );
    const indexes = feeds.map(({ feed, index }) => [feed.name, index] as const);
    await remember(paths, before, { indexes: new Map(indexes), generations: new Map(generations) });
  }
  return outcomes.sort(byName);
}

/**
 * What `updateApps` would do. Changes nothing: the indexes are fetched, verified and not stored.
 */
export async function planUpdate(options: UpdateOptions): Promise<UpdatePlan[]> {
  const paths = storePaths(options.root);
  const { jobs, failures } = await plan(options, paths, true);
  const plans: UpdatePlan[] = [...failures];
  using store = await openExistingStore(options);
  const have = store === undefined ? new Set<string>() : await wholeCommits(store.repo);
  const refs = await store?.repo.listRefs();
  for (const { name, target } of jobs) {
    if (target.done) {
      plans.push({ name, action: 'unchanged', target, path: NOTHING, space: undefined });
      continue;
    }
    plans.push(
      await attempt(name, options, async () => {
        const { selection } = target;
        const path = explainBundles(selection, have, {
          bytesPerSecond: linkSpeed(paths.root, selection.feed.feed),
          refs,
        });
        for (const edge of path.edges) have.add(edge.to);
        const action = isSameLayer(target) ? 'recompose' : 'update';
        return { name, action, target, path, space: await spaceFor(paths.root, selection, path) } as const;
      }),
    );
  }
  return plans.sort(byName);
}

async function plan(
  options: UpdateOptions,
  paths: StorePaths,
  dryRun = false,
): Promise<{ jobs: Job[]; failures: Failure[]; gathered: GatheredFeeds }> {
  const names =
    options.names.length === 0
      ? appNames(paths).filter((name) => currentNumber(paths, name) !== undefined && !isFromFile(paths, name))
      : [...new Set(options.names)];
  const gathered = await gather(options, paths, { names, dryRun });
  const jobs: Job[] = [];
  const failures: Failure[] = [];
  for (const name of names) {
    const choose = (): UpdateTarget => chooseUpdate(gathered, paths, name);
    try {
      jobs.push({ name, target: choose(), choose });
    } catch (error) {
      failures.push({ name, action: 'failed', error });
    }
  }
  return { jobs: [...jobs, ...followers(gathered, paths, { jobs, names })], failures, gathered };
}

async function gather(
  options: UpdateOptions,
  paths: StorePaths,
  { names, dryRun }: { names: readonly string[]; dryRun: boolean },
): Promise<GatheredFeeds> {
  const installed = names.flatMap((name) => installedOrNone(paths, name)?.current ?? []);
  const wanted = new Set(installed.map(({ feed }) => feed));
  const known = await listFeeds(paths.root);
  const only = known.map(({ name }) => name).filter((name) => wanted.has(name));
  const apps = [...new Set(installed.map(({ app }) => app))];
  return await gatherFeeds(paths.root, { ...options, only, apps, dryRun });
}

/** Apps that were not named, on a base that one of the named ones moves on from. */
function followers(
  gathered: GatheredFeeds,
  paths: StorePaths,
  { jobs, names }: { jobs: readonly Job[]; names: readonly string[] },
): Job[] {
  const moves = jobs.filter(({ target }) => !target.done).map(({ target }) => target.selection);
  return appNames(paths)
    .filter((name) => !names.includes(name))
    .flatMap((name) => {
      for (const { base, feed } of moves) {
        const choose = (): UpdateTarget | undefined =>
          follow(gathered, paths, { name, move: base, from: feed.feed.name });
        const target = choose();
        if (target !== undefined) return [{ name, target, choose }];
      }
      return [];
    });
}

/** Damaged apps are left alone: nobody asked for them. */
function follow(...args: Parameters<typeof chooseFollower>): UpdateTarget | undefined {
  try {
    return chooseFollower(...args);
  } catch (error) {
    if (error instanceof TreesError && ['STORE_CORRUPT', 'APP_NOT_INSTALLED'].includes(error.code)) return undefined;
    throw error;
  }
}

/** Nothing brings those newer versions, unless they are asked for by name: then that is said. */
function isFromFile(paths: StorePaths, name: string): boolean {
  return installedOrNone(paths, name)?.current.feed === '';
}

function installedOrNone(paths: StorePaths, name: string): InstalledApp | undefined {
  try {
    return readInstalled(paths, name);
  } catch (error) {
    if (error instanceof TreesError && error.code === 'STORE_CORRUPT') return undefined;
    throw error;
  }
}

async function updateOne(store: Store, job: Job, options: UpdateOptions): Promise<UpdateOutcome> {
  const { name } = job;
  throwIfCancelled(options.signal, 'the update');
  using _app = await store.lockApp(name);
  using _store = await store.lockStore('shared');
  // Whoever held the lock before us may have done the work, or removed the app.
  const target = job.choose();
  if (target === undefined || target.done) return unchanged(name, target ?? job.target);
  const { generation, fetched, bundles, fallback } = await installTarget(store, target, options);
  const action = isSameLayer(target) ? 'recomposed' : 'updated';
  const previous = target.installed.current;
  return { name, action, generation, previous, pin: target.pin, fetched, bundles, fallback };
}

function isSameLayer({ selection, installed }: UpdateTarget): boolean {
  return installed.current.layer === selection.app.commit;
}

function unchanged(name: string, { installed, pin }: UpdateTarget): UpdateOutcome {
  return { name, action: 'unchanged', generation: installed.current, pin };
}

/** One app's failure is its outcome; being interrupted is everybody's. */
async function attempt<T>(name: string, options: UpdateOptions, work: () => Promise<T>): Promise<T | Failure> {
  try {
    return await work();
  } catch (error) {
    if (options.signal?.aborted === true || (error instanceof TreesError && error.code === 'CANCELLED')) throw error;
    return { name, action: 'failed', error };
  }
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : Number(a.name > b.name);
}
