import { join, resolve } from 'node:path';
import type { Context } from '../trees/cli/command.js';
import { usageError } from '../trees/errors.js';
import type { Encoding } from './bundles.js';
import { readSecretKey } from './key-file.js';
import { passwordFile, readPassword } from './key-options.js';
import { openDestination } from './open-destination.js';
import type { PublishOptions } from './release.js';
import { readSuccessorsFile } from './succession.js';

const DEFAULT_BACK = 3;

/** Options of the commands that publish. */
export const publishingOptions = {
  to: {
    type: 'string',
    value: 'URL',
    describe: 'feed to publish to: github:OWNER/REPO or dir:PATH; default: the setting release.to',
  },
  key: {
    type: 'string',
    value: 'FILE',
    complete: 'file',
    describe: 'secret key to sign with; default: the setting release.key',
  },
  'password-file': passwordFile,
  successors: {
    type: 'string',
    value: 'FILE',
    complete: 'file',
    describe: 'what `trees key rotate` wrote: the key so far names the one with which is signed now its successor',
  },
  expires: { type: 'number', value: 'DAYS', describe: 'days until the index expires; default 90' },
  previous: {
    type: 'number',
    value: 'N',
    describe: `make bundles from up to N versions before the newest; default ${DEFAULT_BACK}`,
  },
  encoding: {
    type: 'string',
    choices: ['fast', 'small', 'both'],
    describe: 'encoding of new bundles; both: small beside fast where it saves 5 %; default fast',
  },
  quick: { type: 'boolean', describe: 'make bundles several times faster, several percent larger' },
} as const;

interface PublishingArgs {
  readonly to?: string | undefined;
  readonly key?: string | undefined;
  readonly 'password-file'?: string | undefined;
  readonly successors?: string | undefined;
  readonly expires?: number | undefined;
  readonly previous?: number | undefined;
  readonly encoding?: string | undefined;
  readonly quick?: boolean | undefined;
}

/** A whole number of at least `least`. @throws TreesError USAGE */
export function wholeNumber(value: number, least: number, name: string): number {
  if (Number.isInteger(value) && value >= least) return value;
  throw usageError(
    `Expected ${name} to be a whole number, at least ${least}, got ${value}`,
    `for example: ${name} ${Math.max(least, 1)}`,
  );
}

function encodings(name: string | undefined): readonly Encoding[] {
  if (name === 'both') return ['fast', 'small'];
  return [name === 'small' ? 'small' : 'fast'];
}

/** @throws TreesError USAGE, KEY_INVALID, UNSUPPORTED */
export async function publishOptions(context: Context, args: PublishingArgs): Promise<PublishOptions> {
  const { settings, cwd, reporter, signal } = context;
  const build = join(settings.root, 'build');
  const { lockTimeout, network } = settings;
  const to = args.to ?? settings.release.to;
  const destination = await openDestination(to, { cwd, build, network, reporter, signal, lockTimeout });
  const keyFile = args.key ?? settings.release.key;
  if (keyFile === undefined) {
    throw usageError(
      'Expected --key to name the secret key to sign with',
      '`trees key generate` makes one, or set release.key',
    );
  }
  const passphrase = await readPassword(context, args['password-file']);
  const expiresDays = wholeNumber(args.expires ?? settings.release.expiresDays, 1, '--expires');
  const back = wholeNumber(args.previous ?? DEFAULT_BACK, 0, '--previous');
  const key = await readSecretKey(resolve(cwd, keyFile), { passphrase });
  return {
    build,
    destination,
    key,
    successors: args.successors === undefined ? undefined : await readSuccessorsFile(resolve(cwd, args.successors)),
    expiresDays,
    back,
    encodings: encodings(args.encoding),
    quick: args.quick,
    dryRun: settings.dryRun,
    now: new Date(),
    lockTimeout,
    reporter,
    signal,
  };
}
