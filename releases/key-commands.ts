import { constants } from 'node:fs';
import { access, readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type Context, defineCommand, defineGroup } from '../trees/cli/command.js';
import { isErrno, reasonOf, TreesError, usageError } from '../trees/errors.js';
import { encodePublicKey, fingerprint, type PublicKey, parsePublicKey } from '../trees/feed/minisign.js';
import { generateKeyPair, readSecretKey } from './key-file.js';
import { outputFile, passwordFile, readPassword } from './key-options.js';
import { rotate } from './key-rotate-command.js';

function describeKey(key: PublicKey) {
  return { id: key.id, key: encodePublicKey(key), fingerprint: fingerprint(key) };
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path, constants.F_OK);
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false;
    throw error;
  }
}

const generate = defineCommand({
  name: 'generate',
  summary: 'make a key pair for signing releases',
  description:
    'Writes a secret key (mode 0600, without a password, as `minisign -G -W` does) and the public key beside it, ' +
    'NAME.key and NAME.pub. Whoever has the secret key can publish to everybody who trusts the public one.',
  positionals: [],
  options: {
    output: { ...outputFile, describe: 'secret key file; default trees.key' },
    comment: { type: 'string', value: 'TEXT', describe: 'first line of both files' },
    force: {
      type: 'boolean',
      alias: 'f',
      describe: 'replace a key that is there; nothing signed by it can be renewed',
    },
  },
  examples: [
    ['key generate', 'write trees.key and trees.pub'],
    ['key generate -o ~/keys/feed.key', 'write ~/keys/feed.key and ~/keys/feed.pub'],
  ],
  async handler(context, args) {
    const { dryRun } = context.settings;
    const secret = resolve(context.cwd, args.output ?? 'trees.key');
    const paths = { secret, public: `${secret.replace(/\.key$/, '')}.pub` };
    if (args.comment !== undefined && /[\r\n]/.test(args.comment)) {
      throw usageError('Expected --comment to be one line, got several', 'leave the line break out');
    }
    if (dryRun) {
      for (const path of [paths.secret, paths.public]) {
        if (args.force === true || !(await exists(path))) continue;
        throw new TreesError('PATH_CONFLICT', `cannot write the key: ${path} exists`, {
          hint: 'choose another name with -o',
          details: { path },
        });
      }
      return { json: { dryRun, ...paths }, text: `would write ${paths.secret} and ${paths.public}\n` };
    }
    const key = await generateKeyPair(paths, { force: args.force === true, comment: args.comment });
    const text = `secret key   ${paths.secret}\npublic key   ${paths.public}\nkey          ${encodePublicKey(key)}\nfingerprint  ${fingerprint(key)}\n`;
    return { json: { dryRun, ...paths, ...describeKey(key) }, text };
  },
});

async function readAnyKey(context: Context, file: string, password: string | undefined): Promise<PublicKey> {
  const path = resolve(context.cwd, file);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const why = reasonOf(error);
    throw new TreesError('KEY_INVALID', `cannot read the key ${path}: ${why}`, {
      hint: '`trees key generate` makes a key pair',
      cause: error,
    });
  }
  try {
    return parsePublicKey(text, path);
  } catch {
    if (!text.startsWith('untrusted comment:')) {
      throw new TreesError('KEY_INVALID', `cannot read the key ${path}: it is neither a public nor a secret key`, {
        hint: 'name a .pub or .key file; `trees key generate` makes both',
      });
    }
    return (await readSecretKey(path, { passphrase: password })).public;
  }
}

const show = defineCommand({
  name: 'show',
  summary: 'show the public key of a key file',
  description:
    'Prints the public key, its id and its fingerprint. FILE is a secret or a public key of trees or minisign.',
  positionals: [{ name: 'file', describe: 'secret or public key', required: true, complete: 'file' }],
  options: { 'password-file': passwordFile },
  examples: [['key show trees.key', 'what to tell users: the key to trust, and its fingerprint']],
  async handler(context, args) {
    const key = await readAnyKey(context, args.file, await readPassword(context, args['password-file']));
    const { id, key: line, fingerprint: print } = describeKey(key);
    return { json: describeKey(key), text: `key          ${line}\nid           ${id}\nfingerprint  ${print}\n` };
  },
});

export const key = defineGroup('key', 'generate, show and rotate signing keys', [generate, show, rotate]);
