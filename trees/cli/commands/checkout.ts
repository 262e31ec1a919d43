import { resolve } from 'node:path';
import { usageError } from '../../errors.js';
import type { AppReference } from '../../feed/select.js';
import { checkoutApp } from '../../store/checkout-app.js';
import { requireTarget } from '../../store/checkout-into.js';
import { findGeneration, type Generation, isAppName, readInstalled } from '../../store/generations.js';
import { type StorePaths, storePaths } from '../../store/paths.js';
import { type Context, defineCommand } from '../command.js';
import { storeOptions } from '../store-options.js';

export const command = defineCommand({
  name: 'checkout',
  aliases: ['co'],
  summary: "build an app's link tree, into a directory if given",
  description:
    'Installs the app if it is not. A version that is here to go back to is taken as it is, and what is current stays ' +
    'so; one that is not here is installed. With --target its files are hard linked into that directory: what is there stays, ' +
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
    let chosen = await findHere(paths, reference);
    if (chosen === undefined) {
      if (settings.dryRun) return await install(context, args.app);
      await install(context, args.app);
      chosen = readInstalled(paths, name)?.current;
    }
    if (chosen === undefined) throw new Error(`${name} is not there although it was installed`);
    const tree = {
      name,
      version: chosen.version,
      generation: chosen.number,
      rootfs: paths.rootfs(name, chosen.number),
    };
    if (args.target === undefined) return { json: tree, text: `${tree.rootfs}\n` };
    const target = resolve(context.cwd, args.target);
    const copy = args.copy === true;
    if (settings.dryRun) {
      requireTarget({ store: paths.root, repo: paths.repo }, target, copy);
      const what = `${name} ${chosen.version} (generation ${chosen.number})`;
      return {
        json: { ...tree, target, dryRun: true },
        text: `would ${copy ? 'copy' : 'link'} the files of ${what} into ${target}\n`,
      };
    }
    const { placed, same, copied, kept } = await checkoutApp({
      ...storeOptions(context, `check out ${name}`),
      generation: chosen,
      target,
      force: args.force === true,
      copy,
    });
    if (kept.length > 0) {
      const some = kept.slice(0, 3).join(', ');
      context.reporter.warn(
        `${countFiles(kept.length)} in the way and kept (${some}${kept.length > 3 ? ', …' : ''}); --force replaces what is`,
      );
    }
    if (copied > 0) {
      context.reporter.warn(
        `${countFiles(copied)} copied: the file system allows no more hard links to what is in the store`,
      );
    }
    return { json: { ...tree, target, placed, same, copied, kept }, text: `${target}\n` };
  },
});

/** The generation to check out; undefined if it is for the installer to say, which knows feeds and what they offer. */
async function findHere(paths: StorePaths, { name, range, feed }: AppReference): Promise<Generation | undefined> {
  const installed = readInstalled(paths, name);
  if (installed === undefined || feed !== undefined) return undefined;
  if (range === undefined) return installed.current;
  const { default: satisfies } = await import('semver/functions/satisfies.js');
  const older = installed.generations.toReversed().map((number) => findGeneration(paths, name, number));
  return [installed.current, ...older].find((one) => one !== undefined && satisfies(one.version, range));
}

function countFiles(count: number): string {
  return count === 1 ? '1 file was' : `${count} files were`;
}

/** What is only a name needs nothing that knows of versions, which takes longer to load than a small tree to link. */
async function referenceOf(app: string): Promise<AppReference> {
  if (isAppName(app)) return { feed: undefined, name: app, range: undefined };
  const { parseAppReference } = await import('../../feed/select.js');
  return parseAppReference(app);
}

async function install(context: Context, app: string) {
  const { command: installer } = await import('./install.js');
  return await installer.run(context, { app: [app], rest: [] });
}
