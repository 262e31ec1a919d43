import { pauseInstance, unpauseInstance } from '../../run/cgroup-control.js';
import type { Instance } from '../../run/instances.js';
import { type Context, defineCommand } from '../command.js';
import { allOption, chooseInstances, forEachInstance, instanceNames, namesResult } from '../instance-names.js';

export const pause = defineCommand({
  name: 'pause',
  summary: 'stop every process of instances where it is',
  description:
    'Freezes the instances: nothing in them runs, and nothing in them can notice, until trees unpause. An instance that is ' +
    'not in a cgroup yet is moved into one. trees stop and trees kill let a paused one go on first.',
  positionals: instanceNames,
  options: { all: allOption },
  examples: [['pause web', 'until trees unpause web']],
  handler: async (context, args) =>
    await change(context, { names: args.instance, all: args.all, what: 'pause' }, pauseInstance),
});

export const unpause = defineCommand({
  name: 'unpause',
  summary: 'let paused instances go on',
  positionals: instanceNames,
  options: { all: allOption },
  examples: [['unpause --all', 'whatever is paused']],
  handler: async (context, args) =>
    await change(context, { names: args.instance, all: args.all, what: 'unpause' }, unpauseInstance),
});

interface Chosen {
  readonly names: readonly string[];
  readonly all: boolean | undefined;
  readonly what: 'pause' | 'unpause';
}

async function change(
  context: Context,
  { names, all, what }: Chosen,
  action: (instance: Instance, options: { signal: AbortSignal }) => Promise<void>,
) {
  const { settings, signal } = context;
  const wanted = what === 'pause' ? 'running' : 'paused';
  const chosen = chooseInstances(settings, {
    names,
    all,
    what,
    which: ({ alive, status }) => alive && status === wanted,
  });
  const result = await forEachInstance(chosen, { ...context, what }, async (instance) => {
    if (!settings.dryRun) await action(instance, { signal });
    return { status: what === 'pause' ? 'paused' : 'running' };
  });
  return namesResult(result, settings.dryRun);
}
