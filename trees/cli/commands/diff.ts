import { type Change, diffGenerations } from '../../store/diff.js';
import { defineCommand } from '../command.js';
import { readGenerationNumber } from '../generation-number.js';
import { formatBytes } from '../render/format.js';
import { storeOptions } from '../store-options.js';

export const command = defineCommand({
  name: 'diff',
  summary: 'show what changed between two generations of an app',
  description:
    'Paths that were added (+), changed (~) or removed (-) with the sizes of files, by default between the current ' +
    'generation and the one before. Only metadata is compared, so it is quick however large the app is.',
  positionals: [
    { name: 'app', describe: 'name it is installed under', required: true, complete: 'installed' },
    { name: 'from', describe: 'number of the older generation; the one before the newer' },
    { name: 'to', describe: 'number of the newer generation; the current one' },
  ],
  options: {},
  examples: [
    ['diff etcd', 'what the last update changed'],
    ['diff etcd 2 5 --json', 'between two generations, for scripts'],
  ],
  async handler(context, args) {
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
