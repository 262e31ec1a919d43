/** Worker threads, and the end of a process or worker at a bad moment. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { OstreeError, Repo } from '../../trees/ostree/index.js';
import { noise, ostree, Scratch, seededRepo, writeTree } from '../support/ostree.js';

const entry = JSON.stringify(new URL('../../trees/ostree/index.ts', import.meta.url).href);

const tsx = JSON.stringify(import.meta.resolve('tsx/esm/api'));

/** A worker that runs TypeScript the way tests do, with `repo` open at `path`. */
function startWorker(path: string, body: string): Worker {
  const code = `(async () => {
    const { tsImport } = await import(${tsx});
    const { parentPort } = require('node:worker_threads');
    const { Repo, OstreeError } = await tsImport(${entry}, ${JSON.stringify(import.meta.url)});
    const repo = await Repo.open(${JSON.stringify(path)});
    ${body}
  })();`;
  return new Worker(code, { eval: true });
}

function runChild(
  path: string,
  body: string,
): { status: number | null; signal: NodeJS.Signals | null; stderr: string; stdout: string } {
  const code = `import { Repo } from ${entry}; const repo = await Repo.open(${JSON.stringify(path)}); ${body}`;
  const result = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', code], {
    encoding: 'utf8',
    timeout: 120_000,
    cwd: new URL('../..', import.meta.url).pathname,
  });
  return result;
}

test('workers have their own state and share nothing but the repository', async () => {
  using scratch = new Scratch();
  const { repo, path, commit } = await seededRepo(scratch);
  using _ = repo;
  const body = `
    const info = await repo.readCommit(${JSON.stringify(commit)});
    let own = false;
    try { await repo.resolveRev('none'); } catch (error) { own = error instanceof OstreeError; }
    const paths = []; for await (const item of repo.walk('main')) paths.push(item.path);
    parentPort.postMessage({ subject: info.subject, own, count: paths.length });
    repo.close();`;
  const workers = Array.from({ length: 4 }, () => startWorker(path, body));
  const answers = await Promise.all(
    workers.map(async (worker) => {
      const [[message]] = await Promise.all([once(worker, 'message'), once(worker, 'exit')]);
      return message;
    }),
  );
  for (const answer of answers) assert.deepEqual(answer, { subject: 'seed', own: true, count: 12 });
  await assert.rejects(repo.resolveRev('none'), OstreeError);
});

test('terminating a worker in the middle of work aborts its transaction and frees its lock', async () => {
  using scratch = new Scratch();
  const { repo, path, source } = await seededRepo(scratch);
  using _ = repo;
  for (let round = 0; round < 4; round += 1) {
    const worker = startWorker(
      path,
      `const transaction = await repo.beginTransaction();
       transaction.setRef('never', 'a'.repeat(64));
       let told = false;
       for (;;) await repo.commitDirectory(${JSON.stringify(source)}, { timestamp: 1, filter: () => {
         if (!told) { told = true; parentPort.postMessage('in the filter'); }
         return true;
       } });`,
    );
    await once(worker, 'message');
    await worker.terminate();
    using lock = await repo.lock('exclusive', { timeout: 60 });
    assert.equal(lock.kind, 'exclusive');
  }
  assert.equal(ostree(path, 'refs').trim(), 'main');
  assert.match(ostree(path, 'fsck'), /no errors/);
});

test('the process ends while everything is open and busy', async () => {
  using scratch = new Scratch();
  const { repo, path, source } = await seededRepo(scratch);
  using _ = repo;
  const cases: Record<string, string> = {
    'natural end with a repo, a lock and a transaction open': `await repo.lock('shared'); await repo.beginTransaction();`,
    'exit during a commit with a filter': `void repo.commitDirectory(${JSON.stringify(source)}, { timestamp: 1, filter: () => { process.exit(0); } });`,
    'exit while waiting for a lock': `const other = await Repo.open(repo.path); await other.lock('exclusive');
      void repo.lock('exclusive', { timeout: 'infinite' }); setTimeout(() => process.exit(0), 50);`,
    'exit with much in flight': `for (let i = 0; i < 200; i += 1) { void repo.readCommit('main'.padEnd(64, 'a')).catch(() => {}); void repo.fsck(); void repo.prune(); }
      setImmediate(() => process.exit(0));`,
    'exit from a progress callback': `void repo.fsck({ onProgress: () => process.exit(0) });`,
  };
  for (const [name, body] of Object.entries(cases)) {
    const result = runChild(path, body);
    assert.equal(result.signal, null, `${name}: ${result.stderr}`);
    assert.equal(result.status, 0, `${name}: ${result.stderr}`);
    assert.equal(result.stdout, '', name);
  }
  assert.match(ostree(path, 'fsck'), /no errors/);
  using lock = await repo.lock('exclusive', { timeout: 'try' });
  assert.equal(lock.kind, 'exclusive');
});

test('an uncaught error in a callback is a rejection like any other', async () => {
  using scratch = new Scratch();
  const { repo, path, source } = await seededRepo(scratch);
  using _ = repo;
  const result = runChild(
    path,
    `await repo.commitDirectory(${JSON.stringify(source)}, { timestamp: 1, filter: () => { throw new Error('from the filter'); } });`,
  );
  assert.equal(result.status, 1);
  assert.match(result.stderr, /Error: from the filter/);
});

test('G_DEBUG does not turn warnings into aborts', async () => {
  using scratch = new Scratch();
  const { repo, path } = await seededRepo(scratch);
  using _ = repo;
  const result = spawnSync(
    process.execPath,
    [
      '--import',
      'tsx',
      '--input-type=module',
      '-e',
      `import { Repo } from ${entry}; const repo = await Repo.open(${JSON.stringify(path)}); await repo.resolveRev('none').catch(() => {}); process.stdout.write('alive');`,
    ],
    {
      encoding: 'utf8',
      env: { ...process.env, G_DEBUG: 'fatal-criticals' },
      cwd: new URL('../..', import.meta.url).pathname,
    },
  );
  assert.equal(result.stdout, 'alive', result.stderr);
});

test('the loop stays free and does not stay alive', async () => {
  using scratch = new Scratch();
  using repo = await Repo.create(scratch.join('repo'), { mode: 'archive' });
  const source = writeTree(scratch.join('big'), { a: noise(8_000_000, 3), b: noise(8_000_000, 4) });
  let turns = 0;
  const timer = setInterval(() => {
    turns += 1;
  }, 1);
  const commit = await repo.commitDirectory(source, { timestamp: 1 });
  clearInterval(timer);
  assert.ok(turns > 3, `the loop turned ${turns} times meanwhile`);
  assert.equal((await repo.commitSize(commit)).size, 16_000_000);
});
