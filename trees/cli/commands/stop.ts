import { findInstance } from '../../run/instances.js';
import { parseSignal } from '../../run/signals.js';
import { stopInstance } from '../../run/stop.js';
import { defineCommand } from '../command.js';
import { allOption, chooseInstances, forEachInstance, instanceNames, namesResult } from '../instance-names.js';
import { readSeconds } from '../seconds.js';

export const command = defineCommand({
  name: 'stop',
  summary: 'stop instances',
  description:
    'Sends the stop signal (TERM, unless the app or run --stop-signal says another), and KILL to what is left after the ' +
    'timeout. It returns as soon as the instance is gone. Its restart policy does not bring it back; what it wrote stays. ' +
    'Stopping one that has ended already is no error.',
  positionals: instanceNames,
  options: {
    time: { type: 'number', alias: 't', value: 'SECONDS', describe: 'between the stop signal and KILL; default 10' },
    signal: { type: 'string', alias: 's', value: 'SIGNAL', describe: 'in place of the instance’s stop signal' },
    all: allOption,
    ignore: { type: 'boolean', alias: 'i', describe: 'names of which there is no instance are no error' },
  },
  examples: [
    ['stop web', 'and wait until it is gone'],
    ['stop -t 60 db', 'with more time'],
    ['stop --all', 'every instance that runs'],
  ],
  async handler(context, args) {
    const { settings, signal: abort } = context;
    const timeout = readSeconds(args.time, '--time');
    const signal = args.signal === undefined ? undefined : parseSignal(args.signal, '--signal');
    const { dryRun } = settings;
    const names = chooseInstances(settings, { names: args.instance, all: args.all, what: 'stop' }).filter(
      (name) => args.ignore !== true || findInstance(settings, name) !== undefined,
    );
    const result = await forEachInstance(names, { ...context, what: 'stop' }, async (instance) => ({
      wasRunning: dryRun ? instance.alive : await stopInstance(settings, instance, { signal, timeout, abort }),
    }));
    return namesResult(result, dryRun);
  },
});
