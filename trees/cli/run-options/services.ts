import type { RunRequest } from '../../run/resolve.js';
import type { Args, OptionSpec } from '../command.js';

/** Which services run, and how. */
export const serviceOptions = {} as const satisfies Record<string, OptionSpec>;

type ServicesArgs = Args<typeof serviceOptions, readonly []>;

/** @throws TreesError `USAGE` */
export function readServices(_args: ServicesArgs): Pick<RunRequest, 'services'> {
  return {};
}
