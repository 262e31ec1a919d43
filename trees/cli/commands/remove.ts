import { planRemove, type RemoveOptions, type RemoveResult, removeApp } from '../../store/remove.js';
import { defineCommand } from '../command.js';
import { formatBytes } from '../render/format.js';
import { storeOptions } from '../store-options.js';

export const command = defineCommand({
  name: 'remove',
  aliases: ['rm'],
  summary: 'remove an app and prune the store',
  description:
    'Deletes all generations of the app and everything in the store that no other app needs. What the app itself wrote ' +
    'is kept and used again when it is installed again, unless --purge is given.',
  positionals: [
    { name: 'app', describe: 'name it is installed under', required: true, variadic: true, complete: 'installed' },
  ],
  options: {
    purge: { type: 'boolean', describe: 'delete its data, too, also that of its instances with other names' },
    force: { type: 'boolean', alias: 'f', describe: 'remove it even while it runs' },
  },
  examples: [
    ['remove etcd', 'remove it, keep its data'],
    ['rm etcd --purge', 'remove it and its data'],
  ],
  async handler(context, args) {
    const results: RemoveResult[] = [];
    const { dryRun } = context.settings;
    for (const name of new Set(args.app)) {
      const options: RemoveOptions = {
        ...storeOptions(context, `remove ${name}`),
        name,
        purge: args.purge === true,
        force: args.force === true,
      };
      results.push(dryRun ? await planRemove(options) : await removeApp(options));
    }
    return {
      json: { dryRun, apps: results },
      text: results.map((result) => describe(result, dryRun)).join(''),
    };
  },
});

function describe({ name, generations, data, purged, pruned }: RemoveResult, dryRun: boolean): string {
  const count = generations.length === 1 ? '1 generation' : `${generations.length} generations`;
  const lines = [
    `${dryRun ? 'would remove' : 'removed'} ${name}: ${count}, ${formatBytes(pruned.freed)} of objects`,
    ...(data.length === 0 ? [] : [`its data stays in ${data.join(', ')} (trees rm ${name} --purge deletes it)`]),
    ...(purged.length === 0 ? [] : [`its data in ${purged.join(', ')} ${dryRun ? 'would be' : 'was'} deleted`]),
  ];
  return `${lines.join('\n')}\n`;
}
