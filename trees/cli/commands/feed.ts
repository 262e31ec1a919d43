import { TreesError, usageError } from '../../errors.js';
import { addFeed, changeFeed, findFeed, listFeeds, loadFeed, refreshFeed, removeFeed } from '../../feed/feeds.js';
import { readKeyOption } from '../../feed/key-option.js';
import { encodePublicKey, fingerprint } from '../../feed/minisign.js';
import { type KnownFeed, readFeedState } from '../../feed/records.js';
import { type Channel, channels, type FeedIndex } from '../../feed/schema.js';
import { listInstalled } from '../../store/generations.js';
import { storePaths } from '../../store/paths.js';
import { type Context, defineCommand, defineGroup } from '../command.js';
import { feedsOptions } from '../feeds-options.js';
import { formatTable } from '../render/format.js';
import { mirror } from './feed-mirror.js';

function describeFeed(feed: KnownFeed) {
  const keys = feed.keys.map((key) => ({ id: key.id, fingerprint: fingerprint(key), key: encodePublicKey(key) }));
  const { name, url, priority, channel = 'stable', added, mirrors = [], unsigned = false } = feed;
  return { name, url, priority, channel, added, mirrors, unsigned, keys };
}

function describeIndex(index: FeedIndex, now: Date) {
  return {
    id: index.feed,
    sequence: index.sequence,
    created: index.created,
    expires: index.expires,
    expired: Date.parse(index.expires) <= now.getTime(),
    apps: Object.keys(index.apps).length,
    bases: Object.keys(index.bases).length,
  };
}

const allowStale = { type: 'boolean', describe: 'accept an index that has expired' } as const;

const channel = {
  type: 'string',
  choices: channels,
  describe:
    'edge: versions from here that are not for everybody yet, too, unless an app says otherwise; default stable',
} as const;

/** What `channel` was given as. */
function givenChannel(value: string | undefined): Channel | undefined {
  return channels.find((one) => one === value);
}

const add = defineCommand({
  name: 'add',
  summary: 'add a feed and the keys to trust for it',
  description:
    'Fetches the index of the feed and verifies it before anything is stored. Everything from the feed has to be ' +
    'signed by a key given with --key; without one, the key that the feed publishes is shown and has to be confirmed.\n\n' +
    'Public repositories on GitHub are read without the API. Private ones need a token: GITHUB_TOKEN, GH_TOKEN or the ' +
    'setting github.token; it goes to the API only. Proxies are taken from HTTPS_PROXY, HTTP_PROXY and NO_PROXY.\n\n' +
    'legacy:OWNER/REPO is a repository with releases of the original project: apps in one, the base that they were made ' +
    'from in another. Nothing there is signed, so it asks first; --trust-unsigned or --yes answer. Which apps there are ' +
    'is told by the tags, read as git does; every tree has to be the one whose checksum its NAME.sum has.',
  positionals: [
    { name: 'url', describe: 'dir:PATH, https://HOST/PATH/, github:OWNER/REPO or legacy:OWNER/REPO', required: true },
  ],
  options: {
    key: {
      type: 'array',
      value: 'KEY|FILE',
      complete: 'file',
      describe: 'trust this minisign public key (may be repeated)',
    },
    name: { type: 'string', alias: 'n', value: 'NAME', describe: 'call the feed NAME; default: derived from the URL' },
    priority: {
      type: 'number',
      value: 'N',
      describe: 'where several feeds offer an app the highest N wins; default 0',
    },
    mirror: {
      type: 'array',
      value: 'URL',
      describe: 'a place with the same files, tried where the feed fails (may be repeated; tried in this order)',
    },
    channel,
    'trust-unsigned': {
      type: 'boolean',
      describe: 'add a legacy feed without asking: nobody vouches for what comes from it but you',
    },
    'allow-stale': allowStale,
  },
  examples: [
    ['feed add github:untoreh/trees --key trees.pub', 'trust what this key has signed, and nothing else'],
    ['feed add dir:/media/usb/feed -n usb', 'ask whether to trust the key that the feed publishes'],
    ['feed add github:me/apps --mirror https://mirror.example/apps/', 'with another place for when GitHub fails'],
    ['feed add legacy:untoreh/pine --trust-unsigned', 'a base of the original project; its apps: legacy:untoreh/trees'],
  ],
  async handler(context, args) {
    const { settings, cwd } = context;
    const keys = await Promise.all((args.key ?? []).map(async (value) => await readKeyOption(value, cwd)));
    const now = new Date();
    const { feed, index } = await addFeed(settings.root, args.url, {
      ...feedsOptions(context, args['allow-stale']),
      now,
      cwd,
      keys,
      name: args.name,
      priority: args.priority,
      channel: givenChannel(args.channel),
      mirrors: args.mirror,
      trustUnsigned: args['trust-unsigned'],
      dryRun: settings.dryRun,
      confirm: async (question) => await context.confirm(question),
    });
    const counted = describeIndex(index, now);
    const which = feed.unsigned === true ? 'unsigned' : `index ${counted.sequence}`;
    const what = `${counted.apps} ${counted.apps === 1 ? 'app' : 'apps'}, ${which}`;
    return {
      json: { dryRun: settings.dryRun, feed: describeFeed(feed), index: counted },
      text: `${settings.dryRun ? 'would add' : 'added'} feed ${feed.name} (${feed.url}): ${what}\n`,
    };
  },
});

