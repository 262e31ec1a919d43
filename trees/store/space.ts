import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isErrno, TreesError } from '../errors.js';

export interface SpaceEstimate {
  /** Bytes that the whole operation needs at its peak. */
  readonly needed: number;
  /** Bytes that this user may still write to the file system. */
  readonly free: number;
}

/** What libostree refuses to go below (`min-free-space-size`), and room for metadata and the link tree's directories. */
const RESERVE = 64_000_000;
/** Bytes that a file costs beside its content: object inode, link, directory entry. A rough upper bound. */
const PER_FILE = 512;

/**
 * What installing will need.
 * @param path somewhere on the store's file system; it need not exist yet
 */
export async function estimateSpace(
  path: string,
  plan: { readonly fetch: number; readonly write: number; readonly files: number },
): Promise<SpaceEstimate> {
  const needed = plan.fetch + plan.write + plan.files * PER_FILE + RESERVE;
  return { needed, free: await freeBytes(path) };
}

/** @throws TreesError NO_SPACE with both numbers */
export function requireSpace(path: string, { needed, free }: SpaceEstimate): void {
  if (needed <= free) return;
  throw new TreesError(
    'NO_SPACE',
    `cannot install: ${megabytes(needed)} are needed at ${path}, ${megabytes(free)} are free`,
    { hint: 'trees gc deletes what is not needed', details: { path, needed, free } },
  );
}

/** Bytes free for this user on the file system where `path` is or would be. */
export async function freeBytes(path: string): Promise<number> {
  for (let at = path; ; at = dirname(at)) {
    try {
      const info = await statfs(at);
      return info.bavail * info.bsize;
    } catch (error) {
      if (!isErrno(error, 'ENOENT') || at === dirname(at)) throw error;
    }
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
