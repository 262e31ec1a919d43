import { defineCommand } from '../trees/cli/command.js';
import { TreesError } from '../trees/errors.js';
import { channels } from '../trees/feed/schema.js';
import { openOrCreateBuildRepo } from './build-repo.js';
import { type Promotion, promote as promoteIn } from './promote.js';
import { publishChange } from './release.js';
import { publishingOptions, publishOptions } from './release-options.js';
import { releaseJson, releaseText } from './render.js';

export const promote = defineCommand({
  name: 'promote',
  summary: 'move a published version to another channel',
  description:
    'Publishes an index in which the version is on the other channel; no bundle is made or fetched unless its users ' +
    'need one. Without a range the newest version is moved. Versions on edge are only installed and updated to by ' +
    'those who use --channel edge.',
  positionals: [{ name: 'name', describe: 'app or base: NAME or NAME@RANGE', required: true, complete: 'app' }],
  options: {
    channel: { type: 'string', choices: channels, describe: 'where to; default stable' },
    ...publishingOptions,
  },
  examples: [
    ['release promote etcd --to github:me/feed --key trees.key', 'give the newest etcd to everybody'],
    ['release promote etcd@3.6.0 --channel edge --to dir:/srv/feed --key trees.key', 'take it back to edge'],
  ],
  async handler(context, args) {
    const { settings } = context;
    const options = await publishOptions(context, args);
    const channel = args.channel === 'edge' ? 'edge' : 'stable';
    const { url } = options.destination;
    let promotions: readonly Promotion[] = [];
    await using opened = await openOrCreateBuildRepo(options.build, settings.dryRun);
    const result = await publishChange(
      opened.repo,
      async (previous) => {
        if (previous === undefined) {
          throw new TreesError('FEED_UNREACHABLE', `cannot promote ${args.name}: ${url} has no index`, {
            hint: 'is the address right? `trees release` publishes to it',
          });
        }
        const promoted = promoteIn(previous, args.name, channel);
        ({ promotions } = promoted);
        return await Promise.resolve(promoted.content);
      },
      options,
    );
    const would = settings.dryRun ? 'would move' : 'moved';
    const lines = promotions.map(
      ({ name, version, arch, from, to }) => `${would} ${name} ${version} (${arch}) from ${from} to ${to}\n`,
    );
    return {
      json: { ...releaseJson(result, url, settings.dryRun), promotions },
      text: `${lines.join('')}${releaseText(result, url, settings.dryRun)}`,
    };
  },
});
