/** Stable, documented error codes. Scripts match on these: never rename one, only add. */
export type ErrorCode =
  | 'APP_NOT_FOUND'
  | 'APP_NOT_INSTALLED'
  | 'ALREADY_INSTALLED'
  | 'BASE_NOT_FOUND'
  | 'BASE_RANGE_UNSATISFIED'
  | 'BUILD_FAILED'
  | 'BUNDLE_CORRUPT'
  | 'BUNDLE_UNREADABLE'
  | 'CANCELLED'
  | 'COMMAND_NOT_EXECUTABLE'
  | 'COMMAND_NOT_FOUND'
  | 'CONFIG_INVALID'
  | 'CONTROL_FAILED'
  | 'DEFINITION_INVALID'
  | 'DEFINITION_NOT_FOUND'
  | 'FEED_EXISTS'
  | 'FEED_NOT_FOUND'
  | 'FEED_UNREACHABLE'
  | 'FEED_UNTRUSTED'
  | 'INDEX_EXPIRED'
  | 'INDEX_INVALID'
  | 'INDEX_REPLAYED'
  | 'INSTANCE_NOT_FOUND'
  | 'INSTANCE_NOT_RUNNING'
  | 'INSTANCE_RUNNING'
  | 'INTERNAL'
  | 'IN_USE'
  | 'KEY_INVALID'
  | 'LAUNCH_FAILED'
  | 'LAYER_INVALID'
  | 'LIMIT_REFUSED'
  | 'LOCKED'
  | 'NATIVE_MISSING'
  | 'NOT_CONFIRMED'
  | 'NO_SPACE'
  | 'OSTREE_FAILED'
  | 'PATH_CONFLICT'
  | 'RELEASE_FAILED'
  | 'SIGNATURE_INVALID'
  | 'STORE_CORRUPT'
  | 'STORE_UNUSABLE'
  | 'SYSTEM_ERROR'
  | 'TOOL_MISSING'
  | 'UNHEALTHY'
  | 'UNSUPPORTED'
  | 'USAGE'
  | 'VERSION_NOT_FOUND'
  | 'WAIT_FAILED';

/** Exit status 2: the command line itself was wrong. */
export const USAGE_STATUS = 2;

export interface TreesErrorOptions {
  /** What the user can do about it, one sentence, no trailing period needed. */
  hint?: string;
  cause?: unknown;
  /** Process exit status when this ends a command; 2 for `USAGE`, else 1. */
  status?: number;
  /** Machine-readable facts for `--json`: paths, names, versions. */
  details?: Readonly<Record<string, unknown>>;
}

/**
 * An expected failure: something the user or the environment can put right. Programmer errors stay plain `Error`s.
 * The message reads "what failed: why", and names the path, app or value it is about.
 */
export class TreesError extends Error {
  override readonly name = 'TreesError';
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly status: number;
  readonly details: Readonly<Record<string, unknown>> | undefined;

  constructor(code: ErrorCode, message: string, options: TreesErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
    this.status = options.status ?? (code === 'USAGE' ? USAGE_STATUS : 1);
    this.details = options.details;
  }
}

/** The command line was wrong: exit status 2. */
export function usageError(message: string, hint?: string): TreesError {
  return new TreesError('USAGE', message, hint === undefined ? {} : { hint });
}

/** True for a Node system error with the given `code` (`'ENOENT'`, `'EEXIST'`, …). */
export function isErrno(error: unknown, ...codes: string[]): error is NodeJS.ErrnoException {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && codes.includes(error.code);
}

/** Why it failed, for a message of ours: `no such file or directory` of Node's `ENOENT: no such file or directory, open '/x'`. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (!('syscall' in error)) return error.message;
  return error.message.replace(/^[A-Z0-9]+: /, '').replace(/, \w+( '.*)?$/, '');
}

/** For the default branch of an exhaustive switch. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`);
}
