import { rmSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { isErrno, TreesError, usageError } from '../../errors.js';
import { noteHeld, noteUnknowable } from '../../inputs.js';
import { claimName } from '../../run/claim-name.js';
import { compilePlan } from '../../run/compile.js';
import type { ContainerSpec } from '../../run/container.js';
import { type InstanceSpec, type NoteOptions, noteInstanceSpec } from '../../run/instance-spec.js';
import { keepRun } from '../../run/kept/keep-run.js';
import { execContainer, type LaunchOptions, startContainer } from '../../run/launcher.js';
import { cachedPlan } from '../../run/plan-cache.js';
import { type Prepared, prepareContainer } from '../../run/prepare.js';
import { type Generation, isAppName, readCurrent } from '../../store/generations.js';
import { storePaths } from '../../store/paths.js';
import { type CommandResult, type Context, defineCommand } from '../command.js';
import { launchError } from '../launch-error.js';
import { loadServices } from '../run-options/services.js';
import { type RunOptions, readRunOptions, runOptions } from '../run-options.js';

export const command = defineCommand({
  name: 'run',
  summary: 'run a command in a container of an app',
  description:
    'Runs the command that the app declares, or the one after --, in a container of its own: all namespaces, its own ' +
    'range of user ids, the tree read-only under an overlay, few capabilities, no new privileges. The app is ' +
    'installed first if it is missing. What the container writes is kept in data/<instance> below the store and ' +
    'survives updates; --ephemeral throws it away. Options have the names and meanings of podman run.\n\n' +
    'There is one instance of a name at a time. With --detach it goes on running when the command returns; trees ps, ' +
    'logs, exec, stop and others then take its name.\n\n' +
    'An app that consists of services runs all of them; --services takes others, --multi several plain commands. Their ' +
    'output is labelled, the main service’s end is the container’s, and trees service looks after single ones.\n\n' +
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
    ['run -d --restart on-failure:3 etcd', 'in the background'],
    ['run etcd -- etcd --version', 'another command'],
    ['run --services stack.yaml tool', 'several services, started in order and looked after'],
    ['run --rm -v ./data:/data:ro -e LEVEL=debug tool -- process /data', 'with a directory of the host'],
  ],
  restName: 'COMMAND',
  usageStatus: 125,
  keepsLaunch: true,
  async handler(context, args): Promise<CommandResult> {
    try {
      const services = await loadServices(context, args);
      return await run(context, args.app, { ...(await readRunOptions(context, args, services)), terminal: args.tty });
    } catch (error) {
      throw launchError(error);
    }
  },
});

/** `terminal`: what --tty was given as. */
async function run(
  context: Context,
  app: string,
  options: RunOptions & { readonly terminal: boolean | undefined },
): Promise<CommandResult> {
  const { settings } = context;
  const generation = await findGeneration(context, app);
  if (options.name !== undefined && !isAppName(options.name)) {
    throw usageError(
      `Expected the instance’s name to be lowercase letters, digits, ".", "_" and "-", got "${options.name}"`,
    );
  }
  if (settings.dryRun) return await dryRun(context, generation, options);
  const { name, data, claim } = await claimName(
    settings,
    {
      app: generation.name,
      name: options.name,
      passing: options.request.supervision?.remove === true && !options.start.detach,
      keeps: !options.request.ephemeral && !options.request.readOnly,
      replace: options.start.replace,
    },
    { what: 'run', timeout: settings.lockTimeout, signal: context.signal },
  );
  using _claim = claim;
  noteHeld();
  const prepared = await prepare(context, generation, { ...options, name, data });
  const tty = chooseTerminal(prepared.container, options);
  for (const warning of prepared.container.resources?.warnings ?? []) {
    noteUnknowable('there are warnings');
    context.reporter.warn(warning);
  }
  prepared.makeDirectories();
  const noted: NoteOptions = {
    name,
    keeps: prepared.container.upper.kind === 'persistent',
    spec: options.plain ? undefined : specOf(generation, options, name === data ? undefined : data),
  };
  noteInstanceSpec(settings, noted);
  const plan = compilePlan(prepared.container);
  const { start } = options;
  const directory = storePaths(settings.root).generation(generation.name, generation.number);
  const nameFile = start.nameFile === undefined ? undefined : resolve(context.cwd, start.nameFile);
  if (nameFile !== undefined) writeNameFile(nameFile, name);
  // What is still to be done afterwards keeps this process: an error as a document, a file to remove again.
  const replaced = !start.detach || (nameFile === undefined && !settings.json);
  if (start.preserveFds > 0 || start.statusFd !== undefined) noteUnknowable('descriptors that are passed on');
  const launch: LaunchOptions = {
    detach: replaced && start.detach,
    tty,
    quiet: settings.verbosity === 'quiet',
    pidFile: start.pidFile === undefined ? undefined : resolve(context.cwd, start.pidFile),
    sdnotify: start.sdnotify,
    notifySocket: context.env['NOTIFY_SOCKET'],
    sockets: socketsPassed(context.env),
    preserveFds: start.preserveFds,
    statusFd: start.statusFd,
    explainTime: start.explainTime ? (settings.json ? 'json' : 'text') : undefined,
    hold: [claim.fd],
  };
  if (replaced) {
    keepRun({ app: generation.name, plan, launch, noted, places: settings, context });
    const planFile = options.plain ? cachedPlan(directory, plan) : undefined;
    // Nothing may be left to flush: from here on this process is the launcher.
    return execContainer(plan, { ...launch, planFile });
  }
  try {
    await startContainer(plan, launch);
  } catch (error) {
    if (nameFile !== undefined) rmSync(nameFile, { force: true });
    throw error;
  }
  const { name: installed, number, version } = generation;
  return { json: { name, app: installed, generation: number, version }, text: `${name}\n` };
}