async function describeStored(context: Context, feed: KnownFeed, now: Date) {
  const state = await readFeedState(context.settings.root, feed.name);
  const options = { ...feedsOptions(context, true), now };
  try {
    const stored = await loadFeed(context.settings.root, feed, options);
    const index = stored === undefined ? null : describeIndex(stored.index, now);
    return { ...describeFeed(feed), fetched: state?.fetched ?? null, index, problem: null };
  } catch (error) {
    if (!(error instanceof TreesError)) throw error;
    const problem = { code: error.code, message: error.message };
    return { ...describeFeed(feed), fetched: state?.fetched ?? null, index: null, problem };
  }
}

const ls = defineCommand({
  name: 'ls',
  aliases: ['list'],
  summary: 'list the feeds',
  description: 'Lists the feeds, highest priority first, with their keys and the index that was verified last.',
  positionals: [],
  options: {},
  examples: [
    ['feed ls', 'list the feeds'],
    ['feed ls --json', 'with keys, fingerprints and times'],
  ],
  async handler(context) {
    const now = new Date();
    const known = await listFeeds(context.settings.root);
    const feeds = await Promise.all(known.map(async (feed) => await describeStored(context, feed, now)));
    for (const { problem } of feeds) if (problem !== null) context.reporter.warn(problem.message);
    const rows = feeds.map((feed) => [
      feed.channel === 'edge' ? `${feed.name} (edge)` : feed.name,
      feed.url,
      String(feed.priority),
      feed.unsigned ? 'unsigned' : feed.keys.map(({ id }) => id).join(','),
      feed.index === null || feed.unsigned ? '-' : String(feed.index.sequence),
      feed.index === null ? '-' : String(feed.index.apps),
      feed.index === null || feed.unsigned
        ? '-'
        : `${feed.index.expires.slice(0, 10)}${feed.index.expired ? ' (expired)' : ''}`,
    ]);
    const columns = [
      { title: 'name' },
      { title: 'url' },
      { title: 'priority', align: 'right' },
      { title: 'key' },
      { title: 'index', align: 'right' },
      { title: 'apps', align: 'right' },
      { title: 'expires' },
    ] as const;
    return { json: { feeds }, text: rows.length === 0 ? '' : formatTable(columns, rows) };
  },
});

const rm = defineCommand({
  name: 'rm',
  aliases: ['remove'],
  summary: 'remove a feed',
  description:
    'Forgets the feed, its keys and its index. Refused while apps from it are installed, as they would get no more ' +
    'updates; --force removes it all the same and leaves the apps as they are.',
  positionals: [{ name: 'feed', describe: 'name or URL of the feed', required: true, complete: 'feed' }],
  options: { force: { type: 'boolean', alias: 'f', describe: 'even if apps from it are installed' } },
  examples: [['feed rm usb', 'remove the feed "usb"']],
  async handler(context, args) {
    const { settings } = context;
    const { name } = await findFeed(settings.root, args.feed);
    const apps = listInstalled(storePaths(settings.root))
      .filter((app) => app.current.feed === name)
      .map((app) => app.name);
    if (apps.length > 0 && args.force !== true) {
      throw new TreesError('IN_USE', `cannot remove feed ${name}: ${apps.join(', ')} came from it`, {
        hint: 'remove the apps first, or use --force: they stay as they are, but get no more updates',
        details: { feed: name, apps },
      });
    }
    const removed = settings.dryRun
      ? await findFeed(settings.root, name)
      : await removeFeed(settings.root, name, feedsOptions(context));
    return {
      json: { dryRun: settings.dryRun, feed: describeFeed(removed), apps },
      text: `${settings.dryRun ? 'would remove' : 'removed'} feed ${name}\n`,
    };
  },
});

