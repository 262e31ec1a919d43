import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { defineCommand } from '../trees/cli/command.js';
import { writeFileAtomic } from '../trees/feed/files.js';
import { catalogPage } from './catalog-page.js';
import { feedToRead, readingKey, readingPositional, readSignedIndex } from './feed-to-read.js';

const PAGE = 'index.html';

export const catalog = defineCommand({
  name: 'catalog',
  summary: 'write a web page that shows what a feed offers',
  description:
    'Writes one static page: apps, bases, versions and sizes, how to add the feed, and the fingerprint of its key. It ' +
    'needs no JavaScript and loads nothing, so any web server can serve it, GitHub Pages for example.',
  positionals: [readingPositional],
  options: {
    output: {
      type: 'string',
      alias: 'o',
      value: 'DIR',
      complete: 'directory',
      describe: 'write DIR/index.html; default .',
    },
    title: { type: 'string', value: 'TEXT', describe: 'headline of the page; default: the URL of the feed' },
    key: readingKey,
  },
  examples: [
    ['release catalog github:me/feed -o public', 'write public/index.html'],
    ['release catalog dir:/srv/feed --key trees.pub --title "My apps"', 'with a headline of its own'],
  ],
  async handler(context, args) {
    const { settings, cwd, reporter, signal } = context;
    const { feed, keys } = await feedToRead(context, args);
    const { index, stale, signedBy, succession } = await readSignedIndex(feed, {
      keys,
      now: new Date(),
      reporter,
      signal,
    });
    if (stale)
      reporter.warn(`the index of ${feed.url} expired at ${index.expires}; publish it anew with trees release`);
    const directory = resolve(cwd, args.output ?? '.');
    const path = join(directory, PAGE);
    const page = catalogPage({
      title: args.title ?? feed.url,
      url: feed.url,
      index,
      keys: succession.length > 0 ? [signedBy] : keys,
    });
    if (!settings.dryRun) {
      await mkdir(directory, { recursive: true });
      await writeFileAtomic(path, page);
    }
    const apps = Object.keys(index.apps).length;
    const bases = Object.keys(index.bases).length;
    return {
      json: {
        dryRun: settings.dryRun,
        feed: feed.url,
        sequence: index.sequence,
        path,
        apps,
        bases,
        bytes: page.length,
      },
      text: `${settings.dryRun ? 'would write' : 'wrote'} ${path}\n`,
    };
  },
});
