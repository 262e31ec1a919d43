import { usageError } from '../../errors.js';
import { readDeclaredLimits } from '../../run/declared-limits.js';
import { requireInstance } from '../../run/instances.js';
import { readRunSpec } from '../../run/read-run-spec.js';
import { describeLimits, setLimits } from '../../run/set-limits.js';
import { readInstalled } from '../../store/generations.js';
import { storePaths } from '../../store/paths.js';
import { defineCommand } from '../command.js';
import { limitOptionTable, readLimits } from '../run-options/resources.js';

export const command = defineCommand({
  name: 'set',
  summary: 'change what an instance may use',
  description:
    'Changes limits at once where the instance runs, and notes them for every later start of it. What is not named stays ' +
    'as it is; 0 takes a limit away (-1 that of processes). An instance without limits is moved into a cgroup for the ' +
    'first one.',
  positionals: [{ name: 'instance', describe: 'its name', required: true, complete: 'instances' }],
  options: limitOptionTable,
  examples: [
    ['set web --memory 512m --cpus 1.5', 'now and from now on'],
    ['set web --memory 0', 'as much as there is'],
  ],
  async handler(context, args) {
    const { settings, signal } = context;
    const changes = readLimits(args);
    if (Object.keys(changes).length === 0) {
      throw usageError('Expected a limit to set, got none', 'such as --memory 512m; see trees set --help');
    }
    const instance = requireInstance(settings, args.instance, 'set limits of');
    const installed = readInstalled(storePaths(settings.root), instance.app);
    const spec = installed === undefined ? {} : readRunSpec(installed.current);
    const declared = readDeclaredLimits(spec.limits ?? {});
    const { dryRun } = settings;
    const limits = dryRun ? undefined : await setLimits(settings, instance, changes, { declared, signal });
    return {
      json: { dryRun, name: instance.name, running: instance.alive, limits: limits ?? changes },
      text: limits === undefined ? '' : `${instance.name}: ${describeLimits(limits)}\n`,
    };
  },
});
