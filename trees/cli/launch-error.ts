import { TreesError } from '../errors.js';

const STATUS = 125;

/** Whatever goes wrong before the command runs is 125, so that it cannot be mistaken for the command's own status. */
export function launchError(error: unknown): unknown {
  if (error instanceof TreesError) {
    const { code, message, hint, details, cause, status } = error;
    return new TreesError(code, message, {
      status: status === 126 || status === 127 ? status : STATUS,
      cause,
      ...(hint === undefined ? {} : { hint }),
      ...(details === undefined ? {} : { details }),
    });
  }
  if (error instanceof TypeError || error instanceof RangeError) {
    return new TreesError('USAGE', error.message, { status: STATUS, cause: error });
  }
  if (error instanceof Error && 'syscall' in error) {
    return new TreesError('LAUNCH_FAILED', `cannot start the container: ${error.message}`, {
      status: STATUS,
      cause: error,
    });
  }
  return error;
}
