import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { isOstreeError, OstreeError, Repo, type RepoMode } from '../../trees/ostree/index.js';
import { ostree, Scratch, seededRepo } from '../support/ostree.js';

const MODES: readonly RepoMode[] = ['bare', 'bare-user', 'bare-user-only', 'archive'];

test('creates a repository of every mode that the CLI agrees with', async () => {
  using scratch = new Scratch();
  for (const mode of MODES) {
    const path = scratch.join(mode);
    using repo = await Repo.create(path, { mode });
    assert.equal(repo.mode, mode);
    assert.equal(repo.path, path);
    assert.equal(repo.writable, true);
    const cli = mode === 'archive' ? 'archive-z2' : mode;
    assert.equal(ostree(path, 'config', 'get', 'core.mode').trim(), cli);
    using again = await Repo.create(path, { mode });
    assert.equal(again.mode, mode);
  }
});

test('opens what the CLI created', async () => {
  using scratch = new Scratch();
  for (const mode of MODES) {
    const path = scratch.join(mode);
    ostree(path, 'init', `--mode=${mode}`);
    using repo = await Repo.open(path);
    assert.equal(repo.mode, mode);
  }
});

test('refuses a repository of another mode, and what is none', async () => {
  using scratch = new Scratch();
  (await Repo.create(scratch.join('repo'), { mode: 'bare' })).close();
  await assert.rejects(Repo.create(scratch.join('repo'), { mode: 'archive' }), (error: unknown) => {
    assert.ok(isOstreeError(error, 'exists'));
    assert.match(error.message, /a repository of mode bare is there/);
    return true;
  });
  await assert.rejects(Repo.open(scratch.join('nothing')), (error: unknown) => {
    assert.ok(error instanceof OstreeError);
    assert.equal(error.domain, 'g-io-error-quark');
    assert.ok(isOstreeError(error, 'notFound'));
    return true;
  });
  await assert.rejects(Repo.create(scratch.join('no', 'parent'), { mode: 'bare' }), OstreeError);
});

test('a relative path means the directory of the call', async () => {
  using scratch = new Scratch();
  const before = process.cwd();
  process.chdir(scratch.path);
  const opening = Repo.create('relative', { mode: 'bare' });
  process.chdir(before);
  using repo = await opening;
  assert.equal(repo.path, scratch.join('relative'));
  assert.ok(existsSync(scratch.join('relative', 'objects')));
});

test('configuration is read, written, removed, and acted upon', async () => {
  using scratch = new Scratch();
  const { repo, path } = await seededRepo(scratch);
  using _ = repo;
  assert.equal(await repo.getConfig('core', 'nothing'), undefined);
  assert.equal(await repo.getConfig('nowhere', 'nothing'), undefined);
  assert.equal(await repo.getConfig('core', 'repo_version'), '1');
  await repo.setConfig('trees', 'note', ' spaced; and "quoted" ä\n');
  assert.equal(await repo.getConfig('trees', 'note'), ' spaced; and "quoted" ä\n');
  await repo.setConfig('trees', 'note', undefined);
  assert.equal(await repo.getConfig('trees', 'note'), undefined);
  // What the CLI wrote meanwhile survives.
  ostree(path, 'config', 'set', 'core.lock-timeout-secs', '5');
  await repo.setConfig('core', 'fsync', 'false');
  assert.equal(ostree(path, 'config', 'get', 'core.lock-timeout-secs').trim(), '5');
  assert.equal(ostree(path, 'config', 'get', 'core.fsync').trim(), 'false');
  await assert.rejects(repo.setConfig('core', 'mode', 'sideways'), OstreeError);
  assert.equal(ostree(path, 'config', 'get', 'core.mode').trim(), 'bare');
});

test('free space limits', async () => {
  using scratch = new Scratch();
  const { repo, path, source } = await seededRepo(scratch);
  using _ = repo;
  const byDefault = await repo.minFreeSpaceBytes();
  assert.ok(byDefault > 0, 'three percent by default');
  await repo.setMinFreeSpace({ size: 500, unit: 'MB' });
  assert.equal(ostree(path, 'config', 'get', 'core.min-free-space-size').trim(), '500MB');
  assert.equal(await repo.minFreeSpaceBytes(), 500 * 1024 * 1024);
  await repo.setMinFreeSpace({ percent: 0 });
  assert.equal(await repo.minFreeSpaceBytes(), 0);
  assert.throws(() => ostree(path, 'config', 'get', 'core.min-free-space-size'));
  await repo.setMinFreeSpace({ percent: 99 });
  await assert.rejects(
    repo.commitDirectory(source, { timestamp: 1, modeSet: 0o1 }),
    /min-free-space-percent '99%' would be exceeded/,
  );
  await repo.setMinFreeSpace(undefined);
  assert.equal(await repo.minFreeSpaceBytes(), byDefault);
  await repo.commitDirectory(source, { timestamp: 1, modeSet: 0o1 });
});

test('fsync is the choice of the caller', async () => {
  using scratch = new Scratch();
  const { repo, source } = await seededRepo(scratch);
  using _ = repo;
  await repo.setFsync(false);
  await repo.commitDirectory(source, { timestamp: 2 });
  await repo.setFsync(true);
  assert.deepEqual(await repo.fsck(), []);
});

test('an abort signal rejects with its reason, before and during', async () => {
  using scratch = new Scratch();
  const { repo, source } = await seededRepo(scratch);
  using _ = repo;
  const reason = new Error('changed my mind');
  await assert.rejects(Repo.open(scratch.join('repo'), { signal: AbortSignal.abort(reason) }), (e) => e === reason);
  const controller = new AbortController();
  const seen: string[] = [];
  await assert.rejects(
    repo.commitDirectory(source, {
      timestamp: 3,
      signal: controller.signal,
      filter: (path) => {
        seen.push(path);
        if (seen.length === 2) controller.abort(reason);
        return true;
      },
    }),
    (error: unknown) => error === reason,
  );
  assert.equal(seen.length, 2, 'the walk stopped');
  assert.equal(readFileSync(scratch.join('repo', 'config'), 'utf8').includes('mode=bare'), true);
  assert.deepEqual(await repo.fsck(), []);
});

test('many operations at once on one repository', async () => {
  using scratch = new Scratch();
  const { repo, path, source, commit } = await seededRepo(scratch);
  using _ = repo;
  const work: Array<Promise<unknown>> = [];
  for (let index = 0; index < 30; index += 1) {
    work.push(repo.readCommit(commit), repo.setRef(`many/${index}`, commit), repo.commitSize(commit));
    if (index % 6 === 0) {
      work.push(repo.commitDirectory(source, { timestamp: index, subject: `n${index}`, ref: `dirs/${index}` }));
      work.push(repo.prune({ dryRun: true }));
      work.push(repo.checkout('main', scratch.join(`out-${index}`)));
      work.push(repo.setConfig('trees', 'turn', String(index)));
    }
  }
  await Promise.all(work);
  assert.equal((await repo.listRefs('many')).size, 30);
  assert.equal((await repo.listRefs('dirs')).size, 5);
  assert.match(ostree(path, 'fsck'), /no errors found/);
});
