import { usageError } from '../../errors.js';
import { defineCommand } from '../command.js';
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
      if (args.base !== undefined || args.force === true) {
        throw usageError('Expected -d alone, got it together with -b or -f', 'remove first, then install');
      }
      const { command: remove } = await import('./remove.js');
      return remove.run(context, { app: [args.name ?? app], rest: [] });
    }
    const { command: install } = await import('./install.js');
    const name = args.app === undefined ? undefined : args.name;
    return install.run(context, { app: [app], base: args.base, name, force: args.force, rest: [] });
  },
});
