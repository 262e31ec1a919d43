import { usageError } from '../../errors.js';
import { runDirectory } from '../../run/instances.js';
import { execAttach } from '../../run/launcher.js';
import { startInstance } from '../../run/start.js';
import { defineCommand } from '../command.js';
import { allOption, chooseInstances, forEachInstance, instanceNames, namesResult } from '../instance-names.js';
import { launchError } from '../launch-error.js';

export const command = defineCommand({
  name: 'start',
  summary: 'start instances again that have ended',
  description:
    'Starts each instance as it was run, with the same options and its data, on the current generation of its app. It runs ' +
    'detached then. Starting one that runs is no error.',
  positionals: instanceNames,
  options: {
    attach: { type: 'boolean', describe: 'connect to it at once; only one instance' },
    'detach-keys': { type: 'string', value: 'KEYS', describe: 'keys that detach; default ctrl-p,ctrl-q' },
    all: { ...allOption, describe: 'all instances that have ended' },
  },
  examples: [
    ['start web', 'as it was run'],
    ['start --attach shell', 'and go on with it'],
  ],
  async handler(context, args) {
    const { settings, signal } = context;
    const { dryRun } = settings;
    const names = chooseInstances(settings, {
      names: args.instance,
      all: args.all,
      what: 'start',
      which: ({ alive }) => !alive,
    });
    if (args.attach === true && names.length !== 1) {
      throw usageError(`Expected one instance with --attach, got ${names.length}`);
    }
    try {
      const result = await forEachInstance(names, { ...context, what: 'start' }, async (instance) => {
        if (!instance.alive && !dryRun) {
          const { generation } = await startInstance(instance, { settings, what: 'start', signal });
          return { app: instance.app, generation: generation.number, wasRunning: false };
        }
        return { app: instance.app, generation: instance.state?.generation ?? null, wasRunning: instance.alive };
      });
      const [name] = names;
      if (args.attach === true && !dryRun && name !== undefined) {
        execAttach(runDirectory(settings, name), { detachKeys: args['detach-keys'] });
      }
      return namesResult(result, dryRun);
    } catch (error) {
      throw args.attach === true ? launchError(error) : error;
    }
  },
});
