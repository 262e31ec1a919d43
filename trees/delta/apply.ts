import { join, resolve } from 'node:path';
import { TreesError } from '../errors.js';
import { type NativeBundleInfo, runJob } from './addon.js';
import { checkChecksum, isRef } from './arguments.js';
import { openBundle } from './info.js';
import type { AppliedBundle, ApplyBundleOptions, ExpectedBundle } from './types.js';

/**
 * Applies a bundle, or a plain inline delta, to a `bare` or `bare-user` repository: all of it in one transaction, or
 * nothing. Every object's checksum is verified, and so is that nothing of the commit is missing afterwards.
 *
 * @throws TreesError `BUNDLE_CORRUPT` (damaged, or not what `expect` says), `BUNDLE_UNREADABLE`, `STORE_CORRUPT` (the
 *   source commit is missing or damaged), `STORE_UNUSABLE`, `NO_SPACE`; and whatever `verifyCommit` throws.
 */
export async function applyBundle(options: ApplyBundleOptions): Promise<AppliedBundle> {
  const { expect, path, signal } = options;
  if (expect !== undefined) checkExpected(expect);
  if (options.ref !== undefined && !isRef(options.ref))
    throw new TypeError(`Expected ref to be an OSTree ref, got ${JSON.stringify(options.ref)}`);
  const temporary = join(resolve(options.repoPath), 'tmp');
  const bundle = await openBundle(path, { sha256: expect?.sha256, temporary, signal });
  if (expect !== undefined) compare(bundle, expect, path);
  await options.verifyCommit?.(bundle.commitBytes, bundle.detached);
  const result = await runJob(
    async (native, job) =>
      native.apply(job, bundle.handle, {
        repository: resolve(options.repoPath),
        ref: options.ref ?? '',
        threads: options.threads ?? 0,
      }),
    {
      what: `cannot apply the bundle ${path}`,
      ioCode: 'STORE_UNUSABLE',
      signal,
      onProgress: options.onProgress,
    },
  );
  return { to: bundle.to, ...result };
}

function checkExpected(expect: ExpectedBundle): void {
  checkChecksum('expect.to', expect.to);
  if (expect.from !== null) checkChecksum('expect.from', expect.from);
  if (expect.sha256 !== undefined) checkChecksum('expect.sha256', expect.sha256);
}

function compare(bundle: NativeBundleInfo, expect: ExpectedBundle, path: string): void {
  for (const name of ['size', 'from', 'to'] as const) {
    if (bundle[name] === expect[name]) continue;
    throw new TreesError(
      'BUNDLE_CORRUPT',
      `cannot apply the bundle ${path}: its ${name} is ${bundle[name] ?? 'nothing'}, not ${expect[name] ?? 'nothing'}`,
      { hint: 'fetch the bundle again', details: { path, field: name, expected: expect[name], actual: bundle[name] } },
    );
  }
}