/** Of services only the main one can have the terminal, and gets it only when asked: their output has labels. */
function chooseTerminal(
  { services }: ContainerSpec,
  { start, terminal }: { readonly start: { readonly tty: boolean }; readonly terminal: boolean | undefined },
): boolean {
  if (services === undefined) return start.tty;
  if (terminal === true && !Object.values(services).some((service) => service.main === true)) {
    throw usageError('Expected --tty with a main service, which gets the terminal; there is none');
  }
  return terminal === true;
}

async function dryRun(context: Context, generation: Generation, options: RunOptions): Promise<CommandResult> {
  const name = options.name ?? generation.name;
  const { container } = await prepare(context, generation, { ...options, name, data: name });
  return { json: { dryRun: true, container }, text: `would run ${container.argv.join(' ')} in ${name}\n` };
}

async function prepare(
  context: Context,
  generation: Generation,
  { name, data, request, userns, start }: RunOptions & { readonly name: string; readonly data: string },
): Promise<Prepared> {
  const { settings, signal } = context;
  return await prepareContainer({
    settings,
    generation,
    name,
    data,
    request,
    userns,
    detached: start.detach,
    dryRun: settings.dryRun,
    signal,
  });
}

function specOf(
  generation: Generation,
  { request, userns, labels, start }: RunOptions,
  data: string | undefined,
): InstanceSpec {
  return {
    schema: 1,
    app: generation.name,
    data,
    request,
    userns,
    tty: start.tty,
    created: new Date().toISOString(),
    labels,
  };
}

function writeNameFile(file: string, name: string): void {
  noteUnknowable('--cidfile has to name a new file');
  try {
    writeFileSync(file, `${name}\n`, { flag: 'wx' });
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error;
    throw usageError(`Expected --cidfile to name a new file, got ${file}, which exists`);
  }
}

async function findGeneration(context: Context, app: string): Promise<Generation> {
  const paths = storePaths(context.settings.root);
  // The plain name of an installed app is the common case; it must not load the feeds.
  const installed = readCurrent(paths, app);
  if (installed !== undefined) return installed;
  noteUnknowable('it had to be installed');
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
  const current = readCurrent(paths, name);
  if (current === undefined) throw new Error(`${name} is not there although it was installed`);
  return current;
}

/** Those that the service manager has passed on to this very process (sd_listen_fds(3)). */
function socketsPassed(env: Context['env']): LaunchOptions['sockets'] {
  const count = Number(env['LISTEN_FDS'] ?? 0);
  if (count > 0) noteUnknowable('sockets that may be passed on');
  if (!Number.isInteger(count) || count <= 0 || env['LISTEN_PID'] !== String(process.pid)) return undefined;
  return { count, names: env['LISTEN_FDNAMES'] };
}
