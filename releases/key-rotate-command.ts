import { resolve } from 'node:path';
import { defineCommand } from '../trees/cli/command.js';
import { feedFile } from '../trees/feed/feed.js';
import { writeFileAtomic } from '../trees/feed/files.js';
import { encodePublicKey, fingerprint, type PublicKey } from '../trees/feed/minisign.js';
import { formatSuccessors, readSuccessors } from '../trees/feed/succession.js';
import { feedToRead, readSignedIndex } from './feed-to-read.js';
import { readSecretKey } from './key-file.js';
import { outputFile, passwordFile, readPassword } from './key-options.js';
import { checkSuccession, signSuccession } from './succession.js';

export const rotate = defineCommand({
  name: 'rotate',
  summary: 'let the key of a feed name its successor',
  description:
    'Writes a statement that NEW succeeds OLD for this one feed, signed by both with what minisign verifies, after the ' +
    'statements that the feed has. `trees release --key NEW --successors FILE` publishes it once, with an index signed ' +
    'by NEW; later releases keep it. Who trusts OLD then follows to NEW, is told so, and trusts OLD no longer; who adds ' +
    'the feed with NEW accepts what OLD has signed so far. Keep no copy of OLD: it has named its one successor.',
  positionals: [
    { name: 'old', describe: 'secret key of the feed so far', required: true, complete: 'file' },
    { name: 'new', describe: 'secret key to sign with from now on', required: true, complete: 'file' },
    { name: 'feed', describe: 'name or URL of the feed; default: the setting release.to', complete: 'feed' },
  ],
  options: {
    output: { ...outputFile, describe: `where to write it; default ${feedFile.successors}` },
    'password-file': { ...passwordFile, describe: 'first line is the password of OLD (or TREES_KEY_PASSWORD)' },
    'new-password-file': { ...passwordFile, describe: 'first line is the password of NEW, where it is another one' },
  },
  examples: [
    ['key rotate old.key new.key github:me/feed', 'write successors.json'],
    [
      'key rotate old.key new.key dir:/srv/feed -o next.json',
      'then: trees release --key new.key --successors next.json',
    ],
  ],
  async handler(context, args) {
    const { settings, cwd, signal } = context;
    const passphrase = await readPassword(context, args['password-file']);
    const old = await readSecretKey(resolve(cwd, args.old), { passphrase });
    const nextFile = args['new-password-file'];
    const nextPassphrase = nextFile === undefined ? passphrase : await readPassword(context, nextFile);
    const next = await readSecretKey(resolve(cwd, args.new), { passphrase: nextPassphrase });
    const { feed } = await feedToRead(context, { feed: args.feed, key: [encodePublicKey(old.public)] });
    const now = new Date();
    const { index } = await readSignedIndex(feed, { keys: [old.public], now, signal });
    const published = await readSuccessors(feed, { signal });
    checkSuccession(published?.successions ?? [], { feed: index.feed, from: old.public, to: next.public });
    const signed = signSuccession(index.feed, { old, next, now });
    const path = resolve(cwd, args.output ?? feedFile.successors);
    const statements = [...(published?.successions ?? []).map((one) => one.signed), signed];
    if (!settings.dryRun) await writeFileAtomic(path, formatSuccessors(statements));
    const describe = (key: PublicKey) => ({ id: key.id, fingerprint: fingerprint(key) });
    const would = settings.dryRun ? 'would write' : 'wrote';
    return {
      json: {
        dryRun: settings.dryRun,
        path,
        feed: feed.url,
        id: index.feed,
        from: describe(old.public),
        to: describe(next.public),
        statement: signed.statement,
        statements: statements.length,
      },
      text: `${would} ${path}: ${next.public.id} (${fingerprint(next.public)}) succeeds ${old.public.id} for ${feed.url}\n`,
    };
  },
});
