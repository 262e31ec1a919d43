import { defineCommand } from '../trees/cli/command.js';
import { formatBytes } from '../trees/cli/render/format.js';
import { feedToRead, readingKey, readingPositional } from './feed-to-read.js';
import { verifyFeed } from './verify.js';

export const verify = defineCommand({
  name: 'verify',
  summary: 'check a whole feed: signatures, digests, and that every bundle applies',
  description:
    'Fetches all of the feed and does with each bundle what its users do: applies it, in a repository that has only ' +
    'what it leads from, and checks every object. Then each version is compared with what the index says of it, and ' +
    'composed with its base. Needs room for all that in the directory for temporary files (TMPDIR). Exits 1 if ' +
    'anything is wrong.',
  positionals: [readingPositional],
  options: { key: readingKey },
  examples: [
    ['release verify dir:/srv/feed --key trees.pub', 'check a directory before it is served'],
    ['release verify github:me/feed --json', 'what is wrong, for a script'],
  ],
  async handler(context, args) {
    const { reporter, signal } = context;
    const { feed, keys } = await feedToRead(context, args);
    const report = await verifyFeed(feed, { keys, now: new Date(), reporter, signal });
    const { index, signedBy, sound, bytes, versions, problems } = report;
    const lines = [
      ...problems.map(({ what, message }) => `${what}: ${message}\n`),
      `${feed.url}: index ${index.sequence}, signed by ${signedBy.id}, expires ${index.expires.slice(0, 10)}\n`,
      `${sound.length} of ${index.bundles.length} bundles are sound (${formatBytes(bytes)}), ${versions} versions can be installed\n`,
    ];
    return {
      json: {
        feed: feed.url,
        sequence: index.sequence,
        expires: index.expires,
        key: signedBy.id,
        bundles: index.bundles.length,
        sound: sound.length,
        bytes,
        versions,
        problems,
      },
      text: lines.join(''),
      ...(problems.length > 0 ? { status: 1 } : {}),
    };
  },
});
