import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isOstreeError, MutableTree, OstreeError } from '../../trees/ostree/index.js';
import { ostree, Scratch, seededRepo } from '../support/ostree.js';

test('one file of a commit is replaced and the rest kept', async () => {
  using scratch = new Scratch();
  const { repo, path, commit } = await seededRepo(scratch);
  using _ = repo;
  using tree = await MutableTree.fromCommit(repo, 'main');
  const before = await repo.readCommit(commit);
  assert.deepEqual(await tree.lookup('/'), { kind: 'directory', tree: before.rootTree, meta: before.rootMeta });
  assert.deepEqual(
    (await tree.list('/')).map((entry) => entry.name),
    ['etc', 'usr', 'usr.txt'],
  );
  const file = await repo.writeFile({ kind: 'regular', content: Buffer.from('new\n'), uid: 0, gid: 0, mode: 0o644 });
  await tree.setFile('/etc/hostname', file);
  await tree.remove('/usr/share');
  assert.deepEqual(await tree.lookup('/etc/hostname'), { kind: 'file', checksum: file });
  assert.equal(await tree.lookup('/usr/share/big'), undefined);
  const etc = await tree.lookup('/etc');
  assert.ok(etc?.kind === 'directory' && etc.tree === undefined && etc.meta !== undefined);
  const { rootTree, rootMeta } = await repo.writeMutableTree(tree);
  await repo.setRef('changed', await repo.writeCommit({ rootTree, rootMeta, timestamp: 1, parent: commit }));
  assert.equal(
    ostree(path, 'diff', 'main', 'changed').trim().split('\n').sort().join('\n'),
    'D    /usr/share\nM    /etc/hostname',
  );
  assert.deepEqual(await tree.lookup('/'), { kind: 'directory', tree: rootTree, meta: rootMeta });
});

test('a tree from nothing', async () => {
  using scratch = new Scratch();
  const { repo, path } = await seededRepo(scratch);
  using _ = repo;
  using tree = MutableTree.create();
  await assert.rejects(repo.writeMutableTree(tree), (error: unknown) => error instanceof OstreeError);
  const meta = await repo.writeDirMeta({ uid: 0, gid: 0, mode: 0o755, xattrs: [] });
  const file = await repo.writeFile({ kind: 'regular', content: Buffer.from('x'), uid: 0, gid: 0, mode: 0o644 });
  await tree.ensureDirectory('/', meta);
  await tree.ensureDirectory('/a');
  await assert.rejects(repo.writeMutableTree(tree), /empty tree/);
  await tree.ensureDirectory('/a', meta);
  await Promise.all(Array.from({ length: 50 }, (_item, index) => tree.setFile(`/a/${index}`, file)));
  assert.equal((await tree.list('/a')).length, 50);
  const { rootTree, rootMeta } = await repo.writeMutableTree(tree);
  await repo.setRef('made', await repo.writeCommit({ rootTree, rootMeta, timestamp: 1 }));
  assert.equal(ostree(path, 'ls', '-R', 'made').trim().split('\n').length, 52);
});

test('what does not fit is refused', async () => {
  using scratch = new Scratch();
  const { repo } = await seededRepo(scratch);
  using _ = repo;
  using tree = await MutableTree.fromCommit(repo, 'main');
  const file = '1'.repeat(64);
  await assert.rejects(tree.setFile('/none/x', file), (error: unknown) => isOstreeError(error, 'notFound'));
  await assert.rejects(tree.setFile('/usr.txt/x', file), (error: unknown) => isOstreeError(error, 'notDirectory'));
  await assert.rejects(tree.setFile('/usr', file), OstreeError);
  await assert.rejects(tree.ensureDirectory('/usr.txt'), OstreeError);
  await assert.rejects(tree.remove('/none'), OstreeError);
  await tree.remove('/none', { allowMissing: true });
  assert.equal(await tree.lookup('/usr.txt/x'), undefined);
  await assert.rejects(tree.list('/usr.txt'), OstreeError);
  await assert.rejects(MutableTree.fromCommit(repo, 'none'), (error: unknown) => isOstreeError(error, 'notFound'));
  // Loaded when touched: the failure comes then.
  using missing = await MutableTree.fromChecksums(repo, file, file);
  await assert.rejects(missing.list('/'), OstreeError);
});

test('a closed tree lets go of its repository', async () => {
  using scratch = new Scratch();
  const { repo } = await seededRepo(scratch);
  const tree = await MutableTree.fromCommit(repo, 'main');
  repo.close();
  assert.equal((await tree.list('/')).length, 3);
  tree.close();
  await assert.rejects(tree.list('/'), /open MutableTree/);
});
