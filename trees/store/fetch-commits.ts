import { type ErrorCode, isErrno, reasonOf, TreesError } from '../errors.js';
import type { Feed } from '../feed/feed.js';
import type { PathPlan } from '../feed/path.js';
import type { BundleEntry } from '../feed/schema.js';
import type { Selection } from '../feed/select.js';
import { isOstreeError } from '../ostree/errors.js';
import { bringIn, type Incoming, lockOf } from './incoming.js';
import { planBundles } from './install-plan.js';
import { cleanDownloads } from './leftovers.js';
import { linkSpeed } from './link-speed.js';
import { acquireLock, tryLock } from './locks.js';
import { requireSpace, spaceFor } from './space.js';
import { type Store, throwIfCancelled } from './store.js';
import { wholeCommits } from './whole.js';

/** A bundle that did not work, and why. */
export interface FailedBundle {
  readonly file: string;
  readonly code: string;
  readonly reason: string;
}

export interface Fetched {
  /** Bytes of the bundles that were applied. */
  readonly bytes: number;
  readonly bundles: readonly string[];
  /** Bundles that were given up for another way. */
  readonly fallback: readonly FailedBundle[];
}

/** Failures that another bundle would only meet again. */
const FINAL = new Set(['CANCELLED', 'NO_SPACE', 'LOCKED', 'NATIVE_MISSING', 'STORE_UNUSABLE']);

/** What befell the disk would befall the next bundle, too. */
function isFinal(error: unknown): boolean {
  if (error instanceof TreesError) return FINAL.has(error.code);
  return isErrno(error, 'ENOSPC', 'EDQUOT', 'EROFS', 'EIO') || isOstreeError(error, 'noSpace', 'readOnly');
}

/** What to do when no bundle is left, where that is not the publisher's business. */
const NO_OTHER: Partial<Record<ErrorCode, string>> = {
  STORE_CORRUPT: 'trees fsck --repair fetches what is damaged again',
  BUNDLE_CORRUPT:
    'no other bundle leads there and fetching this one again may help; if it does not, tell the publisher',
};

/**
 * Brings the base and the layer of a selection into the store, each under its ref. When a bundle fails in whatever
 * way, the next cheapest chain of bundles is taken and the user is told. The caller holds the store's shared lock.
 * @throws TreesError the first failure, once no chain is left
 */
export async function fetchCommits(store: Store, feed: Feed, selection: Selection): Promise<Fetched> {
  const failed = new Set<string>();
  const fallback: FailedBundle[] = [];
  const bundles: string[] = [];
  let bytes = 0;
  let first: unknown;
  // What is left of the plan.
  let edges: readonly BundleEntry[] = [];
  await using queue = createQueue(store, feed, selection);
  for (;;) {
    throwIfCancelled(store.signal, 'the installation');
    if (edges.length === 0) {
      const have = await wholeCommits(store.repo);
      const plan = nextPlan(store, selection, { have, failed, first, fallback });
      // Another way may be a longer one than what there was room for.
      if (failed.size > 0) requireSpace(store.paths.root, await spaceFor(store.paths.root, selection, plan));
      ({ edges } = plan);
    }
    const [bundle, next] = edges;
    if (bundle === undefined) {
      await cleanDownloads(store, selection.feed.index.bundles);
      return { bytes, bundles, fallback };
    }
    try {
      await queue.apply(bundle, next);
      bundles.push(bundle.file);
      bytes += bundle.size;
      edges = edges.slice(1);
    } catch (error) {
      if (isFinal(error)) throw error;
      if (store.signal?.aborted === true) throw error;
      first ??= error;
      // What is being applied already does not need the one that failed.
      edges = next !== undefined && queue.isBeingApplied(next) ? [next] : [];
      failed.add(bundle.sha256);
      fallback.push(describe(bundle, error));
      store.reporter.warn(`bundle ${bundle.file} did not work, looking for another way: ${reasonOf(error)}`);
    }
  }
}

function nextPlan(
  store: Store,
  selection: Selection,
  state: {
    have: ReadonlySet<string>;
    failed: ReadonlySet<string>;
    first: unknown;
    fallback: readonly FailedBundle[];
  },
): PathPlan {
  try {
    const bytesPerSecond = linkSpeed(store.paths.root, selection.feed.feed);
    return planBundles(selection, state.have, { exclude: state.failed, bytesPerSecond });
  } catch (error) {
    if (state.first === undefined) throw error;
    // The reason why the first bundle failed says more than that none is left.
    if (state.first instanceof TreesError) {
      throw new TreesError(state.first.code, state.first.message, {
        hint: hintOf(state.first) ?? NO_OTHER[state.first.code] ?? 'there is no other bundle to try',
        cause: state.first,
        details: { ...state.first.details, fallback: state.fallback },
      });
    }
    throw new TreesError('BUNDLE_CORRUPT', `cannot install ${selection.name}: ${reasonOf(state.first)}`, {
      hint: 'there is no other bundle to try; tell the publisher',
      cause: state.first,
      details: { fallback: state.fallback },
    });
  }
}

