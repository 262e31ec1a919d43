import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { applyBundle, type BundleInfo, bundleInfo, createBundle, isRef } from '../../delta/index.js';
import { TreesError, usageError } from '../../errors.js';
import { Repo } from '../../ostree/index.js';
import type { Checksum } from '../../ostree/types.js';
import { storePaths } from '../../store/paths.js';
import { unpackDelta } from '../../store/unpack-delta.js';
import { type Context, defineCommand, defineGroup } from '../command.js';
import { printable } from '../errors.js';
import { type Column, formatBytes, formatTable } from '../render/format.js';
import { install } from './bundle-install.js';

const repoOption = {
  type: 'string',
  value: 'DIR',
  describe: "OSTree repository; default the store's",
  complete: 'directory',
} as const;

const create = defineCommand({
  name: 'create',
  summary: 'create the bundle that leads from one commit to another',
  description:
    'The same commits and options give the same file, byte for byte. Without --from the bundle is complete. ' +
    'Stock ostree can apply it too: zstd -d FILE, then ostree static-delta apply-offline.',
  positionals: [],
  options: {
    repo: repoOption,
    from: { type: 'string', value: 'REV', describe: 'ref or checksum of the commit that receivers have' },
    to: { type: 'string', value: 'REV', describe: 'ref or checksum of the commit that they get', required: true },
    output: { type: 'string', alias: 'o', value: 'FILE', describe: 'file to write', required: true, complete: 'file' },
    encoding: {
      type: 'string',
      choices: ['fast', 'small'],
      describe: 'fast to apply (default), or small and slower to apply',
    },
    quick: { type: 'boolean', describe: 'take less time, give a larger file' },
  },
  examples: [
    ['bundle create --repo repo --to app/1.2 -o app-1.2.zst', 'a complete bundle'],
    ['bundle create --repo repo --from app/1.1 --to app/1.2 -o update.zst', 'an update'],
  ],
  async handler(context, args) {
    const repoPath = repository(context, args.repo);
    const output = resolve(context.cwd, args.output);
    using repo = await Repo.open(repoPath, { signal: context.signal });
    const to = await commitOf(repo, args.to);
    const from = args.from === undefined ? undefined : await commitOf(repo, args.from);
    if (context.settings.dryRun) {
      return { json: { dryRun: true, from: from ?? null, to, output }, text: `would create ${output}\n` };
    }
    using task = context.reporter.task(`creating ${args.output}`, { unit: 'bytes' });
    const created = await createBundle({
      repoPath,
      from,
      to,
      output,
      encoding: args.encoding === 'small' ? 'small' : 'fast',
      quick: args.quick,
      signal: context.signal,
      onProgress: ({ done, total }) => task.update(done, total > 0 ? `of ${formatBytes(total)}` : ''),
    });
    task.done();
    const { size, writes, objects } = created;
    return {
      json: { from: from ?? null, to, output, ...created },
      text: `created ${args.output}: ${formatBytes(size)}, writes ${objects} objects, ${formatBytes(writes)}\n`,
    };
  },
});

const apply = defineCommand({
  name: 'apply',
  summary: 'apply a bundle to a repository',
  description:
    'Writes all of the commit or nothing, and verifies every object. Plain inline deltas of stock ostree are accepted. ' +
    'Signatures are not checked here: whoever names the file vouches for it; trees install checks them.',
  positionals: [{ name: 'file', describe: 'bundle or inline delta', required: true, complete: 'file' }],
  options: {
    repo: repoOption,
    ref: { type: 'string', value: 'REF', describe: 'ref to set to the commit; without one, gc deletes it again' },
  },
  examples: [['bundle apply --repo repo --ref app/1.2 app-1.2.zst', 'apply, and keep the commit under a ref']],
  async handler(context, args) {
    const path = resolve(context.cwd, args.file);
    const repoPath = repository(context, args.repo);
    if (args.ref !== undefined && !isRef(args.ref)) {
      throw usageError(`Expected --ref to be a ref like app/1.2, got ${JSON.stringify(args.ref)}`);
    }
    if (context.settings.dryRun) {
      const { from, to, objects, writes } = await bundleInfo(path, { signal: context.signal });
      return {
        json: { dryRun: true, from, to, objects, writes },
        text: `would write commit ${to}: at most ${objects} objects, ${formatBytes(writes)}\n`,
      };
    }
    using task = context.reporter.task(`applying ${args.file}`, { unit: 'bytes' });
    const applied = await applyBundle({
      repoPath,
      path,
      ref: args.ref,
      signal: context.signal,
      onProgress: ({ done, total }) => task.update(done, `of ${formatBytes(total)}`),
    });
    task.done();
    const { to, objectsWritten, bytesWritten } = applied;
    return {
      json: { ...applied, ref: args.ref ?? null },
      text: `commit ${to}: wrote ${objectsWritten} objects, ${formatBytes(bytesWritten)}\n`,
    };
  },
});

