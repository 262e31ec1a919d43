import { relative, resolve } from 'node:path';
import { TreesError } from '../../errors.js';
import { readKeyOption } from '../../feed/key-option.js';
import { isLegacyReference, parseLegacyReference } from '../../feed/legacy-url.js';
import { type InstalledFile, installFile } from '../../store/install-file.js';
import { installLegacy } from '../../store/install-legacy.js';
import { storePaths } from '../../store/paths.js';
import { type Context, defineCommand } from '../command.js';
import { formatBytes } from '../render/format.js';
import { storeOptions } from '../store-options.js';

export const install = defineCommand({
  name: 'install',
  summary: 'install a base or an app from a file',
  description:
    'Takes bundles of bases and layers, inline static deltas of stock ostree, and tars that hold one static delta, as the ' +
    'original project published them. A layer goes on the newest fitting base that is here and becomes a generation of ' +
    'its app; a base is kept until trees gc finds that no app needs it. A commit that does not say what it is becomes an ' +
    'app without a base, called as the file is; its version is the day it was made.\n\n' +
    'The commit has to be signed by a key of a feed that was added, or by the one named with --key. Updates come from ' +
    'the feed whose key it is.\n\n' +
    'legacy:OWNER/REPO/NAME[@TAG] is a release of the original project on GitHub: NAME.tar with NAME.sum of the release ' +
    'NAME, with --as base delta_base.tar with NAME.sum of the latest one. Nothing there is signed, so it asks first; ' +
    '--trust-unsigned or --yes answer. The tree has to be the one whose checksum NAME.sum has.',
  positionals: [
    {
      name: 'file',
      describe: 'bundle, inline delta or tar, or legacy:OWNER/REPO/NAME[@TAG]',
      required: true,
      complete: 'file',
    },
  ],
  options: {
    name: { type: 'string', alias: 'n', value: 'NAME', describe: 'install under this name' },
    as: {
      type: 'string',
      choices: ['app', 'base'],
      describe: 'what it is, if its commit does not say (default app)',
    },
    version: { type: 'string', value: 'VERSION', describe: 'its version, if its commit does not say' },
    key: { type: 'string', value: 'KEY', complete: 'file', describe: 'public key to trust, or the file it is in' },
    'trust-unsigned': {
      type: 'boolean',
      describe: 'take a commit that nobody signed: nobody vouches for what is in it but you',
    },
  },
  examples: [
    ['bundle install deb-12.zst', 'a base, by the key of a feed'],
    ['bundle install etcd.zst --key trees.pub', 'an app, by a key of your choice'],
    ['bundle install etcd.tar --trust-unsigned', 'what the original project published'],
    ['bundle install legacy:untoreh/trees/etcd --trust-unsigned', 'the same, from where it was published'],
  ],
  async handler(context, args) {
    const { dryRun, arch } = context.settings;
    const options = {
      ...storeOptions(context, `bundle install ${args.file}`),
      as: args.as === 'base' ? 'base' : args.as === 'app' ? 'app' : undefined,
      name: args.name,
      version: args.version,
      arch,
      dryRun,
    } as const;
    if (isLegacyReference(args.file)) {
      const reference = parseLegacyReference(args.file);
      if (args['trust-unsigned'] !== true) await confirmUnsigned(context, args.file);
      const installed = await installLegacy({ ...options, reference, network: context.settings.network });
      return { json: toJson(context, installed), text: describe(installed, args.file, dryRun) };
    }
    const file = resolve(context.cwd, args.file);
    const result = await installFile({
      ...options,
      file,
      keys: args.key === undefined ? [] : [await readKeyOption(args.key, context.cwd)],
      trustUnsigned: args['trust-unsigned'] === true,
    });
    return { json: toJson(context, result), text: describe(result, relative(context.cwd, file), dryRun) };
  },
});

/** @throws TreesError NOT_CONFIRMED */
async function confirmUnsigned(context: Context, url: string): Promise<void> {
  const question =
    `Nobody has signed ${url}: whoever can write to that repository, or to the network on the way, decides what you get. ` +
    'Install it all the same?';
  if (await context.confirm(question)) return;
  throw new TreesError('NOT_CONFIRMED', `cannot install ${url}: it is not signed, and that was not accepted`, {
    hint: '--trust-unsigned installs it all the same: nobody vouches then for what is in it but you',
  });
}

function toJson(context: Context, { identity, generation, previous, signedBy, feed, ...rest }: InstalledFile) {
  const { name, version, arch, kind } = identity;
  const { base } = rest;
  return {
    dryRun: context.settings.dryRun,
    action: rest.action,
    kind,
    name,
    version,
    arch,
    base: base === undefined ? null : { name: base.name, version: base.version },
    from: rest.from,
    to: rest.to,
    signedBy: signedBy ?? null,
    feed: feed ?? null,
    written: rest.bytesWritten,
    generation: generation?.number ?? null,
    rootfs:
      generation === undefined ? null : storePaths(context.settings.root).rootfs(generation.name, generation.number),
    previous: previous === undefined ? null : { version: previous.version, generation: previous.number },
  };
}

function describe(result: InstalledFile, file: string, dryRun: boolean): string {
  const { identity, base, generation, previous, signedBy, bytesWritten } = result;
  if (result.action === 'unchanged') {
    const number = generation === undefined ? '' : ` (generation ${generation.number})`;
    return `${identity.name} ${identity.version} is installed already${number}\n`;
  }
  const verb = dryRun ? 'would install' : 'installed';
  const by = signedBy === undefined ? 'unsigned' : `signed by ${signedBy}`;
  const wrote = dryRun ? '' : `, wrote ${formatBytes(bytesWritten)}`;
  if (base === undefined) return `${verb} base ${identity.name} ${identity.version} from ${file} (${by})${wrote}\n`;
  const number = generation === undefined ? '' : ` (generation ${generation.number})`;
  const was = previous === undefined ? '' : `, was ${previous.version}`;
  const on = identity.kind === 'tree' ? 'without a base' : `on ${base.name} ${base.version}`;
  return `${verb} ${identity.name} ${identity.version} ${on}${number} from ${file} (${by})${was}${wrote}\n`;
}
