/** The native addon, typed, and how its failures and its progress reach JavaScript. */
import { type ErrorCode, TreesError } from '../errors.js';
import { loadNative } from '../native-loader.js';
import type { Checksum } from '../ostree/types.js';
import type { Reporter, Task } from '../reporter.js';

const PROGRESS_INTERVAL_MS = 100;

/** Opaque: a unit of work that can be cancelled and asked how far it is. */
interface NativeJob {
  readonly __job: never;
}

export interface NativeCheckout {
  /** The repository and the parents in which it looks for objects it lacks. */
  readonly repositories: readonly string[];
  readonly commit: Checksum;
  /** The repository is bare-user. */
  readonly user: boolean;
  /** Descriptor of the directory that the root's entries go to. */
  readonly directory: number;
  /** The directory is new: it gets owner, mode and attributes of the root. */
  readonly fresh: boolean;
  /** Others may have something in the directory, which stays. */
  readonly merge: boolean;
  readonly force: boolean;
  readonly copy: boolean;
  readonly threads: number;
}

export interface NativeCheckoutResult {
  readonly files: number;
  readonly size: number;
  readonly placed: number;
  readonly same: number;
  readonly broken: number;
  readonly kept: readonly string[];
}

interface NativeStore {
  newJob(): NativeJob;
  cancelJob(job: NativeJob): void;
  jobProgress(job: NativeJob): [done: number, total: number];
  checkout(job: NativeJob, options: NativeCheckout): Promise<NativeCheckoutResult>;
  compose(
    job: NativeJob,
    options: { repositories: readonly string[]; base: Checksum; layers: readonly Checksum[] },
  ): Promise<{ rootTree: Checksum; rootMeta: Checksum; directories: Uint8Array[] }>;
}

export interface JobOptions {
  /** What is being done, for messages: `cannot compose the tree`. */
  readonly what: string;
  /** Code for failed system calls, which mean different things in different work. */
  readonly ioCode: ErrorCode;
  /** Told how far the work is, as a task of this title, if it takes long enough to be seen. */
  readonly progress?: { readonly reporter: Reporter; readonly title: string } | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs native work.
 * @throws TreesError CANCELLED, LAYER_INVALID, NO_SPACE, PATH_CONFLICT, STORE_CORRUPT, STORE_UNUSABLE or `ioCode`, with
 *   the path it is about in `details.path`
 */
export async function runNative<T>(
  work: (native: NativeStore, job: NativeJob) => Promise<T>,
  options: JobOptions,
): Promise<T> {
  const { progress, signal } = options;
  if (signal?.aborted === true) throw translate({ code: 'CANCELLED', message: 'cancelled' }, options);
  const native = loadNative<NativeStore>('store');
  const job = native.newJob();
  const cancel = (): void => native.cancelJob(job);
  signal?.addEventListener('abort', cancel, { once: true });
  let task: Task | undefined;
  const report = (): void => {
    const [done, total] = native.jobProgress(job);
    // Known once everything has been looked at.
    if (total > 0) task ??= progress?.reporter.task(progress.title, { total });
    task?.update(done);
  };
  const timer = progress === undefined ? undefined : setInterval(report, PROGRESS_INTERVAL_MS);
  try {
    return await work(native, job);
  } catch (error) {
    throw translate(error, options);
  } finally {
    clearInterval(timer);
    task?.[Symbol.dispose]();
    signal?.removeEventListener('abort', cancel);
  }
}

const HINTS = {
  CANCELLED: undefined,
  LAYER_INVALID: 'it was built wrongly or with bad intent; tell its publisher',
  NO_SPACE: 'free some space, then run the same command again',
  PATH_CONFLICT: 'choose another target, move it out of the way, or replace files with --force',
  STORE_CORRUPT: 'trees fsck --repair fetches what is damaged again',
  STORE_UNUSABLE: undefined,
} as const satisfies Partial<Record<ErrorCode, string | undefined>>;

function translate(error: unknown, { what, ioCode }: JobOptions): unknown {
  if (!isFailure(error)) return error;
  const message = `${what}: ${error.message}`;
  const options = { cause: error, details: error.details ?? {} };
  if (error.code === 'IO') return new TreesError(ioCode, message, options);
  if (!isExpected(error.code)) return new Error(message, options);
  const hint = error.details?.['reason'] === 'EXDEV' ? ON_ONE : HINTS[error.code];
  return new TreesError(error.code, message, hint === undefined ? options : { ...options, hint });
}

const ON_ONE = 'hard links need both on one file system';

interface NativeFailure {
  readonly code: string;
  readonly message: string;
  readonly details?: Readonly<Record<string, string>>;
}

function isFailure(error: unknown): error is NativeFailure {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string';
}

function isExpected(code: string): code is keyof typeof HINTS {
  return Object.hasOwn(HINTS, code);
}
