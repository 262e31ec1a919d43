import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { assertSameCommit, commitTree, initRepo, noise, ostree, temporaryDirectory } from '../support/delta-fixture.js';
import { projectRoot, type RunResult, runProgram } from '../support/rig.js';

/** The command line from its source, so that no build is needed. */
async function bundle(...args: string[]): Promise<RunResult> {
  const entry = join(projectRoot, 'trees/cli/bin.ts');
  return runProgram(process.execPath, ['--import', 'tsx', entry, 'bundle', ...args], { cwd: projectRoot });
}

async function json(...args: string[]): Promise<Record<string, unknown>> {
  const { status, stdout, stderr } = await bundle(...args, '--json');
  assert.equal(status, 0, stderr);
  const document: unknown = JSON.parse(stdout);
  assert.ok(typeof document === 'object' && document !== null);
  return Object.fromEntries(Object.entries(document));
}

test('bundle create, info and apply', async (t) => {
  const directory = temporaryDirectory(t);
  const repo = initRepo(join(directory, 'repo'));
  const program = noise(200_000, 3);
  const v1 = commitTree(repo, 'app/1', { 'bin/tool': { content: program, mode: 0o755 } });
  const v2 = commitTree(repo, 'app/2', { 'bin/tool': { content: Buffer.concat([program, program]), mode: 0o755 } });
  const complete = join(directory, 'complete.zst');
  const update = join(directory, 'update.zst');

  const planned = await json('create', '--repo', repo, '--to', 'app/1', '-o', complete, '--dry-run');
  assert.equal(planned['to'], v1);
  assert.equal(existsSync(complete), false);

  const created = await json('create', '--repo', repo, '--to', 'app/1', '-o', complete);
  assert.equal(created['to'], v1);
  assert.equal(created['from'], null);
  const small = await bundle('create', '--repo', repo, '--from', v1, '--to', 'app/2', '-o', update, '--encoding=small');
  assert.equal(small.status, 0, small.stderr);
  assert.match(small.stdout, /^created .*update\.zst: /);

  const info = await json('info', update);
  assert.equal(info['from'], v1);
  assert.equal(info['to'], v2);
  assert.equal(info['encoding'], 'small');
  const shown = await bundle('info', update);
  assert.match(shown.stdout, /^from: +[0-9a-f]{64}\nto: +[0-9a-f]{64}\nsubject: +app\/2\n/);

  const mine = initRepo(join(directory, 'mine'));
  const early = await bundle('apply', '--repo', mine, update, '--ref', 'app/2');
  assert.equal(early.status, 1);
  assert.match(early.stderr, /source commit [0-9a-f]{64} is not in/);
  const dry = await json('apply', '--repo', mine, complete, '--ref', 'app/1', '--dry-run');
  assert.equal(dry['to'], v1);
  assert.equal(ostree('refs', `--repo=${mine}`), '');
  const applied = await json('apply', '--repo', mine, complete, '--ref', 'app/1');
  assert.equal(applied['to'], v1);
  assert.equal((await bundle('apply', '--repo', mine, update, '--ref', 'app/2')).status, 0);
  assertSameCommit(mine, repo, v2);
  assert.equal(ostree('rev-parse', `--repo=${mine}`, 'app/2').trim(), v2);
});

test('what is wrong is said, with the right exit status', async (t) => {
  const directory = temporaryDirectory(t);
  const repo = initRepo(join(directory, 'repo'));
  const cases: ReadonlyArray<readonly [number, RegExp, readonly string[]]> = [
    [2, /^error: .*\bto\b/, ['create', '--repo', repo, '-o', 'x']],
    [2, /Expected --ref to be a ref/, ['apply', '--repo', repo, 'x', '--ref', '../up']],
    [1, /cannot find the commit nope/, ['create', '--repo', repo, '--to', 'nope', '-o', join(directory, 'x')]],
    [1, /cannot read the bundle .*absent: /, ['info', join(directory, 'absent')]],
    [1, /cannot read the bundle .*config: /, ['info', join(repo, 'config')]],
  ];
  for (const [status, message, args] of cases) {
    const result = await bundle(...args);
    assert.equal(result.status, status, result.stderr);
    assert.match(result.stderr, message);
    assert.equal(result.stdout, '');
  }
});
