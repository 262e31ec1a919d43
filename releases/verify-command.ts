import { type Context, defineCommand } from '../trees/cli/command.js';
import { formatBytes } from '../trees/cli/render/format.js';
import { TreesError, usageError } from '../trees/errors.js';
import { type Feed, feedFile } from '../trees/feed/feed.js';
import { listFeeds } from '../trees/feed/feeds.js';
import { readFeedFile } from '../trees/feed/index-pair.js';
import { readKeyOption } from '../trees/feed/key-option.js';
import { fingerprint, type PublicKey, parsePublicKey } from '../trees/feed/minisign.js';
import { openFeed } from '../trees/feed/open.js';
import { indexLimits } from '../trees/feed/schema.js';
import { parseFeedUrl } from '../trees/feed/url.js';
import { verifyFeed } from './verify.js';

/** The key that the feed itself publishes: it shows that the feed is whole, not whose it is. */
async function publishedKey(feed: Feed, context: Context): Promise<PublicKey> {
  const options = { limit: indexLimits.signatureBytes, signal: context.signal };
  const bytes = await readFeedFile(feed, feedFile.publicKey, options);
  if (bytes === undefined) {
    throw new TreesError('FEED_UNTRUSTED', `cannot verify ${feed.url}: it does not publish a key`, {
      hint: 'pass its public key with --key',
    });
  }
  const key = parsePublicKey(bytes.toString('utf8'), `${feedFile.publicKey} of ${feed.url}`);
  context.reporter.warn(
    `checking against the key that the feed publishes, ${key.id} (${fingerprint(key)}); --key says whose it has to be`,
  );
  return key;
}

/** A feed by URL, or by the name it was added under, with its keys. */
async function resolveFeed(context: Context, wanted: string): Promise<{ feed: Feed; keys: readonly PublicKey[] }> {
  const { settings, cwd } = context;
  const known = (await listFeeds(settings.root)).find(({ name, url }) => name === wanted || url === wanted);
  if (known !== undefined) return { feed: openFeed(known, settings.network), keys: known.keys };
  if (!wanted.includes(':')) {
    throw new TreesError('FEED_NOT_FOUND', `cannot verify feed "${wanted}": no feed has this name`, {
      hint: 'give its URL: dir:PATH, https://HOST/PATH/ or github:OWNER/REPO',
    });
  }
  return { feed: openFeed(parseFeedUrl(wanted, cwd).href, settings.network), keys: [] };
}

export const verify = defineCommand({
  name: 'verify',
  summary: 'check a whole feed: signatures, digests, and that every bundle applies',
  description:
    'Fetches all of the feed and does with each bundle what its users do: applies it, in a repository that has only ' +
    'what it leads from, and checks every object. Then each version is compared with what the index says of it, and ' +
    'composed with its base. Needs room for all that in the directory for temporary files (TMPDIR). Exits 1 if ' +
    'anything is wrong.',
  positionals: [{ name: 'feed', describe: 'name or URL of a feed; default: the setting release.to', complete: 'feed' }],
  options: {
    key: {
      type: 'array',
      value: 'KEY|FILE',
      complete: 'file',
      describe: 'public key that has to have signed; default: those of the feed, if it was added here',
    },
  },
  examples: [
    ['release verify dir:/srv/feed --key trees.pub', 'check a directory before it is served'],
    ['release verify github:me/feed --json', 'what is wrong, for a script'],
  ],
  async handler(context, args) {
    const { settings, cwd, reporter, signal } = context;
    const wanted = args.feed ?? settings.release.to;
    if (wanted === undefined) {
      throw usageError('Expected a feed to verify', 'for example: trees release verify github:owner/repo');
    }
    const { feed, keys: known } = await resolveFeed(context, wanted);
    const given = await Promise.all((args.key ?? []).map(async (value) => await readKeyOption(value, cwd)));
    const chosen = given.length > 0 ? given : known;
    const keys = chosen.length > 0 ? chosen : [await publishedKey(feed, context)];
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
