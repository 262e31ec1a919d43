import type { Damage } from '../../store/fsck.js';
import { appNames, isAppName, requireInstalled } from '../../store/generations.js';
import { type StorePaths, storePaths } from '../../store/paths.js';
import { checkStore } from '../../store/repair.js';
import { defineCommand } from '../command.js';
import { formatBytes } from '../render/format.js';
import { storeOptions } from '../store-options.js';

export const command = defineCommand({
  name: 'fsck',
  summary: 'check the store, and repair it',
  description:
    'Checks every object against its checksum, every link tree against its commit, records and refs; with apps named, only ' +
    'what those need. The exit status is 1 if anything is damaged.\n\n' +
    '--repair fetches missing and damaged objects again from the feeds: of a bundle only the parts that hold them, all of ' +
    'it only if no part will do. It composes trees and makes link trees again. A ' +
    'damaged current generation is replaced by a new one; what runs keeps running from the old one. Data is never touched. ' +
    'The exit status is 1 if anything stays damaged.',
  positionals: [{ name: 'app', describe: 'name it is installed under', variadic: true, complete: 'installed' }],
  options: {
    repair: { type: 'boolean', describe: 'put right what can be put right' },
    'allow-stale': { type: 'boolean', describe: 'accept indexes that have expired' },
  },
  examples: [
    ['fsck', 'check everything'],
    ['fsck --repair', 'and fetch again what is damaged'],
    ['fsck etcd --json', 'one app, for scripts'],
  ],
  async handler(context, args) {
    const { settings } = context;
    for (const name of args.app) requirePresent(storePaths(settings.root), name);
    const repair = args.repair === true && !settings.dryRun;
    const { damage, repaired, generations, marks, fetched } = await checkStore({
      ...storeOptions(context, repair ? 'fsck --repair' : 'fsck'),
      names: args.app.length === 0 ? undefined : [...new Set(args.app)],
      repair,
      allowStale: args['allow-stale'],
      network: settings.network,
    });
    const count = generations === 1 ? '1 generation' : `${generations} generations`;
    const verdict =
      damage.length === 0
        ? `${count} checked, everything is as it should be\n`
        : `${count} checked, ${damage.length} ${damage.length === 1 ? 'thing is' : 'things are'} damaged` +
          `${repair ? ' still' : '; trees fsck --repair puts right what it can'}\n`;
    return {
      status: damage.length === 0 ? 0 : 1,
      json: { dryRun: settings.dryRun, generations, damage, repaired, unfinished: marks, fetched },
      text:
        damage.map((found) => `${describe(found)}\n`).join('') +
        repaired.map((found) => `repaired: ${describe(found)}\n`).join('') +
        (fetched > 0 ? `fetched ${formatBytes(fetched)}\n` : '') +
        verdict,
    };
  },
});

/** Also an app whose records are damaged: that is what this is for. @throws TreesError APP_NOT_INSTALLED */
function requirePresent(paths: StorePaths, name: string): void {
  if (!isAppName(name) || !appNames(paths).includes(name)) requireInstalled(paths, name);
}

const SHOWN = 5;

function describe(damage: Damage): string {
  switch (damage.kind) {
    case 'object':
      return `object ${damage.checksum}.${damage.type} is ${damage.problem}`;
    case 'commit':
      return `commit ${damage.commit} (${damage.ref}) is incomplete`;
    case 'ref':
      return `ref ${damage.ref} ${damage.found === undefined ? 'is missing' : `is ${damage.found}`}, expected ${damage.expected}`;
    case 'record':
      return `generation ${damage.generation} of ${damage.name}: its record is damaged`;
    case 'current':
      return `app ${damage.name}: generation ${damage.generation}, which is current, is gone`;
    case 'tree': {
      const { name, generation, missing, changed, extra } = damage;
      const differences = [
        ...missing.map((path) => `${path} is missing`),
        ...changed.map((path) => `${path} is changed`),
        ...extra.map((path) => `${path} does not belong there`),
      ];
      const more = differences.length > SHOWN ? `, and ${differences.length - SHOWN} more` : '';
      return `generation ${generation} of ${name}: ${differences.slice(0, SHOWN).join(', ')}${more}`;
    }
  }
}
