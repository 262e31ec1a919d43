import { TreesError, usageError } from '../../errors.js';
import { compilePlan } from '../../run/compile.js';
import { execContainer } from '../../run/launcher.js';
import { cachedPlan } from '../../run/plan-cache.js';
import { prepareContainer } from '../../run/prepare.js';
import { type Generation, isAppName, readInstalled } from '../../store/generations.js';
import { storePaths } from '../../store/paths.js';
import { type CommandResult, type Context, defineCommand } from '../command.js';
import { type RunOptions, readRunOptions, runOptions } from '../run-options.js';

export const command = defineCommand({
  name: 'run',
  summary: 'run a command in a container of an app',
  description:
    'Runs the command that the app declares, or the one after --, in a container of its own: all namespaces, its own ' +
    'range of user ids, the tree read-only under an overlay, few capabilities, no new privileges. The app is ' +
    'installed first if it is missing. What the container writes is kept in data/<instance> below the store and ' +
    'survives updates; --ephemeral throws it away. Options have the names and meanings of podman run.\n\n' +
    'There is no private network yet: an app that declares ports shares the host’s network, any other has a loopback ' +
    'interface only; --net decides.\n\n' +
    'The exit status is the command’s, 128+n if signal n ended it, 125 if it could not be started, 126 if it is not ' +
    'executable and 127 if it was not found. Signals are passed on. Standard input, output and error are the ' +
    'caller’s; on a terminal the container gets one of its own, so that nothing in it can reach the caller’s.',
  positionals: [
    { name: 'app', describe: 'NAME, NAME@RANGE or FEED/NAME@RANGE', required: true, complete: 'installed' },
  ],
  options: runOptions,
  examples: [
    ['run etcd', 'what the app declares'],
    ['run etcd -- etcd --version', 'another command'],
    ['run --rm -v ./data:/data:ro -e LEVEL=debug tool -- process /data', 'with a directory of the host'],
  ],
  restName: 'COMMAND',
  usageStatus: 125,
  async handler(context, args): Promise<CommandResult> {
    try {
      return await run(context, args.app, readRunOptions(context, args));
    } catch (error) {
      throw withStatus(error);
    }
  },
});

async function run(context: Context, app: string, options: RunOptions): Promise<CommandResult> {
  const { settings } = context;
  const paths = storePaths(settings.root);
  const generation = await findGeneration(context, app);
  const instance = options.name ?? generation.name;
  if (!isAppName(instance)) {
    throw usageError(
      `Expected the instance’s name to be lowercase letters, digits, ".", "_" and "-", got "${instance}"`,
    );
  }
  const { container, makeDirectories } = await prepareContainer({
    settings,
    generation,
    name: instance,
    data: instance,
    request: options.request,
    userns: options.userns,
    dryRun: settings.dryRun,
    signal: context.signal,
  });
  if (settings.dryRun) {
    return { json: { dryRun: true, container }, text: `would run ${container.argv.join(' ')} in ${instance}\n` };
  }
  makeDirectories();
  const bytes = compilePlan(container);
  // Nothing may be left to flush: from here on this process is the launcher.
  return execContainer(bytes, {
    planFile: options.plain ? cachedPlan(paths.generation(generation.name, generation.number), bytes) : undefined,
    tty: options.tty,
  });
}

async function findGeneration(context: Context, app: string): Promise<Generation> {
  const paths = storePaths(context.settings.root);
  // The plain name of an installed app is the common case; it must not load the feeds.
  const installed = readInstalled(paths, app);
  if (installed !== undefined) return installed.current;
  const { parseAppReference } = await import('../../feed/select.js');
  const { name } = parseAppReference(app);
  const { command: installer } = await import('./install.js');
  if (context.settings.dryRun) {
    throw new TreesError('APP_NOT_INSTALLED', `cannot say how ${name} would run: it is not installed`, {
      hint: `see what installing would do: trees install ${app} --dry-run`,
    });
  }
  context.reporter.info(`installing ${app}`);
  await installer.run(context, { app: [app], rest: [] });
  const current = readInstalled(paths, name)?.current;
  if (current === undefined) throw new Error(`${name} is not there although it was installed`);
  return current;
}

/** Whatever goes wrong before the command runs is 125, so that it cannot be mistaken for the command's own status. */
function withStatus(error: unknown): unknown {
  if (error instanceof TreesError) {
    const { code, message, hint, details, cause } = error;
    return new TreesError(code, message, {
      status: 125,
      cause,
      ...(hint === undefined ? {} : { hint }),
      ...(details === undefined ? {} : { details }),
    });
  }
  if (error instanceof TypeError || error instanceof RangeError) {
    return new TreesError('USAGE', error.message, { status: 125, cause: error });
  }
  if (error instanceof Error && 'syscall' in error) {
    return new TreesError('LAUNCH_FAILED', `cannot start the container: ${error.message}`, {
      status: 125,
      cause: error,
    });
  }
  return error;
}
