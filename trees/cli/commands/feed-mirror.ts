import { resolve } from 'node:path';
import { TreesError, usageError } from '../../errors.js';
import { type Feed, feedFile } from '../../feed/feed.js';
import { readFeedFile } from '../../feed/index-pair.js';
import { readKeyOption } from '../../feed/key-option.js';
import { fingerprint, type PublicKey, parsePublicKey } from '../../feed/minisign.js';
import { mirrorFeed } from '../../feed/mirror.js';
import { openFeed } from '../../feed/open.js';
import { type KnownFeed, listFeeds } from '../../feed/records.js';
import { indexLimits } from '../../feed/schema.js';
import { parseFeedUrl } from '../../feed/url.js';
import { type Context, defineCommand } from '../command.js';
import { formatBytes } from '../render/format.js';

async function findSource(context: Context, wanted: string): Promise<{ feed: Feed; known: KnownFeed | undefined }> {
  const { settings, cwd } = context;
  const known = (await listFeeds(settings.root)).find(({ name, url }) => name === wanted || url === wanted);
  if (known !== undefined) return { feed: openFeed(known, settings.network), known };
  if (!wanted.includes(':')) {
    throw new TreesError('FEED_NOT_FOUND', `cannot mirror feed "${wanted}": no feed has this name`, {
      hint: 'give its URL: dir:PATH, https://HOST/PATH/ or github:OWNER/REPO',
    });
  }
  return { feed: openFeed(parseFeedUrl(wanted, cwd).href, settings.network), known };
}

/** The key that the feed publishes. Whoever adds the mirror decides whom to trust; here it says that the copy is whole. */
async function publishedKey(feed: Feed, { reporter, signal }: Context): Promise<PublicKey> {
  const bytes = await readFeedFile(feed, feedFile.publicKey, { limit: indexLimits.signatureBytes, signal });
  if (bytes === undefined) {
    throw new TreesError('FEED_UNTRUSTED', `cannot mirror ${feed.url}: it does not publish a key`, {
      hint: 'pass its public key with --key',
    });
  }
  const key = parsePublicKey(bytes.toString('utf8'), `${feedFile.publicKey} of ${feed.url}`);
  reporter.warn(
    `checking against the key that the feed publishes, ${key.id} (${fingerprint(key)}); --key says whose it has to be`,
  );
  return key;
}

/** `dir:PATH` or a path. */
function targetDirectory(destination: string, cwd: string): string {
  if (!/^[a-z]+:/.test(destination)) return resolve(cwd, destination);
  const parsed = parseFeedUrl(destination, cwd);
  if (parsed.scheme === 'dir') return parsed.path;
  throw usageError(
    `Expected the destination to be a directory, got "${destination}"`,
    'mirror to a directory, then serve or upload it',
  );
}

export const mirror = defineCommand({
  name: 'mirror',
  summary: 'copy a whole feed to a directory that a web server can serve',
  description:
    'Copies the index, its signature, the key and every bundle of FEED to DIRECTORY, checked against the signed index. ' +
    'Readers of the directory see the old feed or the new one, whole. Run again, it fetches only what is new, goes on ' +
    'where an interrupted copy stopped, and deletes what neither the new index nor the one before names; files that it ' +
    'has not put there are left alone. Users add the mirror as a feed, or with --mirror.',
  positionals: [
    { name: 'feed', describe: 'name or URL of the feed to copy', required: true, complete: 'feed' },
    { name: 'directory', describe: 'where to: a path or dir:PATH', required: true, complete: 'file' },
  ],
  options: {
    key: {
      type: 'array',
      value: 'KEY|FILE',
      complete: 'file',
      describe: 'public key that has to have signed; default: those of the feed, if it was added here',
    },
    check: { type: 'boolean', describe: 'read what is there already, too, and fetch again what is damaged' },
    'allow-stale': { type: 'boolean', describe: 'accept an index that has expired' },
  },
  examples: [
    ['feed mirror github:me/apps /srv/www/apps --key apps.pub', 'make a mirror, or bring it up to date'],
    ['feed mirror apps dir:/media/usb/apps', 'take a feed that was added here to a memory stick'],
  ],
  async handler(context, args) {
    const { settings, cwd, reporter, signal } = context;
    const directory = targetDirectory(args.directory, cwd);
    const { feed, known } = await findSource(context, args.feed);
    if (feed.localPath?.('') !== undefined && resolve(feed.localPath('')) === directory) {
      throw usageError(
        `Expected the destination to be another directory than the feed's, got "${args.directory}"`,
        'name a directory to copy to',
      );
    }
    const given = await Promise.all((args.key ?? []).map(async (value) => await readKeyOption(value, cwd)));
    const keys = given.length > 0 ? given : (known?.keys ?? [await publishedKey(feed, context)]);
    const { dryRun, lockTimeout } = settings;
    const { check, 'allow-stale': allowStale } = args;
    const options = { keys, now: new Date(), lockTimeout, allowStale, check, dryRun, reporter, signal };
    const { index, signedBy, before, copied, kept, pruned } = await mirrorFeed(feed, directory, options);
    const bytes = copied.reduce((sum, { size }) => sum + size, 0);
    const [would, pruning] = dryRun ? ['would copy', 'would delete'] : ['copied', 'deleted'];
    const lines = [
      `${feed.url} → ${directory}: index ${before ?? 'none'} → ${index.sequence}, signed by ${signedBy.id}\n`,
      `${would} ${copied.length} files (${formatBytes(bytes)}), ${kept.length} were there; ${pruning} ${pruned.length}\n`,
    ];
    return {
      json: {
        dryRun,
        from: feed.url,
        to: directory,
        before,
        sequence: index.sequence,
        key: signedBy.id,
        bytes,
        copied,
        kept,
        pruned,
      },
      text: lines.join(''),
    };
  },
});
