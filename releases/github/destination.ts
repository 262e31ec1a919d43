import type { NetworkOptions } from '../../trees/feed/network.js';
import type { BundleEntry } from '../../trees/feed/schema.js';
import type { Reporter } from '../../trees/reporter.js';
import type { Destination } from '../destination.js';
import { type ScratchOptions, withDirectory } from '../scratch.js';
import { checkAccess } from './access.js';
import { type GithubApi, githubApi } from './api.js';
import { publisherId } from './draft.js';
import { publishedFeed } from './feed.js';
import { ASSET_LIMIT, assetsOf } from './pieces.js';
import { FIXED_FILES } from './prune.js';
import { ASSETS_PER_RELEASE, githubPublishing } from './publishing.js';
import { type Asset, listAssets, releaseByTag } from './releases.js';
import type { Pace } from './retry.js';
import { seemsWhole } from './upload.js';

export interface GithubDestinationOptions extends ScratchOptions {
  /** `<settings.root>/build`. */
  readonly build: string;
  readonly network: NetworkOptions;
  readonly reporter: Reporter;
  readonly pace?: Partial<Pace> | undefined;
  /** Bytes that one asset may have; default just under GitHub's limit. */
  readonly assetLimit?: number | undefined;
  /** Assets that one release may have; default GitHub's limit. */
  readonly assetsPerRelease?: number | undefined;
}

/** Those bundles whose assets are all there, in their full size and with their digests. */
async function presentBundles(api: GithubApi, bundles: readonly BundleEntry[]): Promise<BundleEntry[]> {
  const releases = new Map<string, ReadonlyMap<string, Asset>>();
  for (const tag of new Set(bundles.map(({ release }) => release ?? ''))) {
    const release = tag === '' ? undefined : await releaseByTag(api, tag);
    const assets = release === undefined ? [] : await listAssets(api, release.id);
    releases.set(tag, new Map(assets.map((asset) => [asset.name, asset])));
  }
  return bundles.filter((bundle) => {
    const assets = releases.get(bundle.release ?? '');
    const isThere = assetsOf(bundle).every((content) => seemsWhole(assets?.get(content.file), content));
    if (!isThere) api.reporter.warn(`${bundle.file} is no longer at ${api.url}: it has to be made again`);
    return isThere;
  });
}

/**
 * The releases of a GitHub repository: each publication is one, and `releases/latest` is what readers get.
 * @throws TreesError RELEASE_FAILED without a token
 */
export function githubDestination(
  target: { readonly owner: string; readonly repo: string; readonly href: string },
  options: GithubDestinationOptions,
): Destination {
  const { build, assetLimit = ASSET_LIMIT, assetsPerRelease = ASSETS_PER_RELEASE } = options;
  const api = githubApi(target, options);
  const afterwards = githubApi(target, { ...options, signal: undefined });
  return {
    url: target.href,
    feed: publishedFeed(api),
    fileLimit: assetsPerRelease - FIXED_FILES.size,
    present: async (bundles) => await presentBundles(api, bundles),
    async publishing(action) {
      await checkAccess(api, options.network);
      const publisher = await publisherId(build);
      // Whoever publishes holds the lock of the build directory.
      return await withDirectory(build, async (scratch) => {
        return await action(githubPublishing({ api, afterwards, publisher, scratch, assetLimit, assetsPerRelease }));
      });
    },
  };
}
