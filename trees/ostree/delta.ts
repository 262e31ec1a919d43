/** Static deltas in libostree's own formats. */
import {
  checkChecksum,
  checkInteger,
  checkOptionalBoolean,
  checkOptionalChecksum,
  checkOptions,
  checkPath,
  checkSignal,
} from './arguments.js';
import { loadBinding } from './binding.js';
import { checkTimeout, type RepoState, shared } from './repo-state.js';
import { joinTransaction } from './transaction.js';
import type { ApplyDeltaOptions, DeltaInfo, GenerateDeltaOptions } from './types.js';
import { toNativeMetadata } from './variant.js';

const MAX_MEGABYTES = 4096;
const KEYS = [
  'signal',
  'from',
  'to',
  'inlineParts',
  'minFallbackSize',
  'maxBsdiffSize',
  'maxChunkSize',
  'disableBsdiff',
  'metadata',
  'filename',
];

export async function generateDelta(repo: RepoState, options: GenerateDeltaOptions): Promise<void> {
  const checked = checkOptions(options, 'options', KEYS);
  const native = {
    from: checkOptionalChecksum(checked.from, 'options.from'),
    to: checkChecksum(checked.to, 'options.to'),
    inlineParts: checkOptionalBoolean(checked.inlineParts, 'options.inlineParts'),
    minFallbackSize: checkMegabytes(checked.minFallbackSize, 'options.minFallbackSize'),
    maxBsdiffSize: checkMegabytes(checked.maxBsdiffSize, 'options.maxBsdiffSize'),
    maxChunkSize: checkMegabytes(checked.maxChunkSize, 'options.maxChunkSize'),
    disableBsdiff: checkOptionalBoolean(checked.disableBsdiff, 'options.disableBsdiff'),
    metadata: toNativeMetadata(checked.metadata ?? {}, 'options.metadata'),
    filename: checked.filename === undefined ? undefined : checkPath(checked.filename, 'options.filename'),
  };
  await shared(repo, checkSignal(checked.signal, 'options.signal'), (handle, token) =>
    repo.native.generateDelta(handle, native, token),
  );
}

function checkMegabytes(value: unknown, name: string): number {
  return value === undefined ? -1 : checkInteger(value, name, 0, MAX_MEGABYTES);
}

export async function applyDelta(repo: RepoState, path: string, options?: ApplyDeltaOptions): Promise<void> {
  const file = checkPath(path, 'path');
  const { signal, skipValidation, lockTimeout } = checkOptions(options, 'options', [
    'signal',
    'skipValidation',
    'lockTimeout',
  ]);
  const skip = checkOptionalBoolean(skipValidation, 'options.skipValidation');
  const timeout = checkTimeout(lockTimeout, 'options.lockTimeout');
  await joinTransaction(repo, checkSignal(signal, 'options.signal'), (own, handle, token) =>
    repo.native.applyDelta(handle, file, skip, own, timeout, token),
  );
}

/**
 * Reads the superblock of a delta: a file (inline, or a superblock with parts beside it), or a directory that holds
 * one called `superblock`. Signed deltas are unwrapped, the signature is not verified. Nothing is decompressed.
 *
 * @throws OstreeError `invalidData` when it is not a static delta or it is truncated.
 */
export async function deltaInfo(path: string): Promise<DeltaInfo> {
  return loadBinding().deltaInfo(checkPath(path, 'path'));
}
