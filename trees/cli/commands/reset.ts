import { alreadyRunning } from '../../run/instance-claim.js';
import { resetInstance } from '../../run/instance-data.js';
import { instanceUpper } from '../../run/instance-tree.js';
import { stopInstance } from '../../run/stop.js';
import { diffUpper } from '../../run/upper-diff.js';
import { defineCommand } from '../command.js';
import { chooseInstances, forEachInstance, instanceNames, namesResult } from '../instance-names.js';

export const command = defineCommand({
  name: 'reset',
  summary: 'forget what instances wrote to their trees',
  description:
    'Deletes what an instance has changed of its tree, so that it starts again from what the app consists of. Volumes stay. ' +
    'See trees diff INSTANCE for what that is.',
  positionals: instanceNames,
  options: {
    force: { type: 'boolean', alias: 'f', describe: 'stop it first if it runs' },
  },
  examples: [
    ['reset web', 'what it wrote is gone'],
    ['reset web --dry-run', 'how much that is'],
  ],
  async handler(context, args) {
    const { settings, signal } = context;
    const { dryRun } = settings;
    const names = chooseInstances(settings, { names: args.instance, all: false, what: 'reset' });
    const result = await forEachInstance(names, { ...context, what: 'reset' }, async (instance) => {
      const tree = instanceUpper(settings, instance);
      const changes = tree === undefined ? 0 : diffUpper(tree.upper, tree.lower).length;
      if (instance.alive && args.force !== true) throw alreadyRunning(instance.name, 'reset');
      if (dryRun) return { changes };
      await stopInstance(settings, instance, { abort: signal });
      await resetInstance(instance, { settings, signal });
      return { changes };
    });
    return namesResult(result, dryRun);
  },
});
