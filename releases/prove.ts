import { copyFile, link, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { applyBundle } from '../trees/delta/index.js';
import { isErrno, reasonOf, TreesError } from '../trees/errors.js';
import { verifyCommitSignature } from '../trees/feed/commit-signature.js';
import type { PublicKey } from '../trees/feed/minisign.js';
import type { BundleEntry } from '../trees/feed/schema.js';
import { type ObjectName, Repo } from '../trees/ostree/index.js';

export interface ProveOptions {
  /** Repository that has the commits the bundle leads from; of mode bare or bare-user. */
  readonly repo: Repo;
  /** Keys, one of which has to have signed the commit in the bundle. */
  readonly keys: readonly PublicKey[];
  /** Directory for the scratch repository, best on the file system of `repo`. */
  readonly scratch: string;
  readonly signal?: AbortSignal | undefined;
}

const REF = 'proof';

function objectPath(repo: string, { type, checksum }: ObjectName): string {
  return join(repo, 'objects', checksum.slice(0, 2), `${checksum.slice(2)}.${type}`);
}

/** Gives the scratch repository a commit by linking its objects; nothing ever writes into an object. */
async function lend(from: Repo, to: Repo, commit: string): Promise<void> {
  for (const object of await from.traverseCommit(commit)) {
    const target = objectPath(to.path, object);
    await mkdir(dirname(target), { recursive: true });
    try {
      await link(objectPath(from.path, object), target);
    } catch (error) {
      if (isErrno(error, 'EEXIST')) continue;
      if (!isErrno(error, 'EXDEV', 'EMLINK', 'EPERM')) throw error;
      await copyFile(objectPath(from.path, object), target);
    }
  }
}

/**
 * Does with a bundle what a user's machine will do, in a repository that has nothing but the bundle's origin, and has
 * libostree check every object of the result.
 * @param path the bundle's file
 * @throws TreesError RELEASE_FAILED; the signal's reason when aborted
 */
export async function proveBundle(path: string, entry: BundleEntry, options: ProveOptions): Promise<void> {
  const { repo, keys, signal } = options;
  const directory = await mkdtemp(join(options.scratch, 'proof-'));
  try {
    using scratch = await Repo.create(join(directory, 'repo'), { mode: repo.mode });
    await scratch.setConfig('core', 'fsync', 'false');
    if (entry.from !== null) await lend(repo, scratch, entry.from);
    await applyBundle({
      repoPath: scratch.path,
      path,
      ref: REF,
      expect: { from: entry.from, to: entry.to, size: entry.size, sha256: entry.sha256 },
      verifyCommit: (commit, detached) => {
        verifyCommitSignature(commit, detached, { keys, checksum: entry.to });
      },
      signal,
    });
    const problems = await scratch.fsck({ signal });
    if ((await scratch.resolveRev(REF)) === entry.to && problems.length === 0) return;
    throw new Error(problems[0]?.message ?? 'it gives another commit');
  } catch (error) {
    signal?.throwIfAborted();
    const why = reasonOf(error);
    throw new TreesError('RELEASE_FAILED', `cannot publish bundle ${entry.file}: it does not apply: ${why}`, {
      hint: 'nothing was published; is the build repository sound? (ostree fsck)',
      cause: error,
      details: { file: entry.file, from: entry.from, to: entry.to },
    });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
