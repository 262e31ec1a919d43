import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { TreesError } from '../../trees/errors.js';
import { fetchBundle } from '../../trees/feed/download.js';
import type { BundleEntry } from '../../trees/feed/schema.js';
import type { Delivered, Publishing } from '../destination.js';
import { inTurn } from '../side-by-side.js';
import type { GithubApi } from './api.js';
import { currentRelease, isOurs, openDraft, ownDrafts, sequenceOf, tagOf } from './draft.js';
import { assetsFeed } from './feed.js';
import { cutToSize } from './pieces.js';
import { FIXED_FILES, pruneReleases } from './prune.js';
import {
  type Asset,
  deleteAsset,
  deleteRelease,
  latestRelease,
  listAssets,
  listReleases,
  type Release,
} from './releases.js';
import { switchRelease } from './switch.js';
import { ensureAsset, type Upload } from './upload.js';

export interface GithubPublishingOptions {
  readonly api: GithubApi;
  /** As `api`, but goes on after the work was interrupted. */
  readonly afterwards: GithubApi;
  readonly publisher: string;
  readonly scratch: string;
  /** Bytes that one asset may have. */
  readonly assetLimit: number;
  readonly assetsPerRelease: number;
}

/** GitHub's limit for one release. */
export const ASSETS_PER_RELEASE = 1000;

interface Draft {
  readonly release: Release;
  readonly assets: Map<string, Asset>;
}

/** Looks at what is latest until it is the feed. */
const LOOKS = 3;

/**
 * Readers without an API get the latest release; somebody may have published another one by hand since. A publisher that
 * is just switching must not be set back: what it publishes meanwhile is found by looking again.
 */
async function restoreLatest(api: GithubApi): Promise<void> {
  const { owner, repo, url } = api;
  for (let look = 1; look <= LOOKS; look += 1) {
    const current = await currentRelease(api);
    const latest = await latestRelease(api);
    if (current === undefined || latest?.id === current.id) return;
    if (latest !== undefined && isOurs(latest) && sequenceOf(latest) > sequenceOf(current)) return;
    api.reporter.warn(`${current.tag} was not the latest release of ${url}, so that readers could not find the feed`);
    await api.call(
      'make the feed the latest release',
      async ({ rest }) => await rest.repos.updateRelease({ owner, repo, release_id: current.id, make_latest: 'true' }),
      { changes: true },
    );
  }
}

export function githubPublishing(options: GithubPublishingOptions): Publishing {
  const { api, publisher, scratch, assetLimit, assetsPerRelease } = options;
  let draft: Draft | undefined;
  // GitHub wants requests that change something one after the other.
  const oneByOne = inTurn();

  const opened = async (): Promise<Draft> => {
    if (draft === undefined) {
      const release = await openDraft(api, publisher);
      const assets = await listAssets(api, release.id);
      draft = { release, assets: new Map(assets.map((asset) => [asset.name, asset])) };
    }
    return draft;
  };

  const upload = async (uploads: readonly Upload[]): Promise<Draft> => {
    const { release, assets } = await opened();
    const others = [...assets.keys()].filter((name) => !uploads.some((one) => one.name === name));
    if (others.length + uploads.length + FIXED_FILES.size > assetsPerRelease) {
      throw new TreesError('RELEASE_FAILED', `cannot release more than ${assetsPerRelease} assets at once`, {
        hint: 'release some of the apps first: trees release NAME…',
      });
    }
    for (const one of uploads) await ensureAsset(api, release, one, assets);
    return { release, assets };
  };

  const fetchBack = async (entry: BundleEntry, { assets }: Draft): Promise<string> => {
    const feed = assetsFeed(api, async () => await Promise.resolve(assets));
    const { signal, reporter } = api;
    return await fetchBundle(feed, entry, join(scratch, 'delivered'), { signal, reporter });
  };

  const deliver = async (made: BundleEntry, path: string): Promise<Delivered> => {
    const { entry, uploads } = await cutToSize(made, path, assetLimit);
    for (let attempt = 1; ; attempt += 1) {
      const at = await oneByOne(async () => await upload(uploads));
      try {
        return { entry, path: await fetchBack(entry, at) };
      } catch (error) {
        // Where the server gives no digests, an asset of an earlier run can turn out to have other bytes.
        if (!(error instanceof TreesError) || error.code !== 'BUNDLE_CORRUPT' || attempt > 1) throw error;
        for (const { name } of uploads) {
          const asset = at.assets.get(name);
          if (asset !== undefined) await deleteAsset(api, asset.id);
          at.assets.delete(name);
        }
      }
    }
  };

  return {
    scratch,
    recover: async () => await restoreLatest(api),
    deliver,
    place: (entry, sequence) => ({ ...entry, release: tagOf(sequence) }),
    async publish(signed) {
      const { release } = await opened();
      const published = await switchRelease(signed, { ...options, release });
      if (published) await rm(join(scratch, 'delivered'), { recursive: true, force: true });
      return published;
    },
    async abandon() {
      // One of an interrupted run as well: another publisher has been faster.
      for (const { id } of ownDrafts(await listReleases(api), publisher)) await deleteRelease(api, id);
      draft = undefined;
    },
    prune: async (index, previous) => await pruneReleases(api, [index, previous], publisher),
  };
}
