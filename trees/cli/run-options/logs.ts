import type { RunRequest } from '../../run/resolve.js';
import type { Args, OptionSpec } from '../command.js';

/** Where output goes besides the terminal. */
export const logOptions = {} as const satisfies Record<string, OptionSpec>;

type LogsArgs = Args<typeof logOptions, readonly []>;

/** @throws TreesError `USAGE` */
export function readLogs(_args: LogsArgs): Pick<RunRequest, 'log'> {
  return {};
}
