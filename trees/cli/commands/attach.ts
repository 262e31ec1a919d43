import { requireRunning } from '../../run/instances.js';
import { execAttach } from '../../run/launcher.js';
import { defineCommand } from '../command.js';
import { launchError } from '../launch-error.js';

export const command = defineCommand({
  name: 'attach',
  summary: 'connect to the main process of an instance',
  description:
    'Connects standard input, output and error to an instance that runs detached. On its terminal the detach keys leave it ' +
    'running; without one, the end of standard input does not end it. The exit status is that of the instance when it ' +
    'ends, 0 after detaching.',
  positionals: [{ name: 'instance', describe: 'its name', required: true, complete: 'instances' }],
  options: {
    'detach-keys': { type: 'string', value: 'KEYS', describe: 'keys that detach; default ctrl-p,ctrl-q' },
    'no-stdin': { type: 'boolean', describe: 'do not pass standard input on' },
  },
  examples: [
    ['attach web', 'ctrl-p ctrl-q leaves it running'],
    ['attach --no-stdin job', 'look on'],
  ],
  usageStatus: 125,
  async handler(context, args) {
    try {
      const { runDir } = requireRunning(context.settings, args.instance, 'attach to');
      return execAttach(runDir, { detachKeys: args['detach-keys'], stdin: args['no-stdin'] !== true });
    } catch (error) {
      throw launchError(error);
    }
  },
});
