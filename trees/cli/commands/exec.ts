import { TreesError, usageError } from '../../errors.js';
import { noteUnknowable } from '../../inputs.js';
import { requireRunning } from '../../run/instances.js';
import { keepLaunch } from '../../run/kept/keep.js';
import { type ExecCommandOptions, execCommand, joinArguments } from '../../run/launcher-exec.js';
import { defineCommand } from '../command.js';
import { launchError } from '../launch-error.js';
import { readVariables } from '../run-options/process.js';

export const command = defineCommand({
  name: 'exec',
  summary: 'run a command in a running instance',
  description:
    'Runs a command beside the main process: in the same namespaces and cgroups, with the same environment, user, limits ' +
    'and restrictions, unless the options say otherwise. It ends when the instance does, and when the caller is killed. ' +
    'Options have the names and meanings of podman exec.\n\n' +
    'The exit status is the command’s, 128+n if signal n ended it, 125 if it could not be started, 126 if it is not ' +
    'executable and 127 if it was not found. Signals are passed on.',
  positionals: [{ name: 'instance', describe: 'its name', required: true, complete: 'instances' }],
  options: {
    detach: { type: 'boolean', alias: 'd', describe: 'leave it running in the instance and return' },
    interactive: {
      type: 'boolean',
      alias: 'i',
      describe: 'accepted for podman’s sake: standard input is always connected',
    },
    tty: {
      type: 'boolean',
      alias: 't',
      describe: 'a terminal of its own; default: when standard input and output are one',
    },
    'detach-keys': {
      type: 'string',
      value: 'KEYS',
      describe: 'keys that leave it running, on a terminal: ctrl-p,ctrl-q; default none',
    },
    user: { type: 'string', alias: 'u', value: 'USER[:GROUP]', describe: 'user to run as, by name or number' },
    workdir: { type: 'string', alias: 'w', value: 'DIR', describe: 'working directory in the container' },
    env: { type: 'array', alias: 'e', value: 'NAME[=VALUE]', describe: 'set a variable; without a value the caller’s' },
    'env-file': { type: 'array', value: 'FILE', complete: 'file', describe: 'read variables from a file, one a line' },
    privileged: { type: 'boolean', describe: 'with all capabilities, and without what restricts the main process' },
    'preserve-fds': { type: 'number', value: 'NUMBER', describe: 'pass on so many descriptors from 3 on' },
  },
  examples: [
    ['exec web -- nginx -s reload', 'what its image brings along'],
    ['exec -u app -w /srv -it web -- sh', 'a shell as another user'],
  ],
  restName: 'COMMAND',
  usageStatus: 125,
  keepsLaunch: true,
  async handler(context, args) {
    try {
      if (args.rest.length === 0)
        throw usageError('Expected a command after --, got none', 'trees exec INSTANCE -- COMMAND');
      const { workdir } = args;
      if (workdir !== undefined && !workdir.startsWith('/')) {
        throw usageError(`Expected --workdir to be absolute, got "${workdir}"`);
      }
      const instance = requireRunning(context.settings, args.instance, 'join');
      if (instance.status === 'paused') {
        throw new TreesError('INSTANCE_NOT_RUNNING', `cannot join "${instance.name}": it is paused`, {
          hint: `let it go on: trees unpause ${instance.name}`,
        });
      }
      const options: ExecCommandOptions = {
        detach: args.detach === true,
        tty: args.tty ?? (process.stdin.isTTY && process.stdout.isTTY),
        detachKeys: args['detach-keys'],
        user: args.user,
        workdir,
        env: readVariables(context, args),
        privileged: args.privileged === true,
        preserveFds: args['preserve-fds'] ?? 0,
      };
      if (options.preserveFds > 0) noteUnknowable('descriptors that are passed on');
      const flags = joinArguments(args.rest, options);
      const { app, runDir } = instance;
      keepLaunch({ app, start: { kind: 'exec', runDir, flags }, plan: new Uint8Array() }, context);
      return execCommand(runDir, args.rest, options);
    } catch (error) {
      throw launchError(error);
    }
  },
});
