import { usageError } from '../../errors.js';
import {
  type InstallOptions,
  type InstallPlan,
  type InstallResult,
  installApp,
  planInstall,
} from '../../store/install.js';
import { storePaths } from '../../store/paths.js';
import { type Context, defineCommand } from '../command.js';
import { formatBytes } from '../render/format.js';
import { planJson, planLines } from '../render/plan.js';
import { storeOptions } from '../store-options.js';

export const command = defineCommand({
  name: 'install',
  summary: 'install an app from a feed',
  description:
    'Fetches what is missing as binary deltas, verifies it, composes it with its base and makes it current. ' +
    'An app that is there already in the newest version is left alone. The indexes of the feeds are fetched first; ' +
    'where that fails the last verified ones are used.',
  positionals: [
    {
      name: 'app',
      describe: 'NAME, NAME@RANGE or FEED/NAME@RANGE',
      required: true,
      variadic: true,
      complete: 'app',
    },
  ],
  options: {
    base: {
      type: 'string',
      alias: 'b',
      value: 'BASE',
      complete: 'base',
      describe: 'base to install on: NAME or NAME@RANGE',
    },
    name: { type: 'string', alias: 'n', value: 'NAME', describe: 'install under this name' },
    force: { type: 'boolean', alias: 'f', describe: 'clear and install again' },
    channel: {
      type: 'string',
      choices: ['stable', 'edge'],
      describe: 'edge: also versions that are not for everybody yet, now and in updates; stable: back again',
    },
    'allow-stale': { type: 'boolean', describe: 'accept an index that has expired' },
  },
  examples: [
    ['install etcd', 'the newest version on its base'],
    ['install etcd@^3.5 -n etcd35', 'a version of your choice under another name'],
    ['install etcd --dry-run', 'what would be fetched, and whether there is room'],
  ],
  async handler(context, args) {
    const [first] = args.app;
    if (first === undefined) throw usageError('Expected the name of an app', 'for example: trees install etcd');
    if (args.name !== undefined && args.app.length > 1) {
      throw usageError(`Expected one app together with --name, got ${args.app.length}`);
    }
    const requests = args.app.map((app) => request(context, app, args));
    if (context.settings.dryRun) {
      const plans: InstallPlan[] = [];
      for (const options of requests) plans.push(await planInstall(options));
      return { json: { dryRun: true, apps: plans.map(toPlanJson) }, text: plans.map(planText).join('\n') };
    }
    const results: InstallResult[] = [];
    for (const options of requests) results.push(await installApp(options));
    return {
      json: { apps: results.map((result) => resultJson(context, result)) },
      text: results.map(resultText).join(''),
    };
  },
});

function request(
  context: Context,
  app: string,
  args: {
    base?: string | undefined;
    name?: string | undefined;
    force?: boolean | undefined;
    channel?: string | undefined;
    'allow-stale'?: boolean | undefined;
  },
): InstallOptions {
  return {
    ...storeOptions(context, `install ${app}`),
    app,
    base: args.base,
    name: args.name,
    force: args.force,
    channel: args.channel === 'edge' || args.channel === 'stable' ? args.channel : undefined,
    allowStale: args['allow-stale'],
    arch: context.settings.arch,
    feed: context.settings.feed,
    network: context.settings.network,
  };
}

function resultJson(context: Context, { action, generation, previous, fetched, bundles, fallback }: InstallResult) {
  const { name, app, version, arch, feed, base, number, tree, size, files } = generation;
  return {
    action,
    name,
    app,
    version,
    arch,
    feed,
    base: { name: base.name, version: base.version },
    generation: number,
    tree,
    rootfs: storePaths(context.settings.root).rootfs(name, number),
    size,
    files,
    previous: previous === undefined ? null : { version: previous.version, generation: previous.number },
    fetched,
    bundles,
    fallback,
  };
}

function resultText({ action, generation, previous, fetched, fallback }: InstallResult): string {
  const { name, app, version, base, number } = generation;
  const on = base.name === 'none' ? 'without a base' : `on ${base.name} ${base.version}`;
  const what = `${name}${name === app ? '' : ` (${app})`} ${version} ${on}`;
  if (action === 'unchanged') return `${what} is installed already (generation ${number})\n`;
  const was = previous === undefined ? '' : `, was ${previous.version}`;
  const way = fallback.length === 0 ? '' : `, after ${fallback.length} other bundles failed`;
  return `installed ${what} (generation ${number}${was}), fetched ${formatBytes(fetched)}${way}\n`;
}

function toPlanJson(plan: InstallPlan) {
  const { selection, name, done, installed } = plan.target;
  return {
    action: done ? 'unchanged' : 'install',
    name,
    app: selection.name,
    version: selection.app.version,
    arch: selection.app.arch,
    feed: selection.feed.feed.name,
    unsigned: selection.feed.legacy !== undefined,
    base: { name: selection.base.name, version: selection.base.version.version },
    installed:
      installed === undefined ? null : { version: installed.current.version, generation: installed.current.number },
    ...planJson(plan),
  };
}

function planText(plan: InstallPlan): string {
  const { selection, name, done } = plan.target;
  const what = `${name} ${selection.app.version} on ${selection.base.name} ${selection.base.version.version}`;
  if (done) return `${what} is installed already, nothing would be done\n`;
  const vouched = selection.feed.legacy === undefined ? '' : ', which nobody signs';
  return [`would install ${what} from feed ${selection.feed.feed.name}${vouched}`, ...planLines(plan), ''].join('\n');
}
