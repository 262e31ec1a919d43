import { usageError } from '../../errors.js';
import { parseAppReference } from '../../feed/select.js';
import { pinApp, unpinApp } from '../../store/hold.js';
import { defineCommand } from '../command.js';
import { storeOptions } from '../store-options.js';

export const pin = defineCommand({
  name: 'pin',
  summary: 'hold an app at its version or within a range',
  description:
    'Updates then bring only versions in the range; without one, the app stays at the version it has. Its base still moves, so ' +
    'security fixes arrive. gc keeps the generation that an app is held at. trees unpin lets it go.',
  positionals: [{ name: 'app', describe: 'NAME or NAME@RANGE', required: true, complete: 'installed' }],
  options: {},
  examples: [
    ['pin etcd', 'stay at the version that is current'],
    ['pin etcd@^3.5', 'stay within a range'],
    ['pin etcd --dry-run', 'what the range would be'],
  ],
  async handler(context, args) {
    const { dryRun } = context.settings;
    const { feed, name, range } = parseAppReference(args.app);
    if (feed !== undefined || (range === undefined && args.app.includes('@'))) {
      throw usageError(
        `Expected app to be NAME or NAME@RANGE, got "${args.app}"`,
        `for example: trees pin ${name}@^1.2`,
      );
    }
    const { pin: made, current, fits } = await pinApp({ ...storeOptions(context, `pin ${name}`), name, range, dryRun });
    const outside = fits ? '' : `${current}, which is current, is not in it: the next update goes there\n`;
    return {
      json: { dryRun, name, pin: made, current, fits },
      text: `${name} ${dryRun ? 'would be' : 'is'} pinned to ${made.range}\n${outside}`,
    };
  },
});

export const unpin = defineCommand({
  name: 'unpin',
  summary: 'let a pinned app be updated again',
  positionals: [{ name: 'app', describe: 'name it is installed under', required: true, complete: 'installed' }],
  options: {},
  examples: [['unpin etcd', 'the next update brings the newest version']],
  async handler(context, args) {
    const { dryRun } = context.settings;
    const { app: name } = args;
    const held = await unpinApp({ ...storeOptions(context, `unpin ${name}`), name, dryRun });
    return {
      json: { dryRun, action: held ? 'unpinned' : 'unchanged', name },
      text: held ? `${name} ${dryRun ? 'could' : 'can'} be updated again\n` : `${name} was not pinned\n`,
    };
  },
});
