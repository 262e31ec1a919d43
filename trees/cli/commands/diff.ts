import { TreesError } from '../../errors.js';
import { instanceUpper } from '../../run/instance-tree.js';
import { findInstance, type Instance, requireInstance } from '../../run/instances.js';
import { diffUpper } from '../../run/upper-diff.js';
import { type Change, diffGenerations } from '../../store/diff.js';
import { currentNumber } from '../../store/generations.js';
import { storePaths } from '../../store/paths.js';
import { type CommandResult, type Context, defineCommand } from '../command.js';
import { readGenerationNumber } from '../generation-number.js';
import { formatBytes } from '../render/format.js';
import { storeOptions } from '../store-options.js';

export const command = defineCommand({
  name: 'diff',
  summary: 'show what changed between two generations of an app, or in an instance',
  description:
    'Of an app: paths that were added (+), changed (~) or removed (-) with the sizes of files, by default between the ' +
    'current generation and the one before. Only metadata is compared, so it is quick however large the app is.\n\n' +
    'Of an instance (a name that no app has, or any with --instance): what it wrote to its tree, as podman shows it: A ' +
    'added, C changed, D deleted.',
  positionals: [
    { name: 'app', describe: 'name it is installed under, or of an instance', required: true, complete: 'installed' },
    { name: 'from', describe: 'number of the older generation; the one before the newer' },
    { name: 'to', describe: 'number of the newer generation; the current one' },
  ],
  options: {
    instance: { type: 'boolean', describe: 'the name is that of an instance' },
  },
  examples: [
    ['diff etcd', 'what the last update changed'],
    ['diff etcd 2 5 --json', 'between two generations, for scripts'],
    ['diff --instance etcd', 'what it has written since'],
  ],
  async handler(context, args) {
    const instance = chooseInstance(context, args);
    if (instance !== undefined) return diffInstance(context, instance);
    const { from, to, changes } = await diffGenerations({
      ...storeOptions(context, `diff ${args.app}`),
      name: args.app,
      from: readGenerationNumber(args.from),
      to: readGenerationNumber(args.to),
    });
    const side = ({ number, version, base }: typeof from) => ({
      generation: number,
      version,
      base: { name: base.name, version: base.version },
    });
    const growth = changes.reduce((sum, { before = 0, after = 0 }) => sum + after - before, 0);
    const count = (kind: Change['change']): number => changes.filter(({ change }) => change === kind).length;
    const grown = `${growth < 0 ? '-' : '+'}${formatBytes(Math.abs(growth))}`;
    return {
      json: { name: args.app, from: side(from), to: side(to), changes: changes.map(toJson), growth },
      text:
        changes.map(line).join('') +
        `generation ${from.number} (${from.version} on ${from.base.name} ${from.base.version}) → ${to.number} ` +
        `(${to.version} on ${to.base.name} ${to.base.version}): ${count('added')} added, ${count('changed')} changed, ` +
        `${count('removed')} removed, ${grown}\n`,
    };
  },
});

const SIGN = { added: '+', changed: '~', removed: '-' } as const;

function line({ change, path, before, after }: Change): string {
  const sizes = [before, after].filter((size) => size !== undefined).map(formatBytes);
  return `${SIGN[change]} ${path}${path.endsWith('/') ? '' : `  ${sizes.join(' → ')}`}\n`;
}

function toJson({ change, path, before, after }: Change) {
  return { change, path, before: before ?? null, after: after ?? null };
}

/** Undefined: the name is an app's. */
function chooseInstance(
  { settings }: Context,
  args: { readonly app: string; readonly instance?: boolean | undefined; readonly from?: string | undefined },
): Instance | undefined {
  if (args.instance === true) return requireInstance(settings, args.app, 'compare');
  if (args.from !== undefined || currentNumber(storePaths(settings.root), args.app) !== undefined) return undefined;
  return findInstance(settings, args.app);
}

function diffInstance({ settings }: Context, instance: Instance): CommandResult {
  const tree = instanceUpper(settings, instance);
  if (tree === undefined) {
    throw new TreesError(
      'APP_NOT_INSTALLED',
      `cannot compare ${instance.name}: its app ${instance.app} is not installed`,
    );
  }
  const changes = diffUpper(tree.upper, tree.lower);
  return {
    json: { instance: instance.name, app: instance.app, changes },
    text: changes.map(({ change, path }) => `${change} ${path}\n`).join(''),
  };
}
