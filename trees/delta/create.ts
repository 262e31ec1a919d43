import { randomBytes } from 'node:crypto';
import { open, rename, unlink } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { reasonOf, TreesError } from '../errors.js';
import { runJob } from './addon.js';
import { checkChecksum, checkInteger } from './arguments.js';
import type { CreateBundleOptions, CreatedBundle } from './types.js';

const MAX_LEVEL = 22;
const MAX_THREADS = 1024;

/**
 * Writes the bundle that takes a repository from commit `from` (or from nothing) to commit `to`. The same inputs give
 * the same bytes. The output appears when it is complete, by renaming.
 *
 * @throws TreesError `STORE_CORRUPT` (a commit or one of its objects is missing), `STORE_UNUSABLE`, `NO_SPACE`.
 */
export async function createBundle(options: CreateBundleOptions): Promise<CreatedBundle> {
  checkChecksum('to', options.to);
  if (options.from !== undefined) checkChecksum('from', options.from);
  checkInteger('level', options.level ?? 1, 1, MAX_LEVEL);
  checkInteger('threads', options.threads ?? 1, 1, MAX_THREADS);
  const output = resolve(options.output);
  const what = `cannot create the bundle ${options.output}`;
  const temporary = `${output}.${randomBytes(6).toString('hex')}.tmp`;
  const file = await open(temporary, 'wx', 0o644).catch((error: unknown) => {
    throw new TreesError('STORE_UNUSABLE', `${what}: ${reasonOf(error)}`);
  });
  let renamed = false;
  try {
    const result = await runJob(
      async (native, job) =>
        native.create(job, {
          repository: resolve(options.repoPath),
          from: options.from,
          to: options.to,
          fd: file.fd,
          temporary: dirname(output),
          small: options.encoding === 'small',
          quick: options.quick === true,
          level: options.level ?? 0,
          threads: options.threads ?? 0,
        }),
      { what, ioCode: 'STORE_UNUSABLE', signal: options.signal, onProgress: options.onProgress },
    );
    await file.sync();
    await rename(temporary, output);
    renamed = true;
    return result;
  } finally {
    await file.close();
    if (!renamed) await unlink(temporary).catch(() => undefined);
  }
}
