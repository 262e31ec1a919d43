import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { type FsckProgress, isOstreeError, type ObjectName, Repo } from '../../trees/ostree/index.js';
import { ostree, ostreeAsync, Scratch, seededRepo, TIMESTAMP, writeTree } from '../support/ostree.js';

function objectPath(repo: string, { type, checksum }: ObjectName): string {
  return `${repo}/objects/${checksum.slice(0, 2)}/${checksum.slice(2)}.${type}`;
}

async function fileObject(repo: Repo, path: string): Promise<ObjectName> {
  const entry = await repo.lookupPath('main', path);
  assert.ok(entry !== undefined);
  return { type: 'file', checksum: entry.checksum };
}

test('prune counts, then deletes what nothing reaches', async () => {
  using scratch = new Scratch();
  const { repo, path } = await seededRepo(scratch);
  using _ = repo;
  const extra = writeTree(scratch.join('extra'), { big: 'only here', dir: { mode: 0o600 } });
  const loose = await repo.commitDirectory(extra, { timestamp: 1 });
  const before = (await repo.listObjects()).length;
  assert.equal((await repo.prune()).objectsPruned, 0, 'commits keep themselves');
  const dry = await repo.prune({ refsOnly: true, dryRun: true });
  assert.equal(dry.objectsTotal, before);
  assert.equal((await repo.listObjects()).length, before);
  const cli = ostree(path, 'prune', '--refs-only', '--no-prune');
  assert.match(cli, new RegExp(`Would delete: ${dry.objectsPruned} objects`));
  const wet = await repo.prune({ refsOnly: true });
  assert.deepEqual(wet, dry);
  assert.ok(wet.freed > 0);
  assert.equal((await repo.listObjects()).length, before - wet.objectsPruned);
  assert.equal(await repo.hasObject('commit', loose), false);
  assert.match(ostree(path, 'fsck'), /no errors/);
});

test('prune by depth', async () => {
  using scratch = new Scratch();
  const { repo, source, commit } = await seededRepo(scratch);
  using _ = repo;
  const child = await repo.commitDirectory(source, { timestamp: TIMESTAMP + 1, parent: commit, ref: 'main' });
  await repo.prune({ refsOnly: true });
  assert.equal(await repo.hasObject('commit', commit), true);
  await repo.prune({ refsOnly: true, depth: 0 });
  assert.equal(await repo.hasObject('commit', commit), false);
  assert.equal(await repo.hasObject('commit', child), true);
});

test('fsck finds what is missing and what is corrupt, all of it', async () => {
  using scratch = new Scratch();
  const { repo, path, commit } = await seededRepo(scratch);
  using _ = repo;
  const reports: FsckProgress[] = [];
  assert.deepEqual(await repo.fsck({ onProgress: (progress) => reports.push(progress) }), []);
  const total = (await repo.listObjects()).length;
  assert.deepEqual(reports.at(-1), { checked: total, total });
  const [big, tool] = [await fileObject(repo, '/usr/share/big'), await fileObject(repo, '/usr/bin/tool')];
  await repo.deleteObject(tool.type, tool.checksum);
  truncateSync(objectPath(path, big), 1000);
  const problems = await repo.fsck();
  assert.deepEqual(
    problems
      .map(({ type, checksum, problem }) => ({ type, checksum, problem }))
      .sort((a, b) => a.problem.localeCompare(b.problem)),
    [
      { ...big, problem: 'corrupt' },
      { ...tool, problem: 'missing' },
    ],
  );
  assert.match(problems.find((item) => item.problem === 'corrupt')?.message ?? '', /[Cc]orrupted|mismatch/);
  assert.equal((await repo.fsckObject('file', big.checksum))?.problem, 'corrupt');
  assert.equal((await repo.fsckObject('file', tool.checksum))?.problem, 'missing');
  assert.equal(await repo.fsckObject('commit', commit), undefined);
  assert.throws(() => ostree(path, 'fsck'));
  // The CLI has marked the commit.
  assert.equal(await repo.isCommitPartial(commit), true);
  await repo.setCommitPartial(commit, false);
  const { rootTree } = await repo.readCommit(commit);
  await repo.deleteObject('dirtree', rootTree);
  assert.ok(
    (await repo.fsck({ commits: [commit] })).some((item) => item.checksum === rootTree && item.problem === 'missing'),
  );
  await repo.deleteObject('commit', commit);
  assert.deepEqual(
    (await repo.fsck()).map((item) => [item.type, item.checksum, item.problem]),
    [['commit', commit, 'missing']],
  );
});

test('a partial commit may miss objects, not have corrupt ones', async () => {
  using scratch = new Scratch();
  const { repo, path, commit } = await seededRepo(scratch);
  using _ = repo;
  const [big, tool] = [await fileObject(repo, '/usr/share/big'), await fileObject(repo, '/usr/bin/tool')];
  await repo.deleteObject(tool.type, tool.checksum);
  assert.equal(await repo.isCommitPartial(commit), false);
  await repo.setCommitPartial(commit, true);
  assert.equal(await repo.isCommitPartial(commit), true);
  assert.ok(existsSync(scratch.join('repo', 'state', `${commit}.commitpartial`)));
  assert.deepEqual(await repo.fsck(), []);
  truncateSync(objectPath(path, big), 5);
  assert.deepEqual(
    (await repo.fsck()).map((item) => item.checksum),
    [big.checksum],
  );
  await repo.setCommitPartial(commit, false);
  assert.equal((await repo.fsck()).length, 2);
});

