import assert from 'node:assert/strict';
import { existsSync, lstatSync, mkdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { DevInoCache, isOstreeError, OstreeError } from '../../trees/ostree/index.js';
import { ostree, Scratch, seededRepo, TIMESTAMP, writeTree } from '../support/ostree.js';

const asRoot = process.getuid?.() === 0 ? false : 'needs root: checking out owners';

test('a bare repository is checked out as hard links with modes', { skip: asRoot }, async () => {
  using scratch = new Scratch();
  const { repo, path } = await seededRepo(scratch);
  using _ = repo;
  const out = scratch.join('out');
  await repo.checkout('main', out, { requireHardlinks: true });
  assert.equal(statSync(`${out}/usr/bin/su`).mode & 0o7777, 0o4755);
  assert.equal(readlinkSync(`${out}/etc/link`), 'hostname');
  assert.ok(statSync(`${out}/usr/share/big`).nlink >= 2);
  assert.equal(ostree(path, 'diff', 'main', out), '');
  const copy = scratch.join('copy');
  await repo.checkout('main', copy, { forceCopy: true });
  assert.equal(statSync(`${copy}/usr/share/big`).nlink, 1);
  assert.equal(ostree(path, 'diff', 'main', copy), '');
});

test('mode user with every kind of repository', async () => {
  for (const mode of ['bare', 'bare-user', 'archive'] as const) {
    using scratch = new Scratch();
    const { repo } = await seededRepo(scratch, mode);
    using _ = repo;
    await repo.checkout('main', scratch.join('out'), { mode: 'user' });
    assert.equal(readFileSync(scratch.join('out', 'etc', 'hostname'), 'utf8'), 'box\n');
    assert.equal(statSync(scratch.join('out', 'usr', 'bin', 'tool')).mode & 0o777, 0o755);
  }
});

test('a destination that exists is refused, merged or kept as asked', async () => {
  using scratch = new Scratch();
  const { repo, commit } = await seededRepo(scratch);
  using _ = repo;
  const out = scratch.join('out');
  mkdirSync(`${out}/etc`, { recursive: true });
  writeFileSync(`${out}/etc/hostname`, 'mine\n');
  writeFileSync(`${out}/other`, 'stays');
  await assert.rejects(repo.checkout('main', out, { mode: 'user' }), (error: unknown) =>
    isOstreeError(error, 'exists'),
  );
  await repo.checkout('main', out, { mode: 'user', overwrite: 'add-files' });
  assert.equal(readFileSync(`${out}/etc/hostname`, 'utf8'), 'mine\n');
  await repo.checkout(commit, out, { mode: 'user', overwrite: 'union-files' });
  assert.equal(readFileSync(`${out}/etc/hostname`, 'utf8'), 'box\n');
  assert.equal(readFileSync(`${out}/other`, 'utf8'), 'stays');
  assert.ok(existsSync(`${out}/usr/bin/tool`));
});

test('union-identical accepts the same and refuses different files', { skip: asRoot }, async () => {
  using scratch = new Scratch();
  const { repo } = await seededRepo(scratch);
  using _ = repo;
  const out = scratch.join('out');
  await repo.checkout('main', out, { overwrite: 'union-identical', requireHardlinks: true });
  await repo.checkout('main', out, { overwrite: 'union-identical', requireHardlinks: true });
  const changed = writeTree(scratch.join('changed'), { 'etc/hostname': 'different\n' });
  await repo.commitDirectory(changed, { timestamp: 1, ref: 'changed' });
  await assert.rejects(
    repo.checkout('changed', out, { overwrite: 'union-identical', requireHardlinks: true }),
    /hostname/,
  );
});

test('require-hardlinks fails rather than copies', {
  skip: existsSync('/dev/shm') ? false : 'needs /dev/shm: a second file system',
}, async () => {
  using scratch = new Scratch();
  const { repo } = await seededRepo(scratch, 'archive');
  using _ = repo;
  await assert.rejects(
    repo.checkout('main', scratch.join('out'), { mode: 'user', requireHardlinks: true }),
    OstreeError,
  );
});

test('whiteouts and opaque directories', async () => {
  using scratch = new Scratch();
  const { repo } = await seededRepo(scratch);
  using _ = repo;
  const layer = writeTree(scratch.join('layer'), {
    'etc/.wh.link': '',
    'usr/share/.wh..wh..opq': '',
    'usr/share/new': 'new',
  });
  await repo.commitDirectory(layer, { timestamp: 1, ref: 'layer' });
  const out = scratch.join('out');
  await repo.checkout('main', out, { mode: 'user' });
  await repo.checkout('layer', out, { mode: 'user', overwrite: 'union-files', processWhiteouts: true });
  assert.equal(lstatSync(`${out}/etc/link`, { throwIfNoEntry: false }), undefined);
  assert.equal(existsSync(`${out}/usr/share/big`), false);
  assert.equal(readFileSync(`${out}/usr/share/new`, 'utf8'), 'new');
  assert.ok(existsSync(`${out}/etc/hostname`));
});

test('a subpath, and one that is not there', async () => {
  using scratch = new Scratch();
  const { repo } = await seededRepo(scratch);
  using _ = repo;
  await repo.checkout('main', scratch.join('bin'), { mode: 'user', subpath: '/usr/bin' });
  assert.ok(existsSync(scratch.join('bin', 'tool')));
  await assert.rejects(
    repo.checkout('main', scratch.join('none'), { mode: 'user', subpath: '/usr/nothing' }),
    (error: unknown) => isOstreeError(error, 'notFound'),
  );
  await assert.rejects(repo.checkout('nothing', scratch.join('x')), (error: unknown) =>
    isOstreeError(error, 'notFound'),
  );
});

test('a device-inode cache spares reading what was checked out', { skip: asRoot }, async () => {
  using scratch = new Scratch();
  const { repo, commit } = await seededRepo(scratch);
  using _ = repo;
  const cache = new DevInoCache();
  const out = scratch.join('out');
  await repo.checkout('main', out, { requireHardlinks: true, devInoCache: cache });
  await using transaction = await repo.beginTransaction();
  const [again, twice] = await Promise.all([
    repo.commitDirectory(out, { timestamp: TIMESTAMP, subject: 'seed', devInoCache: cache }),
    repo.commitDirectory(out, { timestamp: TIMESTAMP, subject: 'seed', devInoCache: cache }),
  ]);
  assert.deepEqual([again, twice], [commit, commit]);
  const stats = await transaction.commit();
  assert.ok(stats.devInoCacheHits >= 4, `hits: ${stats.devInoCacheHits}`);
});
