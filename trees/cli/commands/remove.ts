import { alreadyRunning } from '../../run/instance-claim.js';
import { removeInstance } from '../../run/instance-data.js';
import { findInstance, type Instance, listInstances, requireInstance } from '../../run/instances.js';
import { forgetLaunches } from '../../run/kept/forget.js';
import { stopInstance } from '../../run/stop.js';
import { currentNumber, listGenerations } from '../../store/generations.js';
import { storePaths } from '../../store/paths.js';
import { planRemove, type RemoveOptions, type RemoveResult, removeApp } from '../../store/remove.js';
import { type CommandResult, type Context, defineCommand } from '../command.js';
import { formatBytes } from '../render/format.js';
import { storeOptions } from '../store-options.js';

export const command = defineCommand({
  name: 'remove',
  aliases: ['rm'],
  summary: 'remove an app and prune the store, or remove an instance',
  description:
    'Deletes all generations of the app, its exported commands, and everything in the store that no other app needs. What ' +
    'the app itself wrote is kept and used again when it is installed again, unless --purge is given.\n\n' +
    'A name that is an instance’s and no app’s, or any with --instance, removes that instance: what it wrote to its tree, ' +
    'its logs, and what is known about its last run; its volumes stay unless --volumes is given. What runs is refused ' +
    'unless --force stops it first.',
  positionals: [
    {
      name: 'app',
      describe: 'name it is installed under, or of an instance',
      required: true,
      variadic: true,
      complete: 'installed',
    },
  ],
  options: {
    purge: { type: 'boolean', describe: 'delete its data, too, also that of its instances with other names' },
    force: { type: 'boolean', alias: 'f', describe: 'stop it first if it runs' },
    instance: { type: 'boolean', describe: 'the names are those of instances; apps stay' },
    volumes: { type: 'boolean', describe: 'of an instance: delete its volumes, too' },
  },
  examples: [
    ['remove etcd', 'remove it, keep its data'],
    ['rm etcd --purge', 'remove it and its data'],
    ['rm -f --instance web', 'stop an instance and forget it'],
  ],
  async handler(context, args) {
    const apps: RemoveResult[] = [];
    const instances: RemovedInstance[] = [];
    const { dryRun } = context.settings;
    for (const name of new Set(args.app)) {
      const instance = chooseInstance(context, name, args.instance === true);
      const force = args.force === true;
      if (instance !== undefined) {
        instances.push(
          await removeOne(context, instance, { force, volumes: args.volumes === true || args.purge === true }),
        );
        continue;
      }
      if (force && !dryRun) await stopAll(context, name);
      const options: RemoveOptions = {
        ...storeOptions(context, `remove ${name}`),
        name,
        purge: args.purge === true,
        force,
      };
      const result = dryRun ? await planRemove(options) : await removeApp(options);
      if (!dryRun && result.purged.length > 0) await forgetInstances(context, name);
      apps.push(result);
    }
    if (!dryRun) forgetLaunches(context.settings, context);
    return resultOf(apps, instances, dryRun);
  },
});

interface RemovedInstance {
  readonly name: string;
  readonly removed: readonly string[];
}

/** Undefined: the name is an app's. */
function chooseInstance({ settings }: Context, name: string, only: boolean): Instance | undefined {
  const paths = storePaths(settings.root);
  if (!only && (currentNumber(paths, name) !== undefined || listGenerations(paths, name).length > 0)) return undefined;
  const instance = findInstance(settings, name);
  if (only && instance === undefined) return requireInstance(settings, name, 'remove');
  // Data that is kept of an app that is not installed any more is the app's to delete, by --purge.
  return instance !== undefined && (only || instance.app !== name) ? instance : undefined;
}

async function removeOne(
  context: Context,
  instance: Instance,
  { force, volumes }: { readonly force: boolean; readonly volumes: boolean },
): Promise<RemovedInstance> {
  const { settings, signal } = context;
  if (instance.alive && !force) throw alreadyRunning(instance.name, 'remove');
  if (settings.dryRun) return { name: instance.name, removed: instance.data === undefined ? [] : [instance.data] };
  await stopInstance(settings, instance, { abort: signal });
  const { logDir } = settings;
  return { name: instance.name, removed: await removeInstance(instance, { settings, logDir, volumes, signal }) };
}

async function stopAll({ settings, signal }: Context, app: string): Promise<void> {
  const running = listInstances(settings, { all: false }).filter((instance) => instance.app === app);
  await Promise.all(running.map(async (instance) => await stopInstance(settings, instance, { abort: signal })));
}

/** What is left of instances whose data is gone. */
async function forgetInstances({ settings, signal }: Context, app: string): Promise<void> {
  const { logDir } = settings;
  for (const instance of listInstances(settings, { all: true })) {
    if (instance.app !== app || instance.alive || instance.data !== undefined) continue;
    await removeInstance(instance, { settings, logDir, volumes: true, signal });
  }
}

function resultOf(
  apps: readonly RemoveResult[],
  instances: readonly RemovedInstance[],
  dryRun: boolean,
): CommandResult {
  const lines = instances.map(({ name }) => `${dryRun ? 'would remove' : 'removed'} instance ${name}\n`);
  return {
    json: { dryRun, apps, ...(instances.length === 0 ? {} : { instances }) },
    text: [...apps.map((result) => describe(result, dryRun)), ...lines].join(''),
  };
}

function describe({ name, generations, data, purged, pruned }: RemoveResult, dryRun: boolean): string {
  const count = generations.length === 1 ? '1 generation' : `${generations.length} generations`;
  const lines = [
    `${dryRun ? 'would remove' : 'removed'} ${name}: ${count}, ${formatBytes(pruned.freed)} of objects`,
    ...(data.length === 0 ? [] : [`its data stays in ${data.join(', ')} (trees rm ${name} --purge deletes it)`]),
    ...(purged.length === 0 ? [] : [`its data in ${purged.join(', ')} ${dryRun ? 'would be' : 'was'} deleted`]),
  ];
  return `${lines.join('\n')}\n`;
}
