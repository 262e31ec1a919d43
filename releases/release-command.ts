import * as z from 'zod/mini';
import { type Context, defineCommand, defineGroup } from '../trees/cli/command.js';
import { findCommand } from '../trees/cli/registry.js';
import { usageError } from '../trees/errors.js';
import { channels } from '../trees/feed/schema.js';
import { catalog } from './catalog-command.js';
import { promote } from './promote-command.js';
import { release as publishRelease } from './release.js';
import { publishingOptions, publishOptions, wholeNumber } from './release-options.js';
import { releaseJson, releaseText } from './render.js';
import { verify } from './verify-command.js';

/**
 * Builds as `trees build` does, which leaves alone what has not changed. Through the command table: nothing that
 * publishes knows how images are made.
 */
async function build(
  context: Context,
  names: readonly string[],
  definitions: readonly string[],
): Promise<readonly string[]> {
  if (names.length === 0)
    throw usageError('Expected names with --build, got none', 'for example: release deb etcd --build');
  const command = await findCommand('build')?.load();
  if (command?.kind !== 'command') throw new Error('there is no command "build"');
  const { json, text } = await command.run(context, { names, definitions, rest: [] });
  for (const line of text.trimEnd().split('\n')) context.reporter.info(line);
  return z.parse(builtSchema, json).images.map(({ name }) => name);
}

/** What `trees build --json` says that matters here: a definition given by its path has a name of its own. */
const builtSchema = z.object({ images: z.array(z.object({ name: z.string() })) });

const publish = defineCommand({
  name: 'release',
  summary: 'publish built bases and apps to a feed',
  description:
    'Signs what `trees build` has built, makes the bundles that save their users something, applies each of them in ' +
    'a scratch repository, and switches the feed to a new signed index. Without NAME everything that was built is ' +
    'published. What is published already is kept; if nothing is new, nothing is changed. A new version whose content ' +
    'is that of the newest published one is not published.\n' +
    'On GitHub each publication is a release: a draft collects the bundles, each is downloaded again and applied, ' +
    'then it becomes the latest release. The token comes from GITHUB_TOKEN, GH_TOKEN or the setting github.token. An ' +
    'interrupted publication is continued by running the command again; several publishers may run at once.',
  positionals: [{ name: 'names', describe: 'base or app that has been built', variadic: true, complete: 'definition' }],
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
      describe: 'build each NAME first, as trees build does; what has not changed is not built',
    },
    definitions: {
      type: 'array',
      value: 'DIR',
      describe: 'with --build: look for definitions here first',
      complete: 'directory',
    },
  },
  examples: [
    ['release --to dir:/srv/feed --key trees.key', 'publish everything that was built'],
    ['release deb etcd --build --to github:me/feed --key trees.key', 'build what has changed, and publish it'],
    ['release etcd --to dir:/srv/feed --key trees.key --dry-run', 'show what publishing etcd would do, with sizes'],
  ],
  async handler(context, args) {
    const { settings } = context;
    const options = await publishOptions(context, args);
    const keep = wholeNumber(args.keep ?? settings.release.keep, 1, '--keep');
    const names = args.build === true ? await build(context, args.names, args.definitions ?? []) : args.names;
    const channel = args.channel === 'edge' ? 'edge' : undefined;
    const result = await publishRelease({ ...options, names, keep, channel });
    const { url } = options.destination;
    return { json: releaseJson(result, url, settings.dryRun), text: releaseText(result, url, settings.dryRun) };
  },
});

export const release = defineGroup('release', publish.summary, [verify, promote, catalog], publish);
