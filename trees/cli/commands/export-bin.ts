import { basename, delimiter, resolve } from 'node:path';
import { TreesError, usageError } from '../../errors.js';
import { plainRequest } from '../../run/resolve.js';
import { exportCommand, unexportCommand } from '../../store/export-command.js';
import { isCommandName } from '../../store/exports.js';
import { type Args, type Context, defineCommand, type OptionSpec } from '../command.js';
import { mountOptions, readMounts } from '../run-options/mounts.js';
import { processOptions, readProcess } from '../run-options/process.js';
import { loadProfileReader, readSecurity, readUserns, securityOptions } from '../run-options/security.js';
import { storeOptions } from '../store-options.js';

const { entrypoint: _entrypoint, ...process } = processOptions;
const { ephemeral: _ephemeral, ...mounts } = mountOptions;

const options = {
  dir: {
    type: 'string',
    value: 'DIR',
    complete: 'directory',
    describe: 'where to; default /usr/local/bin, for a user ~/.local/bin (setting binDir)',
  },
  as: { type: 'string', value: 'NAME', describe: 'name of the file; default that of the command' },
  persistent: {
    type: 'boolean',
    describe: 'keep what it writes, in the data of the app; then only one can run at a time',
  },
  force: { type: 'boolean', alias: 'f', describe: 'replace what is there by that name' },
  remove: { type: 'boolean', describe: 'take the command away again' },
  ...process,
  ...mounts,
  ...securityOptions,
} as const satisfies Record<string, OptionSpec>;

const positionals = [
  { name: 'app', describe: 'name it is installed under', required: true, complete: 'installed' },
  { name: 'command', describe: 'program of the app, by name or path', required: true },
] as const;

type ExportArgs = Args<typeof options, typeof positionals>;

export const command = defineCommand({
  name: 'export-bin',
  summary: 'make a program of an app a command of this machine',
  description:
    'Writes a file of one line that the kernel starts with trees-launch: the program runs in a container of its own as ' +
    'with trees run, and starts in about a millisecond. Words after -- come before the arguments it gets. It always runs ' +
    'the current generation: updates and rollbacks need not touch the file. What it writes is forgotten, unless ' +
    '--persistent is given; volumes of the app are kept. Removing the app removes its commands.\n\n' +
    'An app can declare commands itself; these are put in their place when it is installed, unless something of that name ' +
    'is there. The store is readable for its owner only, and so are its commands.',
  positionals,
  options,
  examples: [
    ['export-bin etcd etcdctl --net host', 'etcdctl is a command now'],
    ['export-bin tools jq --dir ~/bin', 'in another directory'],
    ['export-bin etcd etcdctl --remove', 'and not any more'],
  ],
  restName: 'ARGUMENTS',
  async handler(context, args) {
    const program = args.command;
    const name = args.as ?? basename(program);
    if (!isCommandName(name)) {
      throw usageError(
        `Expected the command's name to be letters, digits, ".", "_", "+" and "-", got "${name}"`,
        'choose a name with --as',
      );
    }
    const { dryRun } = context.settings;
    const common = { ...storeOptions(context, `export ${name}`), name: args.app, command: name, dryRun };
    if (args.remove === true) {
      const { file } = await unexportCommand(common);
      return { json: { dryRun, app: args.app, command: name, file, removed: true }, text: `${file}\n` };
    }
    const directory = chooseDirectory(context, args.dir);
    const result = await exportCommand({
      ...common,
      directory,
      exec: [program, ...args.rest],
      request: await requestOf(context, args),
      userns: readUserns(args),
      force: args.force === true,
    });
    if (!(context.env['PATH'] ?? '').split(delimiter).includes(directory)) {
      context.reporter.warn(`${directory} is not in PATH: ${name} is found by its path only`);
    } else if (result.shadows !== undefined) {
      context.reporter.warn(`${name} of ${args.app} comes before ${result.shadows} in PATH`);
    }
    return { json: { dryRun, app: args.app, command: name, ...result, removed: false }, text: `${result.file}\n` };
  },
});

function chooseDirectory({ cwd, settings }: Context, given: string | undefined): string {
  const directory = given === undefined ? settings.binDir : resolve(cwd, given);
  if (directory !== undefined) return directory;
  throw new TreesError('USAGE', 'Expected --dir, as the settings say binDir: none', { status: 2 });
}

async function requestOf(context: Context, args: ExportArgs) {
  return {
    ...plainRequest,
    ...readProcess(context, { ...args, rest: [] }),
    ...readMounts(context, args),
    ...readSecurity(context, args, await loadProfileReader(args)),
    ephemeral: args.persistent !== true,
  };
}
