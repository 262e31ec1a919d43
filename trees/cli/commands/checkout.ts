import { resolve } from 'node:path';
import { usageError } from '../../errors.js';
import { checkoutApp } from '../../store/checkout-app.js';
import { isAppName, readInstalled } from '../../store/generations.js';
import { storePaths } from '../../store/paths.js';
import { type Context, defineCommand } from '../command.js';
import { storeOptions } from '../store-options.js';

export const command = defineCommand({
  name: 'checkout',
  aliases: ['co'],
  summary: "build an app's link tree, into a directory if given",
  description:
    'Installs the app if it is not. With --target its files are hard linked into that directory: what is there stays, ' +
    'files in the way are kept. Linked files are the ones of the store, so change none of them in place; --copy makes ' +
    'files of their own.',
  positionals: [{ name: 'app', describe: 'NAME, NAME@RANGE or FEED/NAME@RANGE', required: true, complete: 'app' }],
  options: {
    target: {
      type: 'string',
      alias: 't',
      value: 'PATH',
      complete: 'directory',
      describe: 'directory to add the tree to',
    },
    force: { type: 'boolean', alias: 'f', describe: 'replace files in the way' },
    copy: { type: 'boolean', describe: 'copy instead of linking; for another file system' },
  },
  examples: [
    ['co etcd', 'the link tree in the store; prints its path'],
    ['co etcd -t /srv/etcd', 'the same below /srv/etcd'],
  ],
  async handler(context, args) {
    if (args.target === undefined && (args.copy === true || args.force === true)) {
      throw usageError('Expected --target together with --copy or --force');
    }
    const { settings } = context;
    const reference = await referenceOf(args.app);
    const { name } = reference;
    const paths = storePaths(settings.root);
    // With a range or a feed it is for the installer to say whether what is there will do.
    if (readInstalled(paths, name) === undefined || reference.range !== undefined || reference.feed !== undefined) {
      if (settings.dryRun) return await install(context, args.app);
      await install(context, args.app);
    }
    const current = readInstalled(paths, name)?.current;
    if (current === undefined) throw new Error(`${name} is not there although it was installed`);
    const tree = {
      name,
      version: current.version,
      generation: current.number,
      rootfs: paths.rootfs(name, current.number),
    };
    if (args.target === undefined || settings.dryRun) return { json: tree, text: `${tree.rootfs}\n` };
    const target = resolve(context.cwd, args.target);
    const { placed, same, copied, kept } = await checkoutApp({
      ...storeOptions(context, `check out ${name}`),
      name,
      target,
      force: args.force === true,
      copy: args.copy === true,
    });
    if (kept.length > 0) {
      const some = kept.slice(0, 3).join(', ');
      context.reporter.warn(
        `${kept.length} files were in the way and were kept (${some}${kept.length > 3 ? ', …' : ''}); --force replaces them`,
      );
    }
    if (copied > 0) {
      context.reporter.warn(`${copied} files were copied: the file system allows no more hard links to them`);
    }
    return { json: { ...tree, target, placed, same, copied, kept }, text: `${target}\n` };
  },
});

/** What is only a name needs nothing that knows of versions, which takes longer to load than a small tree to link. */
async function referenceOf(app: string) {
  if (isAppName(app)) return { feed: undefined, name: app, range: undefined };
  const { parseAppReference } = await import('../../feed/select.js');
  return parseAppReference(app);
}

async function install(context: Context, app: string) {
  const { command: installer } = await import('./install.js');
  return await installer.run(context, { app: [app], rest: [] });
}
