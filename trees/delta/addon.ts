/** The native addon, typed, and how its failures and its progress reach JavaScript. */
import { type ErrorCode, TreesError } from '../errors.js';
import { loadNative } from '../native-loader.js';
import type { Checksum, Metadata, ObjectType, Variant } from '../ostree/types.js';
import type { BundleProgress, CreatedBundle } from './types.js';

const PROGRESS_INTERVAL_MS = 100;

/** Opaque: a unit of work that can be cancelled and asked how far it is. */
export interface NativeJob {
  readonly __job: never;
}

/** Opaque: an open bundle whose superblock was validated. */
export interface NativeBundle {
  readonly __bundle: never;
}

export interface NativeBundleInfo {
  readonly handle: NativeBundle;
  readonly from: Checksum | null;
  readonly to: Checksum;
  readonly compressed: boolean;
  readonly encoding: string;
  readonly size: number;
  readonly rawSize: number;
  readonly writes: number;
  readonly objects: number;
  readonly commitBytes: Uint8Array;
  readonly detached: Metadata | undefined;
  /** `(a{sv}aya(say)sstayay)` */
  readonly commit: readonly [Metadata, Uint8Array, unknown, string, string, bigint, Uint8Array, Uint8Array];
  /** Empty unless asked for. */
  readonly parts: ReadonlyArray<{
    readonly offset: number;
    readonly compressedSize: number;
    readonly rawSize: number;
    readonly writes: number;
    readonly objects: ReadonlyArray<{ readonly type: ObjectType; readonly checksum: Checksum }>;
  }>;
}

interface NativeDelta {
  newJob(): NativeJob;
  cancelJob(job: NativeJob): void;
  jobProgress(job: NativeJob): [done: number, total: number];
  create(
    job: NativeJob,
    options: {
      repository: string;
      from: Checksum | undefined;
      to: Checksum;
      fd: number;
      temporary: string;
      small: boolean;
      quick: boolean;
      level: number;
      threads: number;
    },
  ): Promise<CreatedBundle>;
  open(
    job: NativeJob,
    options: { path: string; temporary: string; sha256: Checksum | undefined; parts: boolean },
  ): Promise<NativeBundleInfo>;
  /** A bundle that is still arriving, from its last bytes. Fails with the code TAIL_SHORT. */
  openTail(
    job: NativeJob,
    options: { tail: Uint8Array; size: number; temporary: string; sha256: Checksum },
  ): Promise<NativeBundleInfo>;
  /** The first `bytes` bytes of an arriving bundle are there. */
  arrived(bundle: NativeBundle, bytes: number): void;
  apply(
    job: NativeJob,
    bundle: NativeBundle,
    options: { repository: string; ref: string; threads: number; fd: number | undefined },
  ): Promise<{ objectsWritten: number; bytesWritten: number }>;
  applyParts(
    job: NativeJob,
    bundle: NativeBundle,
    options: { repository: string; parts: readonly number[]; commit: boolean },
  ): Promise<{ objectsWritten: number; bytesWritten: number }>;
}

export type { Variant };

/** The addon; loaded on first use. */
export function nativeDelta(): NativeDelta {
  return loadNative<NativeDelta>('delta');
}

export interface JobOptions {
  /** What is being done, for the error message: `cannot create the bundle x.zst`. */
  what: string;
  /** Code for failed system calls, which mean different things in different work. */
  ioCode: ErrorCode;
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: BundleProgress) => void) | undefined;
}

/**
 * Runs native work.
 *
 * @throws the signal's reason when aborted; TreesError for failures that the addon names.
 */
export async function runJob<T>(
  work: (native: NativeDelta, job: NativeJob) => Promise<T>,
  options: JobOptions,
): Promise<T> {
  options.signal?.throwIfAborted();
  const native = nativeDelta();
  const job = native.newJob();
  const cancel = (): void => native.cancelJob(job);
  options.signal?.addEventListener('abort', cancel, { once: true });
  const { onProgress } = options;
  const report = (): void => {
    const [done, total] = native.jobProgress(job);
    onProgress?.({ done, total });
  };
  const timer = onProgress === undefined ? undefined : setInterval(report, PROGRESS_INTERVAL_MS);
  try {
    const result = await work(native, job);
    report();
    return result;
  } catch (error) {
    if (options.signal?.aborted === true) throw options.signal.reason;
    throw translate(error, options);
  } finally {
    clearInterval(timer);
    options.signal?.removeEventListener('abort', cancel);
  }
}

const EXPECTED: ReadonlySet<string> = new Set<ErrorCode>([
  'BUNDLE_CORRUPT',
  'CANCELLED',
  'NO_SPACE',
  'STORE_CORRUPT',
  'STORE_UNUSABLE',
  'UNSUPPORTED',
]);

const HINTS: Partial<Record<ErrorCode, string>> = {
  BUNDLE_CORRUPT: 'fetch the bundle again',
  NO_SPACE: 'free some space, then run the same command again',
};

function translate(error: unknown, options: JobOptions): unknown {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return error;
  const code = errorCode(error.code, options.ioCode);
  if (code === undefined) return new Error(`${options.what}: ${error.message}`, { cause: error });
  const hint = HINTS[code];
  const details = 'details' in error && isFacts(error.details) ? error.details : {};
  return new TreesError(code, `${options.what}: ${error.message}`, {
    details,
    ...(hint === undefined ? {} : { hint }),
  });
}

function errorCode(native: string, ioCode: ErrorCode): ErrorCode | undefined {
  if (native === 'IO') return ioCode;
  return isExpected(native) ? native : undefined;
}

function isExpected(code: string): code is ErrorCode {
  return EXPECTED.has(code);
}

function isFacts(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
