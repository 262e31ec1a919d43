import { join, resolve } from 'node:path';
import type { Cancellable } from '../ostree/types.js';
import { runJob } from './addon.js';
import { checkInteger } from './arguments.js';
import { openBundle } from './info.js';
import type { AppliedBundle } from './types.js';

export interface ApplyPartsOptions extends Cancellable {
  repoPath: string;
  /**
   * The bundle, or a sparse file of its size that holds its tail and these parts at their places (`BundlePart.offset`,
   * `compressedSize`): nothing else is read.
   */
  path: string;
  /** Indexes into `BundleInfo.parts`. */
  parts: readonly number[];
  /** Write the commit object and its detached metadata, too, if they are missing. */
  commit?: boolean | undefined;
}

/**
 * Writes those objects of some parts of a bundle that the repository lacks, in one transaction. Every object's checksum
 * is verified, so nothing gets in that the commit does not name; whether the commit is whole afterwards is for the
 * caller to see. Sets no ref.
 * @throws TreesError `BUNDLE_CORRUPT`, `BUNDLE_UNREADABLE`, `STORE_CORRUPT` (a source is missing or damaged),
 *   `STORE_UNUSABLE`, `NO_SPACE`
 */
export async function applyParts(options: ApplyPartsOptions): Promise<AppliedBundle> {
  const { path, signal } = options;
  const repository = resolve(options.repoPath);
  const bundle = await openBundle(path, { temporary: join(repository, 'tmp'), parts: true, signal });
  for (const part of options.parts) checkInteger('part', part, 0, bundle.parts.length - 1);
  const result = await runJob(
    async (native, job) =>
      native.applyParts(job, bundle.handle, { repository, parts: options.parts, commit: options.commit === true }),
    { what: `cannot apply parts of the bundle ${path}`, ioCode: 'STORE_UNUSABLE', signal },
  );
  return { to: bundle.to, ...result };
}
