import { randomBytes } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { applyBundle, type BundleInfo, bundleInfo } from '../delta/index.js';
import { isErrno, TreesError } from '../errors.js';
import { fetchLegacy } from '../feed/legacy.js';
import type { LegacyOffer } from '../feed/legacy-listing.js';
import type { LegacyReference } from '../feed/legacy-url.js';
import type { NetworkOptions } from '../feed/network.js';
import type { Selection } from '../feed/select.js';
import { rootTreeOf } from '../ostree/commit-facts.js';
import type { Fetched } from './fetch-commits.js';
import { planBundles } from './install-plan.js';
import { refName } from './metadata.js';
import { type Store, throwIfCancelled } from './store.js';
import { unpackDelta } from './unpack-delta.js';
import { whileArriving, wholeCommits } from './whole.js';

/**
 * Fetches the tar of a release of the original project and hands it over while it is there.
 * @param use gets the tar's path and the checksum of the tree that it has to give
 * @throws TreesError FEED_UNREACHABLE, BUNDLE_CORRUPT, NO_SPACE
 */
export async function withLegacyTar<T>(
  store: Store,
  { reference, as, network }: { reference: LegacyReference; as: 'app' | 'base'; network: NetworkOptions },
  use: (path: string, rootTree: string) => Promise<T>,
): Promise<T> {
  const { downloads } = store.paths;
  await mkdir(downloads, { recursive: true, mode: 0o700 });
  // Called as gc expects: what a kill leaves is deleted there.
  const path = join(downloads, `tar-${randomBytes(6).toString('hex')}.tar`);
  try {
    return await use(path, await fetch());
  } finally {
    await rm(path, { force: true });
  }

  async function fetch(): Promise<string> {
    using _store = await store.lockStore('shared');
    try {
      return await fetchLegacy(reference, path, { as, network, reporter: store.reporter, signal: store.signal });
    } catch (error) {
      const full = isErrno(error, 'ENOSPC', 'EDQUOT');
      if (!full && !isErrno(Reflect.get(Object(error), 'cause'), 'ENOSPC', 'EDQUOT')) throw error;
      throw new TreesError('NO_SPACE', `cannot download ${reference.url}: no space left in ${downloads}`, {
        hint: '`trees gc` deletes what no installed app needs',
        cause: error,
      });
    }
  }
}

/**
 * Brings what a feed without signatures offers into the store: the app, and before it the base that it is fetched as a
 * difference from. That the user does without signatures was settled when the feed was added; what comes has to be the
 * tree that `NAME.sum` names. The caller holds the store's shared lock.
 * @throws TreesError BUNDLE_CORRUPT, FEED_UNREACHABLE, NO_SPACE, VERSION_NOT_FOUND if the base is nowhere
 */
export async function fetchLegacyCommits(
  store: Store,
  selection: Selection,
  network: NetworkOptions = {},
): Promise<Fetched> {
  const bundles: string[] = [];
  let bytes = 0;
  for (;;) {
    throwIfCancelled(store.signal, 'the installation');
    const [edge] = planBundles(selection, await wholeCommits(store.repo)).edges;
    if (edge === undefined) return { bytes, bundles, fallback: [] };
    const offer = selection.feed.legacy?.get(edge.to);
    if (offer === undefined) throw new Error(`nobody offers ${edge.to}`);
    const { as, reference } = offer;
    await withLegacyTar(store, { reference, as, network }, async (path, rootTree) => {
      await using unpacked = await unpackDelta(path, store.paths.downloads);
      const info = await bundleInfo(unpacked.path, { signal: store.signal });
      checkDelta(info, offer, rootTree);
      await apply(store, unpacked.path, info, offer);
    });
    bundles.push(edge.file);
    bytes += edge.size;
  }
}

/** What came has to be what was seen when the feed was looked at. */
function checkDelta(info: BundleInfo, { entry, reference }: LegacyOffer, rootTree: string): void {
  const found = { tree: rootTreeOf(info.commitBytes), to: info.to, from: info.from };
  const expected = { tree: entry.sum, to: entry.to, from: entry.from };
  if (JSON.stringify(found) === JSON.stringify(expected) && rootTree === entry.sum) return;
  throw new TreesError('BUNDLE_CORRUPT', `cannot install ${reference.url}: it is not what its release had just now`, {
    hint: 'it may just be being replaced: try again',
    details: { expected, found, sum: rootTree },
  });
}

async function apply(store: Store, path: string, info: BundleInfo, { as, reference, ...offer }: LegacyOffer) {
  const { version, arch } = offer;
  const ref =
    as === 'base' ? refName.base(reference.name, arch, version) : refName.layer(reference.name, arch, version);
  using task = store.reporter.task(`apply ${reference.name}.tar`, { total: info.writes, unit: 'bytes' });
  await whileArriving(
    store.repo,
    info.to,
    async () =>
      await applyBundle({
        repoPath: store.paths.repo,
        path,
        expect: { size: info.size, from: info.from, to: info.to },
        ref,
        onProgress: ({ done }) => task.update(done),
        signal: store.signal,
      }),
  );
  task.done();
}
