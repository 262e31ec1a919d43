import { resolve } from 'node:path';
import { usageError } from '../../errors.js';
import type { RunRequest } from '../../run/resolve.js';
import type { ServicesSpec } from '../../run/service-spec.js';
import type { Args, Context, OptionSpec } from '../command.js';

/** Which services run, and how. */
export const serviceOptions = {
  services: {
    type: 'string',
    value: 'FILE',
    complete: 'file',
    describe: 'run these services instead of the app’s: YAML or JSON, as under services: in a definition',
  },
  multi: { type: 'boolean', describe: 'run several commands side by side: --multi -- a 1 -- b 2' },
} as const satisfies Record<string, OptionSpec>;

type ServicesArgs = Args<typeof serviceOptions, readonly []>;

/** @throws TreesError USAGE, DEFINITION_NOT_FOUND, DEFINITION_INVALID */
export async function loadServices(
  { cwd }: Pick<Context, 'cwd'>,
  { services: file, multi, rest }: ServicesArgs,
): Promise<ServicesSpec | undefined> {
  if (file !== undefined && (multi === true || rest.length > 0)) {
    throw usageError(`Expected --services or ${multi === true ? '--multi' : 'a command'}, got both`);
  }
  // Most runs have neither, and must not load what checks them.
  if (multi === true) return (await import('../../run/services-multi.js')).parseMulti(rest);
  if (file === undefined) return undefined;
  const { readServicesFile } = await import('../../run/services-file.js');
  return await readServicesFile(resolve(cwd, file));
}

/** Services take the place of a command. */
export function readServices(services: ServicesSpec | undefined): Partial<Pick<RunRequest, 'services' | 'command'>> {
  return services === undefined ? {} : { services: { services }, command: [] };
}
