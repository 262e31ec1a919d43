import { TreesError, usageError } from '../../errors.js';
import { type Context, defineCommand } from '../command.js';
import { legacyOptions } from '../globals.js';

/** The original command line: `trees APP [-b BASE] [-n NAME] [-f] [-d]`. */
export const command = defineCommand({
  name: 'APP',
  summary: 'install APP from a feed, or with -d remove it and prune the store',
  positionals: [{ name: 'app', describe: 'NAME, NAME@RANGE or FEED/NAME@RANGE', complete: 'app' }],
  options: legacyOptions,
  examples: [
    ['etcd -b deb', 'install etcd over the Debian base'],
    ['etcd -d', 'remove etcd and prune the store'],
  ],
  async handler(context, args) {
    const app = args.app ?? args.name;
    if (app === undefined) throw usageError('Expected the name of an app', 'for example: trees etcd -b deb');
    if (args.delete === true) {
      const name = args.name ?? app;
      if (args.base !== undefined) await requireBase(context, name, args.base);
      const { command: remove } = await import('./remove.js');
      return remove.run(context, { app: [name], force: args.force, rest: [] });
    }
    const { command: install } = await import('./install.js');
    const name = args.app === undefined ? undefined : args.name;
    return install.run(context, { app: [app], base: args.base, name, force: args.force, rest: [] });
  },
});

/** `-d -b BASE` removes an app only from that base: what was meant for another one stays. */
async function requireBase(context: Context, name: string, base: string): Promise<void> {
  const [{ readInstalled }, { storePaths }] = await Promise.all([
    import('../../store/generations.js'),
    import('../../store/paths.js'),
  ]);
  const installed = readInstalled(storePaths(context.settings.root), name)?.current;
  if (installed === undefined || installed.base?.name === base) return;
  throw new TreesError(
    'BASE_NOT_FOUND',
    `cannot remove ${name} from base "${base}": it is on ${installed.base?.name ?? 'none'}`,
    {
      hint: 'leave --base out to remove it all the same',
    },
  );
}
