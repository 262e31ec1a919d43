import { usageError } from '../../errors.js';
import type { RunRequest } from '../../run/resolve.js';
import type { RichMode, SystemRequest } from '../../run/system.js';
import type { Args, OptionSpec } from '../command.js';

/** What happens around the command, and whether the container is a whole system. */
export const systemOptions = {
  rich: { type: 'boolean', describe: 'a container that is prepared by scripts, or a whole system' },
  'rich-mode': {
    type: 'string',
    choices: ['dumb-init', 'sbin-init', 'systemd'],
    describe: 'process 1: this project’s init around the command (default), the tree’s /sbin/init, or its systemd',
  },
  initscript: {
    type: 'string',
    value: 'PATH',
    describe: 'program in the tree that runs before the command, every time',
  },
  initcmd: { type: 'string', value: 'LINE', describe: 'the same as a line for the tree’s shell' },
  prestart: {
    type: 'array',
    value: 'COMMAND',
    describe: 'run on this machine before each start, with the state as JSON',
  },
  poststop: { type: 'array', value: 'COMMAND', describe: 'run on this machine after each end, with the state as JSON' },
} as const satisfies Record<string, OptionSpec>;

type SystemArgs = Args<typeof systemOptions, readonly []>;

const modes: readonly RichMode[] = ['dumb-init', 'sbin-init', 'systemd'];

/** @throws TreesError `USAGE` */
export function readSystem(args: SystemArgs): Pick<RunRequest, 'system'> {
  for (const option of ['rich-mode', 'initscript', 'initcmd'] as const) {
    if (args[option] !== undefined && args.rich !== true) {
      throw usageError(`Expected --${option} together with --rich, got it alone`, `add --rich`);
    }
  }
  if (args.initscript?.startsWith('/') === false) {
    throw usageError(`Expected --initscript to be an absolute path in the tree, got "${args.initscript}"`);
  }
  const system: SystemRequest = {
    ...(args.rich === true && { mode: modes.find((mode) => mode === args['rich-mode']) ?? 'dumb-init' }),
    ...(args.initscript !== undefined && { initScript: args.initscript }),
    ...(args.initcmd !== undefined && { initCommand: args.initcmd }),
    ...(args.prestart !== undefined && { prestart: args.prestart.map((text) => hook(text, '--prestart')) }),
    ...(args.poststop !== undefined && { poststop: args.poststop.map((text) => hook(text, '--poststop')) }),
  };
  return Object.keys(system).length === 0 ? {} : { system };
}

/** Words at spaces, as in systemd's `ExecStart=` without its quoting: no shell reads it. */
function hook(text: string, option: string): string[] {
  const words = text.split(/\s+/).filter((word) => word !== '');
  if (words[0]?.startsWith('/') === true) return words;
  throw usageError(`Expected ${option} to begin with the absolute path of a program, got "${text}"`);
}
