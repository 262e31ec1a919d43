import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { deltaInfo, isOstreeError, OstreeError, Repo, variant } from '../../trees/ostree/index.js';
import { noise, ostree, Scratch, TIMESTAMP, writeTree } from '../support/ostree.js';

async function twoVersions(scratch: Scratch): Promise<{ repo: Repo; path: string; old: string; next: string }> {
  const path = scratch.join('repo');
  const repo = await Repo.create(path, { mode: 'archive' });
  const binary = noise(300_000);
  const changed = Buffer.from(binary);
  changed.fill('patched', 1000, 1100);
  const old = await repo.commitDirectory(writeTree(scratch.join('v1'), { 'bin/app': binary, 'etc/conf': 'one' }), {
    timestamp: TIMESTAMP,
    ref: 'app',
  });
  const next = await repo.commitDirectory(
    writeTree(scratch.join('v2'), { 'bin/app': changed, 'etc/conf': 'two', 'etc/new': 'n' }),
    {
      timestamp: TIMESTAMP + 1,
      parent: old,
      ref: 'app',
      metadata: { 'trees.version': variant('s', '2.0.0') },
    },
  );
  return { repo, path, old, next };
}

test('an inline delta is one file that says everything about itself, and applies', async () => {
  using scratch = new Scratch();
  const { repo, old, next } = await twoVersions(scratch);
  using _ = repo;
  await repo.writeDetachedMetadata(next, { 'ostree.sign.ed25519': variant('aay', [noise(64)]) });
  const full = scratch.join('full.delta');
  const update = scratch.join('update.delta');
  await repo.generateDelta({ to: old, inlineParts: true, minFallbackSize: 0, filename: full });
  await repo.generateDelta({
    from: old,
    to: next,
    inlineParts: true,
    minFallbackSize: 0,
    filename: update,
    metadata: { note: variant('s', 'x') },
  });
  const info = await deltaInfo(update);
  assert.equal(info.from, old);
  assert.equal(info.to, next);
  assert.equal(info.inline, true);
  assert.equal(info.commit.checksum, next);
  assert.deepEqual(info.commit, await repo.readCommit(next));
  assert.deepEqual(info.detachedMetadata, await repo.readDetachedMetadata(next));
  assert.deepEqual(info.fallbacks, []);
  assert.ok(info.timestamp > TIMESTAMP);
  const listed = info.parts.flatMap((part) => part.objects.map((object) => `${object.checksum}.${object.type}`));
  const reachable = (await repo.traverseCommit(next)).map((object) => `${object.checksum}.${object.type}`);
  const had = new Set((await repo.traverseCommit(old)).map((object) => `${object.checksum}.${object.type}`));
  assert.deepEqual(listed.sort(), reachable.filter((name) => !had.has(name) && !name.endsWith('.commit')).sort());
  assert.equal((await deltaInfo(full)).from, undefined);

  using target = await Repo.create(scratch.join('target'), { mode: 'bare-user' });
  await assert.rejects(target.applyDelta(update), /delta source, is not in repository/);
  await target.applyDelta(full);
  const transaction = await target.beginTransaction();
  await target.applyDelta(update);
  transaction.setRef('app', next);
  await transaction.commit();
  assert.match(ostree(target.path, 'fsck'), /no errors found/);
  assert.equal(ostree(target.path, 'rev-parse', 'app').trim(), next);
  assert.equal(ostree(target.path, 'cat', 'app', '/etc/conf'), 'two');
  assert.deepEqual(await target.readDetachedMetadata(next), info.detachedMetadata);
  await target.applyDelta(update, { skipValidation: false });
});

