import { restartInstance } from '../../run/restart.js';
import { newestGeneration } from '../../run/start.js';
import { defineCommand } from '../command.js';
import { allOption, chooseInstances, forEachInstance, instanceNames, namesResult } from '../instance-names.js';
import { readSeconds } from '../seconds.js';

export const command = defineCommand({
  name: 'restart',
  summary: 'restart instances, on the current generation of their app',
  description:
    'Stops each instance and starts it again as it was run, on the current generation of its app. Whoever is attached stays ' +
    'so. On another generation than before it has to become healthy: ready, if it consists of services or is a systemd; ' +
    'running for two seconds, if it declares no checks. One that does not goes back to the generation it came from, and ' +
    'the exit status is 1. One that has ended is started.',
  positionals: instanceNames,
  options: {
    time: { type: 'number', alias: 't', value: 'SECONDS', describe: 'between the stop signal and KILL; default 10' },
    'health-wait': {
      type: 'number',
      value: 'SECONDS',
      describe: 'time to become healthy in; default what its checks need at the most',
    },
    all: allOption,
  },
  examples: [
    ['restart web', 'on what trees update has brought'],
    ['restart --all', 'every instance that runs'],
  ],
  async handler(context, args) {
    const { settings, signal } = context;
    const { dryRun } = settings;
    const timeout = readSeconds(args.time, '--time');
    const patience = readSeconds(args['health-wait'], '--health-wait');
    const names = chooseInstances(settings, { names: args.instance, all: args.all, what: 'restart' });
    const result = await forEachInstance(names, { ...context, what: 'restart' }, async (instance) => {
      const { from, to } = dryRun
        ? { from: instance.state?.generation, to: newestGeneration(settings, instance, 'restart').number }
        : await restartInstance(instance, { settings, timeout, patience, signal });
      return { app: instance.app, from: from ?? null, to };
    });
    return namesResult(result, dryRun);
  },
});
