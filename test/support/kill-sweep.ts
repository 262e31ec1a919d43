import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type StorePaths, storePaths } from '../../trees/store/paths.js';
import { projectRoot, type RunResult, runProgram } from './rig.js';
import type { StoreFixture } from './store-fixture.js';

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

export async function trees(root: string, args: readonly string[], kill?: Kill): Promise<RunResult> {
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

/**
 * Runs a command on copies of a store, killed before each system call that changes something, and each time once more.
 * @returns how often it was killed
 */
export async function sweep(
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

/** Why there can be no sweep; false if there can. */
export function reasonToSkip(): string | false {
  const strace = (process.env['PATH'] ?? '').split(':').some((directory) => existsSync(join(directory, 'strace')));
  return strace ? false : 'needs strace, to kill at chosen system calls';
}
