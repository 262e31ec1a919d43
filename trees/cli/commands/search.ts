import { TreesError } from '../../errors.js';
import { gatherFeeds } from '../../feed/gather.js';
import { listOffers, searchOffers } from '../../feed/search.js';
import { listInstalled } from '../../store/generations.js';
import { storePaths } from '../../store/paths.js';
import { defineCommand } from '../command.js';
import { feedsOptions } from '../feeds-options.js';
import { formatBytes, formatTable } from '../render/format.js';

export const command = defineCommand({
  name: 'search',
  summary: 'search the feeds for apps',
  description:
    'Lists the apps whose name or summary has every WORD, best match first; without a word, all of them. ' +
    'It looks at the indexes that were verified last, without the network; --refresh fetches them first.',
  positionals: [{ name: 'words', describe: 'part of a name or of a summary', variadic: true }],
  options: {
    refresh: { type: 'boolean', describe: 'fetch the indexes first' },
    'allow-stale': { type: 'boolean', describe: 'use indexes that have expired' },
  },
  examples: [
    ['search', 'list every app that the feeds offer'],
    ['search key value', 'apps with both words in their name or summary'],
    ['search --refresh --json etcd', 'after fetching the indexes, as JSON'],
  ],
  async handler(context, args) {
    const { settings, reporter } = context;
    const options = feedsOptions(context, args['allow-stale']);
    const gathered = await gatherFeeds(settings.root, { ...options, offline: args.refresh !== true });
    const { problems } = gathered;
    const feeds = gathered.feeds.filter(
      ({ feed }) => settings.feed === undefined || feed.name === settings.feed || feed.url === settings.feed,
    );
    if (feeds.length === 0) {
      const [problem] = problems;
      if (problem !== undefined) throw problem.error;
      throw new TreesError(
        'FEED_NOT_FOUND',
        `cannot search: ${settings.feed === undefined ? 'no feed has been added' : `there is no feed "${settings.feed}"`}`,
        {
          hint: '`trees feed add URL` adds one',
        },
      );
    }
    for (const { error } of problems) reporter.warn(error.message);
    const installed = new Map(listInstalled(storePaths(settings.root)).map((app) => [app.current.app, app.current]));
    const found = searchOffers(listOffers(feeds, settings.arch), args.words).map((offer) => ({
      ...offer,
      installed: installed.get(offer.name)?.version ?? null,
    }));
    if (found.length === 0) reporter.info(`no app matches "${args.words.join(' ')}" on ${settings.arch}`);
    const rows = found.map((offer) => [
      offer.name,
      offer.channel === 'edge' ? `${offer.version} (edge)` : offer.version,
      offer.installed ?? '',
      `${offer.base.name}@${offer.base.range}`,
      formatBytes(offer.size),
      offer.unsigned ? `${offer.feed} (unsigned)` : offer.feed,
      offer.summary,
    ]);
    const columns = [
      { title: 'name' },
      { title: 'version' },
      { title: 'installed' },
      { title: 'base' },
      { title: 'size', align: 'right' },
      { title: 'feed' },
      { title: 'summary' },
    ] as const;
    return {
      json: {
        apps: found,
        problems: problems.map(({ feed, error }) => ({ feed: feed.name, code: error.code, message: error.message })),
      },
      text: rows.length === 0 ? '' : formatTable(columns, rows),
      // Something was found, but not everything could be looked at.
      ...(problems.length > 0 ? { status: 1 } : {}),
    };
  },
});
