import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { type StorePaths, storePaths } from '../../trees/store/paths.js';
import { projectRoot, type RunResult, runProgram } from '../support/rig.js';
import {
  assertSound,
  createStoreFixture,
  currentTree,
  publishTool,
  type StoreFixture,
} from '../support/store-fixture.js';

/** System calls that change what is on disk, or make it last. */
const CALLS =
  'rename renameat renameat2 link linkat symlink mkdir mkdirat unlink unlinkat rmdir fsync fdatasync syncfs'.split(' ');
/** The first calls of a kind one by one, then every few, so that the sweep ends in a reasonable time. */
const CLOSE = 6;
const STRIDE = 7;

interface Kill {
  readonly call: string;
  /** Before which one in a thread, counted from 1. */
  readonly at: number;
}

async function trees(root: string, args: readonly string[], kill?: Kill): Promise<RunResult> {
  const command = [process.execPath, join(projectRoot, 'dist/cli/bin.js'), '--root', root, ...args];
  const inject =
    kill === undefined
      ? []
      : [
          'strace',
          '-f',
          '-qq',
          '-o',
          '/dev/null',
          `--trace=${kill.call}`,
          `--inject=${kill.call}:signal=KILL:when=${kill.at}`,
        ];
  const [program = '', ...rest] = [...inject, ...command];
  // One thread in the pool: strace counts calls per thread.
  return await runProgram(program, rest, { env: { UV_THREADPOOL_SIZE: '1', NO_COLOR: '1' } });
}

/** A copy of a store, hard links included. */
async function copy(from: string, to: string): Promise<StorePaths> {
  await rm(to, { recursive: true, force: true });
  const result = await runProgram('cp', ['-a', from, to]);
  assert.equal(result.status, 0, result.stderr);
  return storePaths(join(to, 'var/lib/trees'));
}

async function sweep(
  fixture: StoreFixture,
  args: readonly string[],
  check: (paths: StorePaths, state: { killed: boolean }) => Promise<void>,
): Promise<number> {
  const target = join(fixture.feed.dir, 'copy');
  let rounds = 0;
  for (const call of CALLS) {
    for (let at = 1; ; at += at < CLOSE ? 1 : STRIDE) {
      const paths = await copy(fixture.root, target);
      const result = await trees(target, args, { call, at });
      const killed = result.status !== 0;
      // It does not make this call that often.
      if (!killed) break;
      assert.ok(result.signal === 'SIGKILL' || result.status === 137, `at ${call} ${at}: ${result.stderr}`);
      rounds += 1;
      await check(paths, { killed });
      const again = await trees(target, args);
      // A removal may have been done but for saying so.
      const done = args[0] === 'rm' && !existsSync(paths.app(args[1] ?? ''));
      assert.ok(again.status === 0 || done, `again after ${call} ${at}: ${again.stderr}`);
      await check(paths, { killed: false });
    }
  }
  return rounds;
}

describe('killed at each system call that changes something', { skip: reasonToSkip(), timeout: 900_000 }, () => {
  it('an installation leaves the old or the new generation, and again finishes it', async (t) => {
    await using fixture = await createStoreFixture();
    const { base, v1, v2 } = await publishTool(fixture);
    await fixture.publish([
      [null, base],
      [base, v1],
      [base, v2],
    ]);
    await fixture.install('tool@1');
    const old = currentTree(fixture.paths, 'tool');
    const reference = await fixture.install('tool@2', { name: 'reference' });
    assert.equal(reference.generation.version, '2.0.0');
    const next = currentTree(fixture.paths, 'reference');
    const removed = await trees(fixture.root, ['rm', 'reference']);
    assert.equal(removed.status, 0, removed.stderr);

    const seen = { old: 0, new: 0 };
    const rounds = await sweep(fixture, ['install', 'tool@2'], async (paths, { killed }) => {
      const found = currentTree(paths, 'tool');
      if (killed) seen[found.version === '1.0.0' ? 'old' : 'new'] += 1;
      assert.deepEqual(found, found.version === '1.0.0' && killed ? old : next);
      await assertSound(paths);
      if (killed) return;
      assert.deepEqual(
        readdirSync(paths.app('tool')).filter((name) => name.startsWith('.')),
        [],
      );
    });
    t.diagnostic(`killed ${rounds} times: ${JSON.stringify(seen)}`);
    assert.ok(rounds >= 30, `only ${rounds} rounds`);
  });

  it('a first installation can be done again from whatever is there', async (t) => {
    await using fixture = await createStoreFixture();
    const { base, v1 } = await publishTool(fixture);
    await fixture.publish([
      [null, base],
      [base, v1],
    ]);
    const rounds = await sweep(fixture, ['install', 'tool@1'], async (paths, { killed }) => {
      // Killed while the repository is created, there is no repository to look at yet.
      if (killed && !existsSync(join(paths.repo, 'refs/heads/base'))) return;
      await assertSound(paths);
      if (!killed) assert.equal(currentTree(paths, 'tool').tree['usr/bin/tool'], 'tool one\n');
    });
    t.diagnostic(`killed ${rounds} times`);
  });

  it('a removal can be finished by the next one', async (t) => {
    await using fixture = await createStoreFixture();
    const { base, v1, v2 } = await publishTool(fixture);
    await fixture.publish([
      [null, base],
      [base, v1],
      [base, v2],
    ]);
    await fixture.install('tool@1');
    await fixture.install('tool@2');
    const rounds = await sweep(fixture, ['rm', 'tool'], async (paths, { killed }) => {
      await assertSound(paths);
      if (killed) return;
      assert.deepEqual(readdirSync(paths.apps), []);
      const objects = await runProgram('find', [join(paths.repo, 'objects'), '-type', 'f']);
      assert.equal(objects.stdout, '');
    });
    t.diagnostic(`killed ${rounds} times`);
  });

  it('a collection keeps what is current', async (t) => {
    await using fixture = await createStoreFixture();
    const { base, v1, v2 } = await publishTool(fixture);
    await fixture.publish([
      [null, base],
      [base, v1],
      [base, v2],
    ]);
    await fixture.install('tool@1');
    await fixture.install('tool@2');
    const wanted = currentTree(fixture.paths, 'tool');
    const rounds = await sweep(fixture, ['gc', '--keep', '0'], async (paths, { killed }) => {
      assert.deepEqual(currentTree(paths, 'tool'), wanted);
      await assertSound(paths);
      if (!killed) assert.deepEqual(readdirSync(paths.app('tool')).sort(), ['2', 'current']);
    });
    t.diagnostic(`killed ${rounds} times`);
  });
});

function reasonToSkip(): string | false {
  const strace = (process.env['PATH'] ?? '').split(':').some((directory) => existsSync(join(directory, 'strace')));
  return strace ? false : 'needs strace, to kill at chosen system calls';
}