const set = defineCommand({
  name: 'set',
  summary: 'change the priority, the channel or the mirrors of a feed',
  description:
    'Changes how a feed is used. Whom to trust is not changed here: remove the feed and add it again for that.',
  positionals: [{ name: 'feed', describe: 'name or URL of the feed', required: true, complete: 'feed' }],
  options: {
    priority: { type: 'number', value: 'N', describe: 'where several feeds offer an app the highest N wins' },
    mirror: {
      type: 'array',
      value: 'URL',
      describe: 'instead of the mirrors so far (may be repeated; tried in this order)',
    },
    'clear-mirrors': { type: 'boolean', describe: 'have no mirrors any more' },
    channel,
  },
  examples: [
    ['feed set apps --priority 10', 'prefer this feed'],
    ['feed set apps --channel edge', 'get its new versions early'],
    ['feed set apps --mirror dir:/srv/apps', 'read a copy where the feed fails'],
  ],
  async handler(context, args) {
    const { settings, cwd } = context;
    if (args['clear-mirrors'] === true && args.mirror !== undefined) {
      throw usageError('Expected --mirror or --clear-mirrors, got both');
    }
    const mirrors = args['clear-mirrors'] === true ? [] : args.mirror;
    if (mirrors === undefined && args.priority === undefined && args.channel === undefined) {
      throw usageError(
        'Expected something to change, got none of --priority, --channel, --mirror and --clear-mirrors',
        'for example: trees feed set apps --priority 10',
      );
    }
    const options = { ...feedsOptions(context), cwd, dryRun: settings.dryRun };
    const changes = { priority: args.priority, channel: givenChannel(args.channel), mirrors };
    const feed = await changeFeed(settings.root, args.feed, changes, options);
    const count = feed.mirrors?.length ?? 0;
    const of = feed.channel === 'edge' ? ', channel edge' : '';
    const what = `priority ${feed.priority}${of}, ${count} ${count === 1 ? 'mirror' : 'mirrors'}`;
    return {
      json: { dryRun: settings.dryRun, feed: describeFeed(feed) },
      text: `${settings.dryRun ? 'would change' : 'changed'} feed ${feed.name}: ${what}\n`,
    };
  },
});

const refresh = defineCommand({
  name: 'refresh',
  summary: 'fetch and verify the indexes of feeds',
  description:
    'Fetches the index of each FEED, or of all feeds, and stores it if it is newer and signed by a trusted key.',
  positionals: [{ name: 'feeds', describe: 'name or URL of a feed', variadic: true, complete: 'feed' }],
  options: { 'allow-stale': allowStale },
  examples: [
    ['feed refresh', 'refresh all feeds'],
    ['feed refresh usb', 'refresh one feed'],
  ],
  async handler(context, args) {
    const { settings, reporter } = context;
    const now = new Date();
    const wanted =
      args.feeds.length === 0
        ? await listFeeds(settings.root)
        : await Promise.all(args.feeds.map(async (name) => await findFeed(settings.root, name)));
    const results = [];
    const errors: TreesError[] = [];
    for (const feed of wanted) {
      const before = (await readFeedState(settings.root, feed.name))?.sequence ?? null;
      try {
        const options = { ...feedsOptions(context, args['allow-stale']), now, dryRun: settings.dryRun };
        const { index } = await refreshFeed(settings.root, feed, options);
        results.push({ name: feed.name, before, index: describeIndex(index, now), problem: null });
      } catch (error) {
        if (!(error instanceof TreesError)) throw error;
        if (wanted.length === 1) throw error;
        errors.push(error);
        reporter.warn(error.message);
        results.push({ name: feed.name, before, index: null, problem: { code: error.code, message: error.message } });
      }
    }
    const unsigned = new Set(wanted.filter((feed) => feed.unsigned === true).map(({ name }) => name));
    const lines = results
      .filter(({ index }) => index !== null)
      .map(({ name, before, index }) =>
        unsigned.has(name)
          ? `${name}: ${index?.apps} apps, unsigned\n`
          : index?.sequence === before
            ? `${name}: no news, index ${before}\n`
            : `${name}: index ${before ?? 'none'} → ${index?.sequence}\n`,
      );
    return { json: { feeds: results }, text: lines.join(''), ...(errors.length > 0 ? { status: 1 } : {}) };
  },
});

export const command = defineGroup('feed', 'add, list, remove or mirror feeds', [add, ls, set, rm, refresh, mirror]);
