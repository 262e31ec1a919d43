import type { RunRequest } from '../../run/resolve.js';
import type { Args, OptionSpec } from '../command.js';

/** How the container starts, what it is called, and how it ends. */
export const lifecycleOptions = {
  name: { type: 'string', value: 'NAME', describe: 'name of the instance, which owns the data; default: the app’s' },
  rm: { type: 'boolean', describe: 'same as --ephemeral; volumes are kept' },
  'stop-timeout': {
    type: 'number',
    value: 'SECONDS',
    describe: 'what other processes get to end in when the main one has; default 10',
  },
  tty: {
    type: 'boolean',
    alias: 't',
    describe: 'a terminal in the container; default: when standard input and output are one',
  },
  interactive: {
    type: 'boolean',
    alias: 'i',
    describe: 'accepted for podman’s sake: standard input is always connected',
  },
  'no-init': { type: 'boolean', describe: 'run the command as process 1 itself' },
} as const satisfies Record<string, OptionSpec>;

type LifecycleArgs = Args<typeof lifecycleOptions, readonly []>;

/** @throws TreesError `USAGE` */
export function readLifecycle(args: LifecycleArgs): Pick<RunRequest, 'stopTimeout' | 'noInit' | 'supervision'> {
  return { stopTimeout: args['stop-timeout'], noInit: args['no-init'] === true };
}
