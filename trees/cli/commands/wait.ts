import { usageError } from '../../errors.js';
import { type WaitCondition, waitConditions, waitForCondition, waitForEnd } from '../../run/wait.js';
import { defineCommand } from '../command.js';
import { allOption, chooseInstances, forEachInstance, instanceNames, type Outcome } from '../instance-names.js';
import { readSeconds } from '../seconds.js';

type Waited = { readonly exit: number } | { readonly condition: WaitCondition };

export const command = defineCommand({
  name: 'wait',
  summary: 'wait until instances end, or until something holds for them',
  description:
    'Waits until the instances have ended for good, restarts included, and prints the exit status of each, whoever ' +
    'started it. With --condition it waits until that holds, and prints it.',
  positionals: instanceNames,
  options: {
    condition: {
      type: 'array',
      choices: waitConditions,
      describe: 'what to wait for, one of several: a status, healthy, unhealthy, ready, removed',
    },
    timeout: { type: 'number', value: 'SECONDS', describe: 'give up after so long; default never' },
    all: allOption,
  },
  examples: [
    ['wait job', 'its exit status'],
    ['wait --condition healthy --timeout 60 web', 'until it serves'],
  ],
  async handler(context, args) {
    const { settings, signal } = context;
    const timeout = readSeconds(args.timeout, '--timeout');
    const conditions = waitConditions.filter((condition) => args.condition?.includes(condition));
    const strange = args.condition?.find((word) => !waitConditions.some((known) => known === word));
    if (strange !== undefined) {
      throw usageError(`Expected --condition to be one of ${waitConditions.join(', ')}, got "${strange}"`);
    }
    const names = chooseInstances(settings, { names: args.instance, all: args.all, what: 'wait for' });
    const { outcomes, status } = await forEachInstance<Waited>(
      names,
      { ...context, what: 'wait for' },
      async (instance) =>
        conditions.length === 0
          ? { exit: await waitForEnd(settings, instance, { timeout, signal }) }
          : { condition: await waitForCondition(settings, instance, { conditions, timeout, signal }) },
    );
    const line = (outcome: Outcome<Waited>): string => {
      if (outcome.error !== undefined) return '';
      return 'exit' in outcome ? `${outcome.exit}\n` : `${outcome.condition}\n`;
    };
    return { status, json: { instances: outcomes }, text: outcomes.map(line).join('') };
  },
});
