import { join, resolve } from 'node:path';
import { defineCommand } from '../trees/cli/command.js';
import { formatBytes, formatTable } from '../trees/cli/render/format.js';
import { TreesError, usageError } from '../trees/errors.js';
import type { BundleEntry } from '../trees/feed/schema.js';
import { parseFeedUrl } from '../trees/feed/url.js';
import type { Edge } from './edges.js';
import { passwordFile, readPassword } from './key-commands.js';
import { readSecretKey } from './key-file.js';
import { release as publishRelease, type ReleaseResult } from './release.js';

const DEFAULT_KEEP = 5;

function feedDirectory(to: string | undefined, cwd: string): string {
  if (to === undefined) {
    throw usageError('Expected --to to say where to publish', 'for example --to dir:/srv/feed, or set release.to');
  }
  const url = parseFeedUrl(to, cwd);
  if (url.scheme === 'dir') return url.path;
  throw new TreesError('UNSUPPORTED', `cannot publish to ${url.href}: only dir:PATH feeds can be published to`, {
    hint: 'publish to a directory, then serve or upload its files; clients read https: and github: feeds',
  });
}

function atLeastOne(value: number | undefined, fallback: number, name: string): number {
  const number = value ?? fallback;
  if (!Number.isInteger(number) || number < 1)
    throw usageError(
      `Expected ${name} to be a whole number above 0, got ${number}`,
      `for example: ${name} ${fallback}`,
    );
  return number;
}

const short = (checksum: string | null): string => checksum?.slice(0, 12) ?? 'nothing';

function tableOf({ made, reused, considered }: ReleaseResult): string {
  const row = (state: string, bundle: BundleEntry | Edge): string[] => [
    state,
    'file' in bundle ? bundle.file : `${bundle.name} ${bundle.version} ${bundle.arch}`,
    `${short(bundle.from)} → ${short(bundle.to)}`,
    'size' in bundle ? formatBytes(bundle.size) : '?',
  ];
  const rows = [
    ...made.map((bundle) => row('new', bundle)),
    ...considered.map((edge) => row('to make', edge)),
    ...reused.map((bundle) => row('kept', bundle)),
  ];
  return formatTable(
    [{ title: 'bundle' }, { title: 'file' }, { title: 'way' }, { title: 'size', align: 'right' }],
    rows,
  );
}

function textOf(result: ReleaseResult, url: string, dryRun: boolean): string {
  const { status, index } = result;
  if (status === 'unchanged') return `${url}: unchanged, index ${index.sequence}\n`;
  const verb = dryRun ? `would be ${status}` : status;
  return `${url}: ${verb}, index ${index.sequence}, expires ${index.expires.slice(0, 10)}\n${tableOf(result)}`;
}

function jsonOf(result: ReleaseResult, dryRun: boolean) {
  const { status, index } = result;
  const versions = (
    group: Readonly<Record<string, { versions: readonly { version: string; arch: string; commit: string }[] }>>,
  ) =>
    Object.entries(group).map(([name, entry]) => ({
      name,
      versions: entry.versions.map(({ version, arch, commit }) => ({ version, arch, commit })),
    }));
  return {
    dryRun,
    status,
    id: index.feed,
    sequence: index.sequence,
    created: index.created,
    expires: index.expires,
    bases: versions(index.bases),
    apps: versions(index.apps),
    made: result.made,
    reused: result.reused,
    declined: result.declined.map(({ from, to, name, version, arch }) => ({ from, to, name, version, arch })),
    considered: result.considered.map(({ from, to, name, version, arch }) => ({ from, to, name, version, arch })),
    pruned: result.pruned,
  };
}

export const release = defineCommand({
  name: 'release',
  summary: 'publish built bases and apps to a feed',
  description:
    'Signs what `trees build` has built, makes the bundles that save their users something, applies each of them in ' +
    'a scratch repository, and switches the feed to a new signed index. Without NAME everything that was built is ' +
    'published. Bundles that are published already are kept; if nothing is new, nothing is changed.',
  positionals: [{ name: 'names', describe: 'base or app that has been built', variadic: true, complete: 'definition' }],
  options: {
    to: { type: 'string', value: 'URL', describe: 'feed to publish to, dir:PATH; default: the setting release.to' },
    key: {
      type: 'string',
      value: 'FILE',
      complete: 'file',
      describe: 'secret key to sign with; default: the setting release.key',
    },
    'password-file': passwordFile,
    expires: { type: 'number', value: 'DAYS', describe: 'days until the index expires; default 90' },
    keep: {
      type: 'number',
      value: 'N',
      describe: `versions of each app and base that stay listed; default ${DEFAULT_KEEP}`,
    },
    encoding: { type: 'string', choices: ['fast', 'small'], describe: 'encoding of new bundles; default fast' },
  },
  examples: [
    ['release --to dir:/srv/feed --key trees.key', 'publish everything that was built'],
    ['release etcd --to dir:/srv/feed --key trees.key --dry-run', 'show what publishing etcd would do'],
  ],
  async handler(context, args) {
    const { settings, cwd } = context;
    const to = args.to ?? settings.release.to;
    const directory = feedDirectory(to, cwd);
    const keyFile = args.key ?? settings.release.key;
    if (keyFile === undefined) {
      throw usageError(
        'Expected --key to name the secret key to sign with',
        '`trees key generate` makes one, or set release.key',
      );
    }
    const passphrase = await readPassword(context, args['password-file']);
    const expiresDays = atLeastOne(args.expires, settings.release.expiresDays, '--expires');
    const keep = atLeastOne(args.keep, DEFAULT_KEEP, '--keep');
    const key = await readSecretKey(resolve(cwd, keyFile), { passphrase });
    const result = await publishRelease({
      build: join(settings.root, 'build'),
      directory,
      names: args.names,
      key,
      expiresDays,
      keep,
      encoding: args.encoding === 'small' ? 'small' : 'fast',
      dryRun: settings.dryRun,
      now: new Date(),
      lockTimeout: settings.lockTimeout,
      reporter: context.reporter,
      signal: context.signal,
    });
    return { json: jsonOf(result, settings.dryRun), text: textOf(result, `dir:${directory}`, settings.dryRun) };
  },
});
