import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isOstreeError, Repo } from '../../trees/ostree/index.js';
import { type Fixture, ostree, Scratch, seededRepo, TIMESTAMP, writeTree } from '../support/ostree.js';

test('walks depth first, the root first, names in byte order', async () => {
  using scratch = new Scratch();
  const { repo, path } = await seededRepo(scratch);
  using _ = repo;
  const odd = writeTree(scratch.join('odd'), {
    'a/z': '1',
    'a.b': '2',
    'a-c/x': '3',
    é: '4',
    '😀/f': '5',
    '\uffee': '6',
    Z: '7',
  });
  await repo.commitDirectory(odd, { timestamp: 1, ref: 'odd' });
  const walked: string[] = [];
  for await (const entry of repo.walk('odd')) walked.push(entry.path);
  assert.deepEqual(
    walked,
    ['/', '/Z', '/a', '/a/z', '/a-c', '/a-c/x', '/a.b', '/é', '/\uffee', '/😀', '/😀/f'].sort((x, y) => order(x, y)),
  );
  // The same entries as the CLI lists.
  const rows: string[] = [];
  for await (const entry of repo.walk('main')) rows.push(`${entry.checksum} ${entry.meta ?? ''} ${entry.path}`);
  const listed = ostree(path, 'ls', '-RC', 'main')
    .trim()
    .split('\n')
    .map((line) => {
      const fields = line.split(' -> ')[0]?.trim().split(/\s+/) ?? [];
      return line.startsWith('d') ? `${fields[4]} ${fields[5]} ${fields[6]}` : `${fields[4]}  ${fields[5]}`;
    });
  assert.deepEqual(rows.sort(), listed.sort());
});

/** Depth first: component by component, bytewise. */
function order(a: string, b: string): number {
  const left = a.split('/').filter(Boolean);
  const right = b.split('/').filter(Boolean);
  for (let index = 0; index < Math.max(left.length, right.length); index += 1) {
    const compared = Buffer.compare(Buffer.from(left[index] ?? ''), Buffer.from(right[index] ?? ''));
    if (compared !== 0) return compared;
  }
  return 0;
}

test('walks many entries in batches, stops early, and is cancelled', async () => {
  using scratch = new Scratch();
  const many: Record<string, string> = {};
  for (let index = 0; index < 3000; index += 1) many[`d${index % 10}/f${index}`] = index % 100 === 0 ? 'same' : '';
  const source = writeTree(scratch.join('many'), many);
  using repo = await Repo.create(scratch.join('repo'), { mode: 'archive' });
  const commit = await repo.commitDirectory(source, { timestamp: 1, ref: 'many' });
  let count = 0;
  for await (const entry of repo.walk(commit)) count += entry.kind === 'file' ? 1 : 0;
  assert.equal(count, 3000);
  assert.deepEqual(await repo.commitSize(commit), { files: 3000, size: 120 });
  for await (const entry of repo.walk(commit)) {
    assert.equal(entry.path, '/');
    break;
  }
  const controller = new AbortController();
  const reason = new Error('enough');
  await assert.rejects(
    async () => {
      for await (const entry of repo.walk(commit, { signal: controller.signal }))
        if (entry.path !== '/') controller.abort(reason);
    },
    (error: unknown) => error === reason,
  );
});

test('sizes of a commit in every mode', async () => {
  for (const mode of ['bare', 'bare-user', 'archive'] as const) {
    using scratch = new Scratch();
    const { repo, commit } = await seededRepo(scratch, mode);
    using _ = repo;
    assert.deepEqual(await repo.commitSize(commit), { files: 7, size: 4 + 17 + 6 + 200_000 + 29 });
  }
});

test('looks up paths', async () => {
  using scratch = new Scratch();
  const { repo, commit } = await seededRepo(scratch);
  using _ = repo;
  assert.equal((await repo.lookupPath('main', '/'))?.checksum, (await repo.readCommit(commit)).rootTree);
  assert.equal((await repo.lookupPath('main', '/usr//bin/'))?.kind, 'directory');
  assert.equal((await repo.lookupPath(commit, '/usr/bin/tool'))?.path, '/usr/bin/tool');
  assert.equal(await repo.lookupPath('main', '/usr/bin/none'), undefined);
  assert.equal(await repo.lookupPath('main', '/usr/bin/tool/x'), undefined);
  await assert.rejects(repo.lookupPath('none', '/'), (error: unknown) => isOstreeError(error, 'notFound'));
});

test('traverses what a commit reaches, with parents as asked', async () => {
  using scratch = new Scratch();
  const { repo, commit } = await seededRepo(scratch);
  using _ = repo;
  const own = await repo.traverseCommit(commit);
  assert.deepEqual(own, await repo.listObjects());
  const extra = writeTree(scratch.join('extra'), { only: 'here' });
  const child = await repo.commitDirectory(extra, { timestamp: 2, parent: commit });
  const alone = await repo.traverseCommit(child);
  assert.ok(!alone.some((object) => object.checksum === commit));
  assert.deepEqual(await repo.traverseCommit(child, { maxDepth: -1 }), await repo.listObjects());
});

test('differs as the CLI says', async () => {
  using scratch = new Scratch();
  const { repo, path, commit } = await seededRepo(scratch);
  using _ = repo;
  const next: Fixture = {
    'etc/hostname': 'other\n',
    'etc/link': { to: 'hostname' },
    'etc/new/deep': 'x',
    'usr/bin/tool': { mode: 0o700, content: '#!/bin/sh\nexit 0\n' },
    'usr/share/empty/now-a-directory': '',
    'usr.txt': 'sorts between usr and usr/…',
  };
  const changed = await repo.commitDirectory(writeTree(scratch.join('next'), next), {
    timestamp: TIMESTAMP,
    ref: 'next',
  });
  const diff = await repo.diff(commit, changed);
  const lines = [
    ...diff.modified.map((name) => `M    ${name}`),
    ...diff.removed.map((name) => `D    ${name}`),
    ...diff.added.map((name) => `A    ${name}`),
  ];
  assert.deepEqual(lines.sort(), ostree(path, 'diff', 'main', 'next').trim().split('\n').sort());
  assert.ok(
    diff.modified.includes('/etc/hostname') &&
      diff.added.includes('/etc/new/deep') &&
      diff.removed.includes('/usr/bin/su'),
  );
  assert.deepEqual(await repo.diff(commit, commit), { added: [], removed: [], modified: [] });
  const all = await repo.diff(undefined, commit);
  assert.equal(all.added.length, 11);
  assert.deepEqual([all.removed, all.modified], [[], []]);
});
