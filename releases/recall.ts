import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { applyBundle } from '../trees/delta/index.js';
import { TreesError } from '../trees/errors.js';
import { verifyCommitSignature } from '../trees/feed/commit-signature.js';
import { fetchBundle } from '../trees/feed/download.js';
import type { Feed } from '../trees/feed/feed.js';
import type { PublicKey } from '../trees/feed/minisign.js';
import { planPath } from '../trees/feed/path.js';
import type { BundleEntry } from '../trees/feed/schema.js';
import type { Repo } from '../trees/ostree/index.js';
import type { Reporter } from '../trees/reporter.js';
import { createWays } from './ways.js';

export interface RecallOptions {
  readonly feed: Feed;
  readonly bundles: readonly BundleEntry[];
  /** Keys, one of which has to have signed. */
  readonly keys: readonly PublicKey[];
  /** Directory for downloads. */
  readonly scratch: string;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal | undefined;
}

/** Refs of commits that came back from a feed. Not `base/` or `layer/`: those are what was built here. */
const REF = 'published';

/** Whether a commit is in a repository, whole. */
export async function hasCommit(repo: Repo, commit: string): Promise<boolean> {
  return (await repo.hasObject('commit', commit)) && !(await repo.isCommitPartial(commit));
}

/**
 * Brings a published commit back into the build repository: a publisher that starts on an empty machine still needs
 * the versions before, to make bundles from them.
 * @returns false if nothing published leads to it
 * @throws TreesError FEED_UNREACHABLE, BUNDLE_CORRUPT, SIGNATURE_INVALID
 */
export async function recallCommit(repo: Repo, commit: string, options: RecallOptions): Promise<boolean> {
  const { feed, bundles, keys, scratch, reporter, signal } = options;
  if (await hasCommit(repo, commit)) return true;
  const leading = createWays(bundles).leadingTo(commit);
  const have = new Set<string>();
  for (const origin of new Set(leading.map(({ from }) => from))) {
    if (origin !== null && (await hasCommit(repo, origin))) have.add(origin);
  }
  const path = planPath(leading, have, commit);
  if (path === undefined) return false;
  reporter.info(`fetching back ${commit.slice(0, 12)} from ${feed.url}: ${path.reason}`);
  for (const entry of path.edges) {
    try {
      const file = await fetchBundle(feed, entry, join(scratch, 'recalled'), { signal, reporter });
      const { from, to, size, sha256 } = entry;
      await applyBundle({
        repoPath: repo.path,
        path: file,
        ref: `${REF}/${to}`,
        expect: { from, to, size, sha256 },
        verifyCommit: (bytes, detached) => {
          verifyCommitSignature(bytes, detached, { keys, checksum: to });
        },
        signal,
      });
      await rm(file, { force: true });
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof TreesError)) throw error;
      reporter.warn(`cannot fetch back ${commit.slice(0, 12)}, so no bundles will lead from it: ${error.message}`);
      return false;
    }
  }
  return true;
}
