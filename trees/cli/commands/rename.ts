import { renameInstance } from '../../run/instance-data.js';
import { requireInstance } from '../../run/instances.js';
import { defineCommand } from '../command.js';

export const command = defineCommand({
  name: 'rename',
  summary: 'give an instance another name',
  description:
    'Moves the data and the logs of an instance that does not run to another name. Its options move with them; its range of ' +
    'user ids stays its own.',
  positionals: [
    { name: 'instance', describe: 'its name', required: true, complete: 'instances' },
    { name: 'name', describe: 'its new name', required: true },
  ],
  options: {},
  examples: [['rename web web-old', 'make room for another one']],
  async handler(context, args) {
    const { settings, signal } = context;
    const { logDir, dryRun } = settings;
    const instance = requireInstance(settings, args.instance, 'rename');
    if (!dryRun) await renameInstance(instance, args.name, { settings, logDir, signal });
    return { json: { dryRun, name: args.instance, to: args.name }, text: `${args.name}\n` };
  },
});
