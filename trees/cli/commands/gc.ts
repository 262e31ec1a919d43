import { usageError } from '../../errors.js';
import { collectGarbage, type GcResult } from '../../store/gc.js';
import { defineCommand } from '../command.js';
import { formatBytes } from '../render/format.js';
import { storeOptions } from '../store-options.js';

const DEFAULT_KEEP = 2;

export const command = defineCommand({
  name: 'gc',
  summary: 'delete what no installed app needs',
  description:
    'Deletes old generations, bases and layers that no generation needs, remains of interrupted commands, and downloads. ' +
    'Current, pinned and running generations stay, data too.',
  positionals: [],
  options: {
    keep: { type: 'number', value: 'N', describe: `older generations of each app to keep (default ${DEFAULT_KEEP})` },
  },
  examples: [
    ['gc --dry-run', 'what would be deleted'],
    ['gc --keep 0', 'keep only what is current, pinned or running'],
  ],
  async handler(context, args) {
    const keep = args.keep ?? DEFAULT_KEEP;
    if (!Number.isInteger(keep) || keep < 0) {
      throw usageError(`Expected --keep to be a whole number that is not negative, got ${keep}`);
    }
    const { dryRun } = context.settings;
    const result = await collectGarbage({ ...storeOptions(context, 'gc'), keep, dryRun });
    return { json: { dryRun, ...result }, text: describe(result, dryRun) };
  },
});

function describe({ generations, refs, objects, freed }: GcResult, dryRun: boolean): string {
  if (generations.length === 0 && refs.length === 0 && objects === 0) return 'nothing to delete\n';
  const lines = [
    ...generations.map(({ name, number }) => `generation ${number} of ${name}`),
    `${objects} objects, ${formatBytes(freed)}`,
  ];
  return lines.map((line) => `${dryRun ? 'would delete' : 'deleted'} ${line}\n`).join('');
}
