import { type ErrorCode, isErrno, reasonOf, TreesError } from '../errors.js';

/** An error as it is shown: text on stderr, and one document with `--json`. */
export interface ErrorReport {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string | undefined;
  readonly status: number;
  readonly details: Readonly<Record<string, unknown>> | undefined;
  /** For bugs: where it happened. */
  readonly stack: string | undefined;
}

const INTERRUPTED_STATUS = 130;

/** Turns anything thrown into a report. Only bugs keep their stack. */
export function reportError(error: unknown): ErrorReport {
  if (error instanceof TreesError) {
    const { code, message, hint, status, details } = error;
    const shown = hint ?? (isDiskFailure(message) ? DISK_FAILS : undefined);
    return { code, message: printable(message), hint: shown && printable(shown), status, details, stack: undefined };
  }
  if (error instanceof Error && error.name === 'AbortError') {
    return plain('CANCELLED', 'interrupted: nothing was left half done', undefined, INTERRUPTED_STATUS);
  }
  if (error instanceof Error && error.name === 'OstreeError') {
    // libostree's own reserve, or the file system's end.
    if (isOstreeCode(error, NO_SPACE) || error.message.includes('min-free-space')) {
      return plain(
        'NO_SPACE',
        error.message,
        'free some space (trees config shows where the store is), then run it again',
      );
    }
    if (isOstreeCode(error, READ_ONLY)) {
      return plain('STORE_UNUSABLE', error.message, 'make that file system writable, or choose another --root');
    }
    if (isDiskFailure(error.message)) {
      // libostree often says no more than strerror(3) does.
      return plain('STORE_UNUSABLE', `cannot read or write the store: ${error.message}`, DISK_FAILS);
    }
    return plain(
      'OSTREE_FAILED',
      error.message,
      'trees fsck shows what is damaged in the store, trees fsck --repair puts it right',
    );
  }
  if (isErrno(error, 'ENOSPC', 'EDQUOT')) {
    const where = error.path === undefined ? '(trees config shows where the store is)' : 'there';
    return plain('NO_SPACE', systemMessage(error), `free some space ${where}, then run the command again`);
  }
  if (isErrno(error, 'EROFS')) {
    return plain('SYSTEM_ERROR', systemMessage(error), 'make that file system writable, or choose another --root');
  }
  if (isErrno(error, 'EACCES', 'EPERM')) {
    return plain('SYSTEM_ERROR', systemMessage(error), 'run it as the owner of that path, or choose another --root');
  }
  if (isErrno(error, 'EEXIST') && error.syscall === 'mkdir') {
    const message = `cannot make the directory ${error.path ?? ''}: something else is in its place`;
    return plain('SYSTEM_ERROR', message, 'choose another path, or move what is there out of the way');
  }
  if (isErrno(error, 'EIO')) return plain('SYSTEM_ERROR', systemMessage(error), DISK_FAILS);
  if (hasErrnoCode(error)) return plain('SYSTEM_ERROR', systemMessage(error), undefined);
  const message = error instanceof Error ? error.message : String(error);
  const stack = error instanceof Error ? error.stack : undefined;
  return { ...plain('INTERNAL', `internal error: ${message}`, 'this is a bug in trees: please report it'), stack };
}

const DISK_FAILS = 'the disk may be failing: see what dmesg says of it, then look for damage with trees fsck';

/** Whether it is about EIO, by the words of strerror(3) and of libuv. */
function isDiskFailure(message: string): boolean {
  return /input\/output error|\bi\/o error/i.test(message);
}

/** Values of GLib's `GIOErrorEnum`; the binding, which names them, is not loaded for this. */
const NO_SPACE = 12;
const READ_ONLY = 21;

function isOstreeCode(error: Error, code: number): boolean {
  return 'domain' in error && error.domain === 'g-io-error-quark' && 'code' in error && error.code === code;
}

function plain(code: ErrorCode, message: string, hint: string | undefined, status = 1): ErrorReport {
  return { code, message: printable(message), hint, status, details: undefined, stack: undefined };
}

function hasErrnoCode(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error && 'code' in error;
}

/** What the system calls do whose names are no words. */
const IN_WORDS: Readonly<Record<string, string | undefined>> = {
  lstat: 'look at',
  mkdir: 'make the directory',
  opendir: 'list',
  rmdir: 'remove the directory',
  scandir: 'list',
  stat: 'look at',
  unlink: 'delete',
};

function systemMessage(error: NodeJS.ErrnoException): string {
  const at = error.path === undefined ? '' : ` ${error.path}`;
  return `cannot ${IN_WORDS[error.syscall ?? ''] ?? error.syscall ?? 'continue'}${at}: ${reasonOf(error)}`;
}

/** Remote text must not drive the terminal: control characters other than newline and tab are shown as `?`. */
export function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are the point
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '?').replace(/(\/\/)[^/@\s]+@/g, '$1***@');
}