/** What the decoder says about a corrupt bundle is meant for who named the file. */
function hintOf({ code, hint }: TreesError): string | undefined {
  return code === 'BUNDLE_CORRUPT' ? undefined : hint;
}

/** A bundle whose turn has not come yet. */
interface Waiting {
  readonly incoming: Incoming;
  /** If it is being applied all the same. */
  readonly applied: Promise<void> | undefined;
}

/**
 * The bundle that is to be applied now, and the one after it, whose download begins when the first is here: so the
 * link is never idle while something is being applied, and no more than one bundle waits. If it does not build on the
 * first it is applied meanwhile, too: neither keeps all cores busy to its end.
 */
function createQueue(store: Store, feed: Feed, selection: Selection) {
  let waiting: Waiting | undefined;
  const takeWaiting = (): Waiting | undefined => {
    const taken = waiting;
    waiting = undefined;
    return taken;
  };
  const discard = async ({ incoming, applied }: Waiting): Promise<void> => {
    await incoming.discard();
    await applied?.catch(() => undefined);
  };
  const release = async (): Promise<void> => {
    const left = takeWaiting();
    if (left !== undefined) await discard(left);
  };
  const fetchNext = async (incoming: Incoming, next: BundleEntry | undefined): Promise<void> => {
    if (!(await incoming.nearlyHere) || next === undefined) return;
    const isAlone = next.from === null || (await wholeCommits(store.repo)).has(next.from);
    const begun = tryBegin(store, feed, { bundle: next, selection });
    if (begun === undefined) return;
    const applied = isAlone ? begun.apply() : undefined;
    // Whoever's turn it is sees why it failed.
    applied?.catch(() => undefined);
    waiting = { incoming: begun, applied };
  };
  return {
    [Symbol.asyncDispose]: release,
    isBeingApplied: ({ sha256 }: BundleEntry): boolean =>
      waiting?.applied !== undefined && waiting.incoming.bundle.sha256 === sha256,
    async apply(bundle: BundleEntry, next: BundleEntry | undefined): Promise<void> {
      let early = takeWaiting();
      if (early !== undefined && early.incoming.bundle.sha256 !== bundle.sha256) {
        await discard(early);
        early = undefined;
      }
      const incoming = early?.incoming ?? (await begin(store, feed, { bundle, selection }));
      if (incoming === undefined) return;
      const applied = early?.applied ?? incoming.apply();
      // What keeps it from beginning early is met again, and told, when its turn comes.
      const prefetch = fetchNext(incoming, next).catch(() => undefined);
      try {
        await applied;
      } finally {
        await prefetch;
      }
    },
  };
}

/** Waits for whoever brings the same bundle. @returns undefined if its commit is there then */
async function begin(
  store: Store,
  feed: Feed,
  { bundle, selection }: { bundle: BundleEntry; selection: Selection },
): Promise<Incoming | undefined> {
  const { path, ...who } = lockOf(store, bundle);
  const lock = await acquireLock(path, 'exclusive', {
    ...who,
    timeout: Number.MAX_SAFE_INTEGER,
    signal: store.signal,
    reporter: store.reporter,
  });
  try {
    if (!(await wholeCommits(store.repo)).has(bundle.to)) return bringIn(store, feed, { bundle, selection, lock });
  } catch (error) {
    lock.releaseAndDelete();
    throw error;
  }
  lock.releaseAndDelete();
  return undefined;
}

/** As `begin`, but never waits: two processes that each hold one bundle must not wait for the other's. */
function tryBegin(
  store: Store,
  feed: Feed,
  { bundle, selection }: { bundle: BundleEntry; selection: Selection },
): Incoming | undefined {
  if (store.signal?.aborted === true) return undefined;
  const { path, command } = lockOf(store, bundle);
  const lock = tryLock(path, 'exclusive', command);
  return lock === undefined ? undefined : bringIn(store, feed, { bundle, selection, lock });
}

function describe(bundle: BundleEntry, error: unknown): FailedBundle {
  const code = error instanceof TreesError ? error.code : 'INTERNAL';
  return { file: bundle.file, code, reason: reasonOf(error) };
}
