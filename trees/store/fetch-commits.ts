import { rm } from 'node:fs/promises';
import { applyBundle } from '../delta/index.js';
import { type ErrorCode, reasonOf, TreesError } from '../errors.js';
import { verifyCommitSignature } from '../feed/commit-signature.js';
import { fetchBundle } from '../feed/download.js';
import type { Feed } from '../feed/feed.js';
import type { PathPlan } from '../feed/path.js';
import type { BundleEntry } from '../feed/schema.js';
import type { Selection } from '../feed/select.js';
import { planBundles, refOf } from './install-plan.js';
import { bundleLock, cleanDownloads } from './leftovers.js';
import { linkSpeed, measureLink } from './link-speed.js';
import { acquireLock } from './locks.js';
import { requireSpace, spaceFor } from './space.js';
import { type Store, throwIfCancelled } from './store.js';
import { whileArriving, wholeCommits } from './whole.js';

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

/** What to do when no bundle is left, where that is not the publisher's business. */
const NO_OTHER: Partial<Record<ErrorCode, string>> = {
  STORE_CORRUPT: 'trees fsck --repair fetches what is damaged again',
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
  for (;;) {
    throwIfCancelled(store.signal, 'the installation');
    const plan = nextPlan(store, selection, { have: await wholeCommits(store.repo), failed, first, fallback });
    const [bundle] = plan.edges;
    if (bundle === undefined) {
      await cleanDownloads(store, selection.feed.index.bundles);
      return { bytes, bundles, fallback };
    }
    // Another way may be a longer one than what there was room for.
    if (failed.size > 0) requireSpace(store.paths.root, await spaceFor(store.paths.root, selection, plan));
    try {
      await fetchAndApply(store, feed, { bundle, selection });
      bundles.push(bundle.file);
      bytes += bundle.size;
    } catch (error) {
      if (error instanceof TreesError && FINAL.has(error.code)) throw error;
      if (store.signal?.aborted === true) throw error;
      first ??= error;
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
        hint: state.first.hint ?? NO_OTHER[state.first.code] ?? 'there is no other bundle to try',
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

async function fetchAndApply(
  store: Store,
  feed: Feed,
  { bundle, selection }: { bundle: BundleEntry; selection: Selection },
): Promise<void> {
  // Two installs that need the same base: one fetches, the other waits and finds it there.
  const lock = await acquireLock(bundleLock(store, bundle), 'exclusive', {
    what: `bundle ${bundle.file}`,
    command: `fetch ${bundle.file}`,
    timeout: Number.MAX_SAFE_INTEGER,
    signal: store.signal,
    reporter: store.reporter,
  });
  try {
    if ((await wholeCommits(store.repo)).has(bundle.to)) return;
    const link = measureLink();
    const path = await fetchBundle(feed, bundle, store.paths.downloads, {
      signal: store.signal,
      reporter: store.reporter,
      onAvailable: (download) => link.update(download.bytes),
    });
    await link.record(store.paths.root, selection.feed.feed.name);
    try {
      await whileArriving(store.repo, bundle.to, async () => await apply(store, path, { bundle, selection }));
    } finally {
      // A bundle that fails here has the published digest: fetching the same bytes again would not help.
      if (store.signal?.aborted !== true) await rm(path, { force: true });
    }
  } finally {
    lock.releaseAndDelete();
  }
}

async function apply(
  store: Store,
  path: string,
  { bundle, selection }: { bundle: BundleEntry; selection: Selection },
): Promise<void> {
  using task = store.reporter.task(`apply ${bundle.file}`, { total: bundle.writes, unit: 'bytes' });
  await applyBundle({
    repoPath: store.paths.repo,
    path,
    expect: { size: bundle.size, from: bundle.from, to: bundle.to },
    ref: refOf(selection.feed.index, bundle.to),
    verifyCommit: (commit, metadata) => {
      verifyCommitSignature(commit, metadata, { keys: selection.feed.feed.keys, checksum: bundle.to });
    },
    onProgress: ({ done }) => task.update(done),
    signal: store.signal,
  });
  task.done();
}

function describe(bundle: BundleEntry, error: unknown): FailedBundle {
  const code = error instanceof TreesError ? error.code : 'INTERNAL';
  return { file: bundle.file, code, reason: reasonOf(error) };
}