test('fsck is cancelled by its signal and by its own callback', async () => {
  using scratch = new Scratch();
  const { repo } = await seededRepo(scratch);
  using _ = repo;
  const boom = new Error('boom');
  await assert.rejects(repo.fsck({ signal: AbortSignal.abort(boom) }), (error: unknown) => error === boom);
  await assert.rejects(
    repo.fsck({
      onProgress: () => {
        throw boom;
      },
    }),
    (error: unknown) => error === boom,
  );
  assert.deepEqual(await repo.fsck(), []);
});

test('a dirtree that would leave its directory is not passed on', async () => {
  using scratch = new Scratch();
  const { repo, path } = await seededRepo(scratch, 'archive');
  using _ = repo;
  const etc = await repo.lookupPath('main', '/etc');
  assert.ok(etc !== undefined);
  // `hostname` becomes `../stname`: same length, so that the object still parses.
  const object = objectPath(path, { type: 'dirtree', checksum: etc.checksum });
  const bytes = Buffer.from(readFileSync(object));
  bytes.write('../stnam', bytes.indexOf('hostname'));
  writeFileSync(object, bytes);
  await assert.rejects(repo.readDirTree(etc.checksum), /Invalid/);
  await assert.rejects(async () => {
    for await (const entry of repo.walk('main')) assert.ok(!entry.path.includes('..'));
  }, /Invalid/);
  assert.ok((await repo.fsck()).some((item) => item.checksum === etc.checksum));
});

test('locks keep other processes out, and waiting ends by time, signal or release', async () => {
  using scratch = new Scratch();
  const { repo, path } = await seededRepo(scratch);
  using _ = repo;
  using other = await Repo.open(path);
  const held = await repo.lock('exclusive');
  await assert.rejects(other.lock('shared', { timeout: 'try' }), (error: unknown) =>
    isOstreeError(error, 'wouldBlock'),
  );
  await assert.rejects(other.lock('exclusive', { timeout: 0.2 }), /another process or Repo holds the lock/);
  await assert.rejects(other.beginTransaction({ lockTimeout: 'try' }), (error: unknown) =>
    isOstreeError(error, 'wouldBlock'),
  );
  const reason = new Error('tired of waiting');
  const controller = new AbortController();
  const waiting = other.lock('shared', { timeout: 'infinite', signal: controller.signal });
  setTimeout(() => {
    controller.abort(reason);
  }, 50);
  await assert.rejects(waiting, (error: unknown) => error === reason);
  // The CLI waits too, and goes on when the lock is free.
  let cliDone = false;
  const cli = (async () => {
    await ostreeAsync(path, 'prune');
    cliDone = true;
  })();
  const later = other.lock('exclusive', { timeout: 'infinite' });
  await new Promise((resolve) => {
    setTimeout(resolve, 300);
  });
  assert.equal(cliDone, false);
  held[Symbol.dispose]();
  held[Symbol.dispose]();
  using got = await later;
  assert.equal(got.kind, 'exclusive');
  got[Symbol.dispose]();
  await cli;
});

test('locks of one Repo nest, and upgrade', async () => {
  using scratch = new Scratch();
  const { repo, path } = await seededRepo(scratch);
  using _ = repo;
  using other = await Repo.open(path);
  const shared = await repo.lock('shared', { timeout: 'try' });
  const exclusive = await repo.lock('exclusive', { timeout: 'try' });
  const again = await repo.lock('exclusive', { timeout: 'try' });
  await repo.prune();
  again[Symbol.dispose]();
  await assert.rejects(other.lock('shared', { timeout: 'try' }), (error: unknown) =>
    isOstreeError(error, 'wouldBlock'),
  );
  exclusive[Symbol.dispose]();
  using theirs = await other.lock('shared', { timeout: 'try' });
  await assert.rejects(repo.lock('exclusive', { timeout: 'try' }), (error: unknown) =>
    isOstreeError(error, 'wouldBlock'),
  );
  theirs[Symbol.dispose]();
  shared[Symbol.dispose]();
  using free = await other.lock('exclusive', { timeout: 'try' });
  assert.equal(free.kind, 'exclusive');
});

test('a killed holder frees the lock', async () => {
  using scratch = new Scratch();
  const { repo, path } = await seededRepo(scratch);
  using _ = repo;
  const code = `import { Repo } from ${JSON.stringify(new URL('../../trees/ostree/index.ts', import.meta.url).href)};
    const repo = await Repo.open(${JSON.stringify(path)}); await repo.beginTransaction(); process.send?.('held'); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', code], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  await once(child, 'message');
  await assert.rejects(repo.lock('exclusive', { timeout: 'try' }), (error: unknown) =>
    isOstreeError(error, 'wouldBlock'),
  );
  child.kill('SIGKILL');
  await once(child, 'exit');
  using lock = await repo.lock('exclusive', { timeout: 30 });
  assert.equal(lock.kind, 'exclusive');
});
