import { feedFile } from '../../trees/feed/feed.js';
import type { FeedIndex } from '../../trees/feed/schema.js';
import type { GithubApi } from './api.js';
import { claimRef } from './claim.js';
import { abandonedDrafts, isOurs, TAG, tagOf } from './draft.js';
import { assetsOf } from './pieces.js';
import { deleteAsset, deleteRef, deleteRelease, listAssets, listReleases, type Release } from './releases.js';

/** What every release has beside bundles. */
export const FIXED_FILES: ReadonlySet<string> = new Set([
  feedFile.index,
  feedFile.signature,
  feedFile.publicKey,
  feedFile.successors,
]);

/** Names of assets that indexes need, by tag. */
function namedAssets(indexes: readonly (FeedIndex | undefined)[]): Map<string, Set<string>> {
  const named = new Map<string, Set<string>>();
  for (const index of indexes) {
    for (const bundle of index?.bundles ?? []) {
      const tag = bundle.release ?? '';
      const files = named.get(tag) ?? new Set<string>();
      for (const { file } of assetsOf(bundle)) files.add(file);
      named.set(tag, files);
    }
  }
  return named;
}

async function deleteWhole(api: GithubApi, { id, tag }: Release): Promise<string> {
  // The tag last: a release without its tag would be shown as a draft.
  await deleteRelease(api, id);
  await deleteRef(api, `tags/${tag}`);
  await deleteRef(api, claimRef(Number(TAG.exec(tag)?.[1])));
  return tag;
}

async function deleteUnnamed(api: GithubApi, release: Release, named: ReadonlySet<string>): Promise<string[]> {
  const assets = await listAssets(api, release.id);
  const deleted: string[] = [];
  for (const { id, name } of assets) {
    // The index and its signature stay as a record of what was published.
    if (named.has(name) || FIXED_FILES.has(name)) continue;
    await deleteAsset(api, id);
    deleted.push(`${release.tag}/${name}`);
  }
  return deleted;
}

/**
 * Deletes releases, and assets of releases, that neither of the indexes names; drafts that were left behind; and the
 * claims of numbers long past. Only what `trees` has made is touched.
 * @returns tags of deleted releases, `tag/file` of deleted assets
 */
export async function pruneReleases(
  api: GithubApi,
  indexes: readonly [FeedIndex, FeedIndex | undefined],
  publisher: string,
): Promise<string[]> {
  const named = namedAssets(indexes);
  const [current, previous] = indexes;
  const kept = new Set([
    ...named.keys(),
    tagOf(current.sequence),
    ...(previous === undefined ? [] : [tagOf(previous.sequence)]),
  ]);
  const releases = await listReleases(api);
  const pruned: string[] = [];
  for (const draft of await abandonedDrafts(api, releases, publisher)) {
    await deleteRelease(api, draft.id);
    pruned.push(`${draft.tag} (draft)`);
  }
  const published = releases.filter((release) => !release.draft && isOurs(release));
  for (const release of published) {
    const sequence = Number(TAG.exec(release.tag)?.[1]);
    // Another publisher may have gone on already: what is newer than our index is not ours to judge.
    if (sequence >= current.sequence) continue;
    if (!kept.has(release.tag)) pruned.push(await deleteWhole(api, release));
    else if (!release.immutable)
      pruned.push(...(await deleteUnnamed(api, release, named.get(release.tag) ?? new Set())));
  }
  return pruned;
}
