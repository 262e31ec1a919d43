import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { isOstreeError, OstreeError, Repo } from '../../trees/ostree/index.js';
import { ostree, ostreeAsync, Scratch, seededRepo, TIMESTAMP } from '../support/ostree.js';

test('refs are listed, resolved, set and deleted as the CLI sees them', async () => {
  using scratch = new Scratch();
  const { repo, path, commit } = await seededRepo(scratch);
  using _ = repo;
  await repo.setRef('base/deb/x86_64/12.1.0', commit);
  await repo.setRef('origin:layer/etcd', commit);
  assert.deepEqual([...(await repo.listRefs()).keys()].sort(), ostree(path, 'refs').trim().split('\n').sort());
  assert.deepEqual([...(await repo.listRefs('base'))], [['base/deb/x86_64/12.1.0', commit]]);
  assert.deepEqual([...(await repo.listRefs('nothing'))], []);
  assert.equal(await repo.resolveRev('main'), ostree(path, 'rev-parse', 'main').trim());
  assert.equal(await repo.resolveRev(commit.slice(0, 12)), commit);
  assert.equal(await repo.tryResolveRev('missing'), undefined);
  assert.equal(await repo.tryResolveRev(commit), commit);
  await assert.rejects(repo.resolveRev('missing'), (error: unknown) => {
    assert.ok(error instanceof OstreeError && isOstreeError(error, 'notFound'));
    assert.match(error.message, /'missing' not found/);
    return true;
  });
  await repo.setRef('base/deb/x86_64/12.1.0', undefined);
  await repo.setRef('base/deb/x86_64/12.1.0', undefined);
  assert.equal((await repo.listRefs('base')).size, 0);
});

test('a parent resolves through ^', async () => {
  using scratch = new Scratch();
  const { repo, source, commit } = await seededRepo(scratch);
  using _ = repo;
  const child = await repo.commitDirectory(source, { timestamp: TIMESTAMP + 1, parent: commit, ref: 'main' });
  assert.equal(await repo.resolveRev('main'), child);
  assert.equal(await repo.resolveRev('main^'), commit);
});

test('a transaction shows nothing until it commits', async () => {
  using scratch = new Scratch();
  const { repo, path, commit } = await seededRepo(scratch);
  using _ = repo;
  const transaction = await repo.beginTransaction();
  assert.equal(transaction.resumed, false);
  const file = await repo.writeFile({ kind: 'regular', content: Buffer.from('staged'), mode: 0o644, uid: 0, gid: 0 });
  transaction.setRef('staged', commit);
  transaction.setRef('main', undefined);
  using other = await Repo.open(path);
  assert.equal(await repo.hasObject('file', file), true);
  assert.equal(await other.hasObject('file', file), false);
  assert.equal(ostree(path, 'refs').trim(), 'main');
  const stats = await transaction.commit();
  assert.equal(stats.contentObjectsWritten, 1);
  assert.ok(stats.contentBytesWritten > 0);
  assert.equal(await other.hasObject('file', file), true);
  assert.equal(ostree(path, 'refs').trim(), 'staged');
});

test('leaving the block aborts', async () => {
  using scratch = new Scratch();
  const { repo, path, commit } = await seededRepo(scratch);
  using _ = repo;
  let file = '';
  {
    await using transaction = await repo.beginTransaction();
    file = await repo.writeFile({ kind: 'regular', content: Buffer.from('gone'), mode: 0o644, uid: 0, gid: 0 });
    transaction.setRef('gone', commit);
  }
  using other = await Repo.open(path);
  assert.equal(await other.hasObject('file', file), false);
  assert.equal(ostree(path, 'refs').trim(), 'main');
});

test('commitDirectory and applyDelta join the open transaction', async () => {
  using scratch = new Scratch();
  const { repo, path, source } = await seededRepo(scratch);
  using _ = repo;
  const transaction = await repo.beginTransaction();
  const commit = await repo.commitDirectory(source, { timestamp: 5, subject: 'joined', ref: 'joined' });
  assert.throws(() => ostree(path, 'rev-parse', 'joined'));
  await transaction.commit();
  assert.equal(ostree(path, 'rev-parse', 'joined').trim(), commit);
});

test('two transactions of one Repo follow each other when the first is ending', async () => {
  using scratch = new Scratch();
  const { repo, commit } = await seededRepo(scratch);
  using _ = repo;
  const first = await repo.beginTransaction();
  first.setRef('one', commit);
  const committing = first.commit();
  const second = await repo.beginTransaction();
  second.setRef('two', commit);
  await second.commit();
  await committing;
  assert.deepEqual([...(await repo.listRefs()).keys()].sort(), ['main', 'one', 'two']);
});

test('closing the repository aborts its transaction and frees the lock', async () => {
  using scratch = new Scratch();
  const { repo, path, commit } = await seededRepo(scratch);
  const transaction = await repo.beginTransaction();
  transaction.setRef('lost', commit);
  repo.close();
  // Needs the exclusive lock.
  assert.match(await ostreeAsync(path, 'prune'), /No unreachable objects/);
  assert.equal(ostree(path, 'refs').trim(), 'main');
  assert.deepEqual(
    readdirSync(scratch.join('repo', 'tmp')).filter((name) => !name.startsWith('cache') && name.endsWith('.lock')),
    [],
  );
});

test('a transaction holds the shared lock', async () => {
  using scratch = new Scratch();
  const { repo, path } = await seededRepo(scratch);
  using _ = repo;
  using other = await Repo.open(path);
  await using transaction = await repo.beginTransaction();
  assert.equal(transaction.resumed, false);
  using shared = await other.lock('shared', { timeout: 'try' });
  assert.equal(shared.kind, 'shared');
  shared[Symbol.dispose]();
  await assert.rejects(other.lock('exclusive', { timeout: 'try' }), (error: unknown) =>
    isOstreeError(error, 'wouldBlock'),
  );
  await assert.rejects(other.prune({ lockTimeout: 'try' }), (error: unknown) => isOstreeError(error, 'wouldBlock'));
});
