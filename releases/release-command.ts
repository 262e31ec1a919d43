import { defineCommand, defineGroup } from '../trees/cli/command.js';
import { TreesError, usageError } from '../trees/errors.js';
import { channels } from '../trees/feed/schema.js';
import { buildFirst } from './build-first.js';
import { catalog } from './catalog-command.js';
import { promote } from './promote-command.js';
import { release as publishRelease, type ReleaseResult } from './release.js';
import { publishingOptions, publishOptions, wholeNumber } from './release-options.js';
import { releaseJson, releaseText } from './render.js';
import { verify } from './verify-command.js';

const publish = defineCommand({
  name: 'release',
  summary: 'publish built bases and apps to a feed',
  description:
    'Builds what has changed, signs it, makes the bundles that save their users something, applies each of them in ' +
    'a scratch repository, and switches the feed to a new signed index. What is published already is kept; if nothing ' +
    'is new, nothing is changed. A new version whose content is that of the newest published one is not published.\n' +
    'Each NAME that has a definition is built first, as `trees build` does. Without NAME that is everything that was ' +
    'built here before, from the same definition, and all definitions in the directories given with --definitions or ' +
    'the setting build.definitions; and everything that was built is published. Building needs root: without it, and ' +
    'with --no-build, what is there is published.\n' +
    'On GitHub each publication is a release: a draft collects the bundles, each is downloaded again and applied, ' +
    'then it becomes the latest release. The token comes from GITHUB_TOKEN, GH_TOKEN or the setting github.token. An ' +
    'interrupted publication is continued by running the command again; several publishers may run at once.',
  positionals: [
    { name: 'names', describe: 'base or app, or a definition file', variadic: true, complete: 'definition' },
  ],
  options: {
    ...publishingOptions,
    keep: {
      type: 'number',
      value: 'N',
      describe: 'versions of each app and base that stay listed; default: the setting release.keep, or 5',
    },
    channel: {
      type: 'string',
      choices: channels,
      describe: 'channel of versions that are new: edge is for those who ask for it; default stable',
    },
    build: {
      type: 'boolean',
      describe: 'insist on building each NAME: fail where it has no definition, or where this machine cannot build',
    },
    'no-build': { type: 'boolean', describe: 'publish what is built already' },
    definitions: {
      type: 'array',
      value: 'DIR',
      describe: 'look for definitions here first',
      complete: 'directory',
    },
  },
  examples: [
    ['release --to dir:/srv/feed --key trees.key', 'build what has changed of all that was built, and publish it'],
    ['release deb etcd --to github:me/feed --key trees.key', 'build two images if they have changed, and publish them'],
    ['release --no-build --to dir:/srv/feed --key trees.key', 'publish everything that was built'],
    ['release etcd --to dir:/srv/feed --key trees.key --dry-run', 'show what publishing etcd would do, with sizes'],
  ],
  async handler(context, args) {
    const { settings } = context;
    if (args.build === true && args['no-build'] === true) {
      throw usageError('Expected --build or --no-build, got both', 'leave one out');
    }
    const options = await publishOptions(context, args);
    const keep = wholeNumber(args.keep ?? settings.release.keep, 1, '--keep');
    const how = args.build === true ? 'always' : args['no-build'] === true ? 'never' : 'if it can be';
    const { names, pending } = await buildFirst(context, args.names, { definitions: args.definitions ?? [], how });
    const channel = args.channel === 'edge' ? 'edge' : undefined;
    const wouldBuild = pending.map((name) => `would build ${name}: what comes of it is not in this plan\n`).join('');
    let result: ReleaseResult;
    try {
      if (names?.length === 0) return { json: { dryRun: true, pending }, text: wouldBuild };
      result = await publishRelease({ ...options, names: names ?? [], keep, channel });
    } catch (error) {
      // What a dry run would build is not there to be planned with, and perhaps nothing is.
      if (pending.length === 0 || !(error instanceof TreesError) || error.code !== 'APP_NOT_FOUND') throw error;
      return { json: { dryRun: true, pending }, text: wouldBuild };
    }
    const { url } = options.destination;
    const json = { ...releaseJson(result, url, settings.dryRun), pending };
    return { json, text: `${wouldBuild}${releaseText(result, url, settings.dryRun)}` };
  },
});

export const release = defineGroup('release', publish.summary, [verify, promote, catalog], publish);