const info = defineCommand({
  name: 'info',
  summary: 'show what a bundle holds',
  positionals: [{ name: 'file', describe: 'bundle or inline delta', required: true, complete: 'file' }],
  options: {
    objects: { type: 'boolean', describe: "list the parts' objects in --json" },
  },
  examples: [
    ['bundle info app-1.2.zst', 'commits, sizes and parts'],
    ['bundle info --json --objects app-1.2.zst', 'which part holds which object'],
  ],
  async handler(context, args) {
    await using unpacked = await unpackDelta(resolve(context.cwd, args.file), tmpdir());
    const bundle = await bundleInfo(unpacked.path, { signal: context.signal });
    return { json: toJson(bundle, args.objects === true), text: describe(bundle) };
  },
});

export const command = defineGroup(
  'bundle',
  'install bundles from files; create, inspect or apply them on any OSTree repository',
  [install, create, apply, info],
);

function repository(context: Context, path: string | undefined): string {
  if (path === '') throw usageError("Expected --repo to be a directory, got ''");
  const repo = path === undefined ? storePaths(context.settings.root).repo : resolve(context.cwd, path);
  // libostree's words for it name a file that nobody knows.
  if (existsSync(join(repo, 'config')) && existsSync(join(repo, 'objects'))) return repo;
  throw new TreesError(
    'STORE_UNUSABLE',
    `cannot open the repository ${repo}: ${existsSync(repo) ? 'it is no OSTree repository' : 'it does not exist'}`,
    {
      hint:
        path === undefined
          ? '--repo names another one; the store has one once something was installed'
          : `a new one: ostree init --repo=${repo} --mode=bare`,
      details: { repo },
    },
  );
}

async function commitOf(repo: Repo, rev: string): Promise<Checksum> {
  const checksum = await repo.tryResolveRev(rev);
  if (checksum !== undefined) return checksum;
  throw new TreesError('VERSION_NOT_FOUND', `cannot find the commit ${rev}: ${repo.path} has no such ref`, {
    hint: `list what it has: ostree refs --repo=${repo.path}`,
    details: { rev, repo: repo.path },
  });
}

function toJson(bundle: BundleInfo, objects: boolean): unknown {
  const { parts, commit, commitBytes: _, detached, ...rest } = bundle;
  return {
    ...rest,
    commit: { ...commit, metadata: Object.keys(commit.metadata) },
    detached: Object.keys(detached ?? {}),
    parts: parts.map((part) => ({ ...part, objects: objects ? part.objects : part.objects.length })),
    bytes: rest.size,
  };
}

function describe(bundle: BundleInfo): string {
  const { from, to, commit, encoding, size, rawSize, writes, objects, parts, detached } = bundle;
  const facts: Array<readonly [string, string]> = [
    ['from', from ?? '(nothing)'],
    ['to', to],
    ['subject', printable(commit.subject)],
    ['date', new Date(commit.timestamp * 1000).toISOString()],
    ['signatures', printable(Object.keys(detached ?? {}).join(', ')) || 'none'],
    ['encoding', encoding],
    ['size', `${formatBytes(size)} (${formatBytes(rawSize)} decompressed)`],
    ['writes', `${objects} objects, ${formatBytes(writes)}`],
  ];
  const columns: Column[] = [
    { title: 'part', align: 'right' },
    { title: 'offset', align: 'right' },
    { title: 'size', align: 'right' },
    { title: 'writes', align: 'right' },
    { title: 'objects', align: 'right' },
  ];
  const rows = parts.map((part, index) => [
    String(index),
    String(part.offset),
    formatBytes(part.compressedSize),
    formatBytes(part.writes),
    String(part.objects.length),
  ]);
  const head = facts.map(([name, value]) => `${`${name}:`.padEnd(12)}${value}\n`).join('');
  return parts.length === 0 ? head : `${head}\n${formatTable(columns, rows)}`;
}