test('deltas in the repository are listed, and parts beside the superblock are read', async () => {
  using scratch = new Scratch();
  const { repo, path, old, next } = await twoVersions(scratch);
  using _ = repo;
  assert.deepEqual(await repo.listDeltas(), []);
  await repo.generateDelta({ to: old });
  ostree(path, 'static-delta', 'generate', `--from=${old}`, `--to=${next}`);
  const deltas = [...(await repo.listDeltas())].sort((a, b) => (a.from ?? '').localeCompare(b.from ?? ''));
  assert.deepEqual(deltas, [
    { from: undefined, to: old },
    { from: old, to: next },
  ]);
  const listed = ostree(path, 'static-delta', 'list').trim().split('\n').sort();
  assert.deepEqual(
    deltas.map((delta) => (delta.from === undefined ? delta.to : `${delta.from}-${delta.to}`)).sort(),
    listed,
  );
  const shown = ostree(path, 'static-delta', 'show', `${old}-${next}`);
  const [base64From, base64To] = [old, next].map((sum) =>
    Buffer.from(sum, 'hex').toString('base64').replace('=', '').replaceAll('/', '_'),
  );
  const directory = scratch.join(
    'repo',
    'deltas',
    (base64From ?? '').slice(0, 2),
    `${(base64From ?? '').slice(2)}-${base64To}`,
  );
  const info = await deltaInfo(directory);
  assert.equal(info.inline, false);
  assert.match(shown, new RegExp(`Number of parts: ${info.parts.length}`));
  const [part] = info.parts;
  assert.match(
    shown,
    new RegExp(`PartMeta0: nobjects=${part?.objects.length} size=${part?.size} usize=${part?.uncompressedSize}`),
  );
  using archive = await Repo.create(scratch.join('archive'), { mode: 'archive' });
  using target = await Repo.create(scratch.join('target'), { mode: 'bare-user' });
  for (const repository of [archive, target]) ostree(repository.path, 'pull-local', path, old);
  await target.applyDelta(directory);
  assert.deepEqual(await target.fsck(), []);
  // libostree itself would abort the process.
  await assert.rejects(archive.applyDelta(directory), (error: unknown) => isOstreeError(error, 'notSupported'));
});

test('fallbacks are shown and not applicable offline', async () => {
  using scratch = new Scratch();
  const { repo, old } = await twoVersions(scratch);
  using _ = repo;
  const big = await repo.commitDirectory(writeTree(scratch.join('big'), { big: noise(1_200_000, 7) }), {
    timestamp: 1,
  });
  const file = scratch.join('fallback.delta');
  await repo.generateDelta({ from: old, to: big, inlineParts: true, minFallbackSize: 1, filename: file });
  const info = await deltaInfo(file);
  assert.equal(info.fallbacks.length, 1);
  assert.equal(info.fallbacks[0]?.type, 'file');
  using target = await Repo.create(scratch.join('target'), { mode: 'archive' });
  await target.applyDelta(scratch.join('fallback.delta')).then(
    () => assert.fail('applied'),
    (error: unknown) => assert.ok(error instanceof OstreeError),
  );
});

test('damaged and foreign files are refused, and leave nothing behind', async () => {
  using scratch = new Scratch();
  const { repo, old } = await twoVersions(scratch);
  using _ = repo;
  const good = scratch.join('good.delta');
  await repo.generateDelta({ to: old, inlineParts: true, minFallbackSize: 0, filename: good });
  const bytes = readFileSync(good);
  using target = await Repo.create(scratch.join('target'), { mode: 'archive' });
  const cases: Array<[string, Buffer]> = [
    ['empty', Buffer.alloc(0)],
    ['text', Buffer.from('this is not a delta, whatever its name says')],
    ['zeros', Buffer.alloc(5000)],
    ['truncated', bytes.subarray(0, bytes.length >> 1)],
    ['beheaded', bytes.subarray(1000)],
  ];
  for (const [name, content] of cases) {
    const file = scratch.join(name);
    writeFileSync(file, content);
    await assert.rejects(deltaInfo(file), (error: unknown) => isOstreeError(error, 'invalidData'), name);
    await assert.rejects(target.applyDelta(file), (error: unknown) => isOstreeError(error, 'invalidData'), name);
  }
  await assert.rejects(deltaInfo(scratch.join('absent')), (error: unknown) => isOstreeError(error, 'notFound'));
  const flipped = Buffer.from(bytes);
  flipped.writeUInt8(flipped.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1);
  writeFileSync(scratch.join('flipped'), flipped);
  await assert.rejects(target.applyDelta(scratch.join('flipped')), OstreeError);
  assert.deepEqual(await target.listObjects(), []);
  copyFileSync(good, scratch.join('copy'));
  await target.applyDelta(scratch.join('copy'));
  assert.deepEqual(await target.fsck(), []);
});
