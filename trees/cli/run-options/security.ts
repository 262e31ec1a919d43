import { usageError } from '../../errors.js';
import { type Capability, parseCapability } from '../../run/capabilities.js';
import type { RunRequest } from '../../run/resolve.js';
import type { Args, OptionSpec } from '../command.js';

/** What the container may do. */
export const securityOptions = {
  'cap-add': { type: 'array', value: 'CAP', describe: 'add a capability (ALL: every one)' },
  'cap-drop': { type: 'array', value: 'CAP', describe: 'drop a capability (ALL: every one)' },
  userns: {
    type: 'string',
    choices: ['auto', 'host'],
    describe: 'auto (default): an own range of user ids; host: root inside is root outside',
  },
} as const satisfies Record<string, OptionSpec>;

type SecurityArgs = Args<typeof securityOptions, readonly []>;

/** @throws TreesError `USAGE` */
export function readSecurity(args: SecurityArgs): Pick<RunRequest, 'capAdd' | 'capDrop' | 'security'> {
  return {
    capAdd: capabilities(args['cap-add'], '--cap-add'),
    capDrop: capabilities(args['cap-drop'], '--cap-drop'),
  };
}

export function readUserns(args: SecurityArgs): 'auto' | 'host' {
  return args.userns === 'host' ? 'host' : 'auto';
}

function capabilities(names: readonly string[] | undefined, option: string): (Capability | 'ALL')[] {
  return (names ?? [])
    .flatMap((list) => list.split(','))
    .map((name) => {
      const capability = parseCapability(name);
      if (capability === undefined) throw usageError(`Expected ${option} to name a capability, got "${name}"`);
      return capability;
    });
}
