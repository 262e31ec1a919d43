import { join, resolve } from 'node:path';
import { TreesError } from '../errors.js';
import { type NativeBundleInfo, runJob } from './addon.js';
import { checkChecksum, isRef } from './arguments.js';
import { openBundle } from './info.js';
import type { AppliedBundle, ApplyArrivingOptions, ApplyBundleOptions, ExpectedBundle } from './types.js';

/** More than the tail of any bundle; whoever needs more is better off with the whole file. */
const MAX_TAIL = 32 * 1024 * 1024;

/**
 * Applies a bundle, or a plain inline delta, to a `bare` or `bare-user` repository: all of it in one transaction, or
 * nothing. Every object's checksum is verified, and so is that nothing of the commit is missing afterwards. The file is
 * read once: the bytes whose digest is compared with `expect.sha256` are those that are applied.
 *
 * @throws TreesError `BUNDLE_CORRUPT` (damaged, or not what `expect` says), `BUNDLE_UNREADABLE`, `STORE_CORRUPT` (the
 *   source commit is missing or damaged), `STORE_UNUSABLE`, `NO_SPACE`, `UNSUPPORTED` (a repository of another mode);
 *   and whatever `verifyCommit` throws.
 */
export async function applyBundle(options: ApplyBundleOptions): Promise<AppliedBundle> {
  const { expect, path, signal } = options;
  if (expect !== undefined) checkExpected(expect);
  checkRef(options.ref);
  const bundle = await openBundle(path, { sha256: expect?.sha256, temporary: temporaryOf(options), signal });
  if (expect !== undefined) compare(bundle, expect, path);
  await options.verifyCommit?.(bundle.commitBytes, bundle.detached);
  return await apply(bundle, { ...options, name: path });
}

/**
 * Applies a bundle while it is being downloaded: its tail says what it is, and parts are decoded as soon as their bytes
 * are there. Nothing enters the repository before the last byte arrived and the file's SHA-256 is the expected one.
 *
 * @throws TreesError as `applyBundle`; `BUNDLE_CORRUPT` as well if the download begins again, or the tail was not that of
 *   the file; `UNSUPPORTED` if it cannot be told from its tail what the file is. Both may work out with the whole file.
 */
export async function applyArriving(options: ApplyArrivingOptions): Promise<AppliedBundle> {
  const { arrival, expect, name, signal } = options;
  checkExpected(expect);
  checkRef(options.ref);
  const bundle = await openTail(options);
  compare(bundle, expect, name);
  await options.verifyCommit?.(bundle.commitBytes, bundle.detached);
  const fd = await aborted(arrival.file, signal);
  return await apply(bundle, { ...options, fd, listen: (listener) => arrival.listen(listener) });
}

interface ApplyRun extends Omit<ApplyBundleOptions, 'expect' | 'path'> {
  readonly name: string;
  readonly fd?: number;
  readonly listen?: (listener: (bytes: number) => void) => void;
}

async function apply(bundle: NativeBundleInfo, options: ApplyRun): Promise<AppliedBundle> {
  const { name, fd, signal, onProgress, listen } = options;
  const result = await runJob(
    async (native, job) => {
      listen?.((bytes) => native.arrived(bundle.handle, bytes));
      return await native.apply(job, bundle.handle, {
        repository: resolve(options.repoPath),
        ref: options.ref ?? '',
        threads: options.threads ?? 0,
        fd,
      });
    },
    { what: `cannot apply the bundle ${name}`, ioCode: 'STORE_UNUSABLE', signal, onProgress },
  );
  return { to: bundle.to, ...result };
}

async function openTail(options: ApplyArrivingOptions): Promise<NativeBundleInfo> {
  const { expect, name, signal } = options;
  const { size, sha256 } = expect;
  const temporary = temporaryOf(options);
  for (let bytes = Math.min(size, Math.max(1, options.tail)); ; ) {
    const tail = await options.readTail(bytes);
    try {
      return await runJob(async (native, job) => await native.openTail(job, { tail, size, temporary, sha256 }), {
        what: `cannot read the end of the bundle ${name}`,
        ioCode: 'BUNDLE_UNREADABLE',
        signal,
      });
    } catch (error) {
      const needed = neededTail(error);
      if (needed === undefined) throw error;
      if (needed <= bytes || needed > Math.min(size, MAX_TAIL))
        throw new TreesError('UNSUPPORTED', `cannot tell from its end what the bundle ${name} is`, {
          hint: 'it can be applied when all of it is there',
        });
      bytes = needed;
    }
  }
}

/** Bytes of tail that the addon asks for. */
function neededTail(error: unknown): number | undefined {
  if (!(error instanceof Error) || !(error.cause instanceof Error)) return undefined;
  const { cause } = error;
  if (!('code' in cause) || cause.code !== 'TAIL_SHORT' || !('details' in cause)) return undefined;
  const { details } = cause;
  return typeof details === 'object' && details !== null && 'bytes' in details ? Number(details.bytes) : undefined;
}

async function aborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  signal?.throwIfAborted();
  if (signal === undefined) return await promise;
  let abort = (): void => undefined;
  const end = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
  });
  try {
    return await Promise.race([promise, end]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

function temporaryOf({ repoPath }: { repoPath: string }): string {
  return join(resolve(repoPath), 'tmp');
}

function checkRef(ref: string | undefined): void {
  if (ref === undefined || isRef(ref)) return;
  throw new TypeError(`Expected ref to be an OSTree ref, got ${JSON.stringify(ref)}`);
}

function checkExpected(expect: ExpectedBundle): void {
  checkChecksum('expect.to', expect.to);
  if (expect.from !== null) checkChecksum('expect.from', expect.from);
  if (expect.sha256 !== undefined) checkChecksum('expect.sha256', expect.sha256);
}

function compare(bundle: NativeBundleInfo, expect: ExpectedBundle, path: string): void {
  for (const name of ['size', 'from', 'to', 'rawSize', 'writes'] as const) {
    if (bundle[name] === expect[name] || expect[name] === undefined) continue;
    throw new TreesError(
      'BUNDLE_CORRUPT',
      `cannot apply the bundle ${path}: its ${name} is ${bundle[name] ?? 'nothing'}, not ${expect[name] ?? 'nothing'}`,
      { hint: 'fetch the bundle again', details: { path, field: name, expected: expect[name], actual: bundle[name] } },
    );
  }
}
