import { usageError } from '../../errors.js';
import { cleanupCgroups } from '../../run/cgroup-cleanup.js';
import { forgetLaunches } from '../../run/kept/forget.js';
import { collectGarbage, DEFAULT_KEEP, type GcResult } from '../../store/gc.js';
import { defineCommand } from '../command.js';
import { formatBytes } from '../render/format.js';
import { storeOptions } from '../store-options.js';

export const command = defineCommand({
  name: 'gc',
  summary: 'delete what no installed app needs',
  description:
    'Deletes old generations, bases and layers that no generation needs, remains of interrupted commands, and downloads. ' +
    'Current, pinned and running generations stay, data too. --dry-run says what would go, and why the rest stays.',
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
    // Of instances whose launcher was killed: they are no part of the store, and cost what the kernel keeps for each.
    if (!dryRun) {
      cleanupCgroups();
      forgetLaunches(context.settings, context);
    }
    return { json: { dryRun, ...result }, text: describe(result, { keep, dryRun }) };
  },
});

function describe(result: GcResult, { keep, dryRun }: { keep: number; dryRun: boolean }): string {
  const { generations, refs, objects, downloads, freed, kept } = result;
  const verb = dryRun ? 'would delete' : 'deleted';
  const isNothing = generations.length === 0 && refs.length === 0 && objects === 0 && downloads === 0;
  const lines = isNothing
    ? ['nothing to delete']
    : [
        ...generations.map(({ name, number }) => `${verb} generation ${number} of ${name}`),
        ...refs.filter((ref) => !ref.startsWith('tree/')).map((ref) => `${verb} ${nameOfRef(ref)}`),
        `${verb} ${objects} objects and ${downloads} downloads, ${formatBytes(freed)}`,
      ];
  if (dryRun) {
    for (const { name, number, version, reasons } of kept.generations) {
      const why = reasons.map((reason) => (reason === 'recent' ? `kept to go back to (--keep ${keep})` : reason));
      lines.push(`stays: generation ${number} of ${name} (${version ?? 'damaged'}): ${why.join(', ')}`);
    }
    for (const { ref, neededBy } of kept.refs) {
      const users = neededBy.map(({ name, number }) => `generation ${number} of ${name}`);
      lines.push(`stays: ${nameOfRef(ref)}: needed by ${users.join(', ')}`);
    }
  }
  return lines.map((line) => `${line}\n`).join('');
}

/** `base deb 12.0.0` */
function nameOfRef(ref: string): string {
  const [kind, name, , version] = ref.split('/');
  return version === undefined ? ref : `${kind} ${name} ${version}`;
}
