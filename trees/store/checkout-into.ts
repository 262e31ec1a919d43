import { constants, fchmodSync, mkdirSync, realpathSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { isErrno, TreesError, usageError } from '../errors.js';
import type { Checksum } from '../ostree/types.js';
import type { Reporter } from '../reporter.js';
import { runNative } from './addon.js';
import { checkoutThreads } from './checkout.js';
import { lstatOrUndefined, removeTree } from './files.js';

export interface IntoOptions {
  /** Replace what is in the way (never a directory). */
  readonly force: boolean;
  /** Copy files instead of linking them: blocks are shared where the file system can. */
  readonly copy: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly reporter?: Reporter | undefined;
}

/** What is checked out. */
export interface IntoSource {
  /** Root of the store: nothing is checked out into it. */
  readonly store: string;
  /** Its repository. */
  readonly repo: string;
  /** The repository is bare-user: files get no owner and no extended attributes. */
  readonly user: boolean;
  /** The caller keeps it from being removed. */
  readonly commit: Checksum;
}

export interface IntoResult {
  /** Files and symlinks that were put there. */
  readonly placed: number;
  /** Files and symlinks that were there already as they should be. */
  readonly same: number;
  /** Of those that should have been linked, files that were copied because there can be no more links to them. */
  readonly copied: number;
  /** Paths (relative) of other files that were in the way and were kept. */
  readonly kept: readonly string[];
}

/**
 * Adds a tree to a directory, which is created if need be. What is in it stays: directories are merged, files in
 * the way are kept (or replaced with `force`). Directories are entered by descriptor and without following symlinks,
 * so nothing outside of `target` is ever written, whatever an earlier checkout or somebody else has put there.
 * @throws TreesError PATH_CONFLICT, LAYER_INVALID, UNSUPPORTED if it is on another file system and `copy` is not set
 */
export async function checkoutInto(source: IntoSource, target: string, options: IntoOptions): Promise<IntoResult> {
  requireTarget(source, target, options.copy);
  const made = mkdirSync(target, { recursive: true });
  const fresh = made !== undefined;
  await using directory = await open(target, constants.O_RDONLY | constants.O_DIRECTORY);
  // The root's own mode comes last, when all is there.
  if (fresh) fchmodSync(directory.fd, 0o700);
  try {
    const { repo, user, commit } = source;
    const { force, copy, signal, reporter } = options;
    const { placed, same, broken, kept } = await runNative(
      async (native, job) =>
        await native.checkout(job, {
          repositories: [repo],
          commit,
          user,
          directory: directory.fd,
          fresh,
          merge: true,
          force,
          copy,
          threads: checkoutThreads(),
        }),
      {
        what: `cannot check out to ${target}`,
        ioCode: 'SYSTEM_ERROR',
        progress: reporter === undefined ? undefined : { reporter, title: 'checking out' },
        signal,
      },
    );
    return { placed, same, copied: broken, kept };
  } catch (error) {
    // Bind mounts and subvolumes: the same device to stat(2), another one to link(2).
    if (error instanceof TreesError && error.details?.['reason'] === 'EXDEV') throw otherFileSystem(source, target);
    // What is refused for what it holds was never to be there. (Into a directory that was there, all is looked at first.)
    if (error instanceof TreesError && error.code === 'LAYER_INVALID' && made !== undefined) await removeTree(made);
    throw error;
  }
}

/**
 * Looks, before anything is changed, whether a tree can be checked out into a directory.
 * @throws TreesError USAGE (it is in the store), PATH_CONFLICT, UNSUPPORTED (other file system and not `copy`)
 */
export function requireTarget(source: Pick<IntoSource, 'store' | 'repo'>, target: string, copy: boolean): void {
  const ancestor = nearestExisting(target);
  // A link that leads nowhere is in the way, too.
  if (statSync(ancestor, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new TreesError('PATH_CONFLICT', `cannot make the directory ${target}: ${ancestor} is not a directory`, {
      hint: 'choose another path, or move what is there out of the way',
      details: { path: ancestor },
    });
  }
  const fromStore = relative(realpathSync(source.store), realpathSync(ancestor));
  if (fromStore !== '..' && !fromStore.startsWith(`..${sep}`)) {
    throw usageError(
      `Expected the target to be outside of the store, got ${target}`,
      `choose a directory that is not below ${source.store}`,
    );
  }
  if (!copy && statSync(ancestor).dev !== statSync(join(source.repo, 'objects')).dev) {
    throw otherFileSystem(source, target);
  }
}

/** Also of a path below a file, which nothing can be. */
function nearestExisting(path: string): string {
  for (let at = path; ; at = dirname(at)) {
    try {
      if (lstatOrUndefined(at) !== undefined) return at;
    } catch (error) {
      if (!isErrno(error, 'ENOTDIR')) throw error;
    }
  }
}

function otherFileSystem({ store }: Pick<IntoSource, 'store'>, target: string): TreesError {
  return new TreesError(
    'UNSUPPORTED',
    `cannot link into ${target}: it is on another file system than the store ${store}`,
    { hint: 'choose a target on the same file system, or copy the files with --copy', details: { path: target } },
  );
}
