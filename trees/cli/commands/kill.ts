import { askInstance } from '../../run/control.js';
import { notRunning } from '../../run/instances.js';
import { parseSignal } from '../../run/signals.js';
import { defineCommand } from '../command.js';
import { allOption, chooseInstances, forEachInstance, instanceNames, namesResult } from '../instance-names.js';

export const command = defineCommand({
  name: 'kill',
  summary: 'send a signal to the main process of instances',
  description:
    'Sends a signal, KILL by default, and does not wait. TERM and what follows it are better left to trees stop, which ' +
    'also keeps the restart policy from bringing the instance back.',
  positionals: instanceNames,
  options: {
    signal: { type: 'string', alias: 's', value: 'SIGNAL', describe: 'name or number; default KILL' },
    all: allOption,
  },
  examples: [
    ['kill -s HUP web', 'let it read its configuration again'],
    ['kill web', 'end it at once'],
  ],
  async handler(context, args) {
    const { settings } = context;
    const signal = parseSignal(args.signal ?? 'KILL', '--signal');
    const { dryRun } = settings;
    const names = chooseInstances(settings, { names: args.instance, all: args.all, what: 'kill' });
    const result = await forEachInstance(names, { ...context, what: 'kill' }, async (instance) => {
      if (!instance.alive) throw notRunning(instance.name, 'kill');
      if (!dryRun) await askInstance(instance, 'kill', { signal }, { signal: context.signal });
      return { signal };
    });
    return namesResult(result, dryRun);
  },
});
