import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isErrno, TreesError } from '../errors.js';
import type { PathPlan } from '../feed/path.js';
import type { Selection } from '../feed/select.js';
import { type SpaceEstimate, tooFewFiles } from './space-estimate.js';

/** What libostree refuses to go below (`min-free-space-size`), and room for metadata and the link tree's directories. */
const RESERVE = 64_000_000;
/** Bytes that a file costs beside its content: object inode, link, directory entry. A rough upper bound. */
const PER_FILE = 512;

/** What fetching the bundles of a plan and checking the tree out will need on the store's file system. */
export async function spaceFor(
  root: string,
  { base, app }: Pick<Selection, 'base' | 'app'>,
  path: Pick<PathPlan, 'bytes' | 'writes' | 'edges'>,
): Promise<SpaceEstimate> {
  // A link is a file of its own to no file system but tmpfs.
  const arriving = [base.version, app].filter(({ commit }) => path.edges.some(({ to }) => to === commit));
  const objects = arriving.reduce((sum, { files }) => sum + files, 0);
  return await estimateSpace(root, {
    fetch: path.bytes,
    write: path.writes,
    files: base.version.files + app.files,
    objects,
  });
}

/**
 * What work will need.
 * @param path somewhere on the store's file system; it need not exist yet
 */
export async function estimateSpace(
  path: string,
  plan: { readonly fetch: number; readonly write: number; readonly files: number; readonly objects: number },
): Promise<SpaceEstimate> {
  const needed = plan.fetch + plan.write + plan.files * PER_FILE + RESERVE;
  const { bytes, files } = await freeSpace(path);
  return { needed, free: bytes, files: { needed: plan.objects, free: files } };
}

/**
 * @param collectible bytes that `trees gc` would free, if known
 * @throws TreesError NO_SPACE with the numbers
 */
export function requireSpace(path: string, space: SpaceEstimate, collectible?: number): void {
  const { needed, free, files } = space;
  if (needed <= free && tooFewFiles(files)) {
    throw new TreesError(
      'NO_SPACE',
      `cannot install: about ${files.needed} files will be made at ${path}, and the file system has room for ` +
        `${files.free} (free inodes)`,
      { hint: hintFor(collectible), details: { path, files, collectible } },
    );
  }
  if (needed <= free) return;
  const missing = needed - free;
  throw new TreesError(
    'NO_SPACE',
    `cannot install: ${megabytes(needed)} are needed at ${path}, ${megabytes(free)} are free, ` +
      `${megabytes(missing)} are missing`,
    { hint: hintFor(collectible), details: { path, needed, free, missing, collectible } },
  );
}

function hintFor(collectible: number | undefined): string {
  if (collectible === undefined) return 'trees gc deletes what is not needed';
  return collectible > 0
    ? `trees gc would free ${megabytes(collectible)} (trees gc --dry-run shows what)`
    : 'trees gc would free nothing; make room, or put the store elsewhere with --root';
}

/** What is free for this user on the file system where `path` is or would be: bytes, and files if they are limited. */
export async function freeSpace(path: string): Promise<{ bytes: number; files: number | undefined }> {
  for (let at = path; ; at = dirname(at)) {
    try {
      const info = await statfs(at);
      // Some (btrfs) make inodes as they need them and say that there are none.
      return { bytes: info.bavail * info.bsize, files: info.files > 0 ? info.ffree : undefined };
    } catch (error) {
      if (!isErrno(error, 'ENOENT') || at === dirname(at)) throw error;
    }
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
