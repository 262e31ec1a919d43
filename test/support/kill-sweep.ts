import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { trees } from './cli.js';
import type { Crash } from './crash-scenarios.js';

/** System calls that change what is on disk, or make it last. */
const CALLS =
  'rename renameat renameat2 link linkat symlink mkdir mkdirat unlink unlinkat rmdir fsync fdatasync syncfs'.split(' ');
/** The first calls of a kind one by one, then fewer and fewer, so that the sweep ends in a reasonable time. */
const CLOSE = 3;
/** One thread in the pool: strace counts calls per thread. */
const ONE_THREAD = { UV_THREADPOOL_SIZE: '1' };
/** Set: every call. */
const THOROUGH = process.env['TREES_TEST_THOROUGH'] !== undefined;

function nextCall(at: number): number {
  return THOROUGH || at < CLOSE ? at + 1 : at * 2;
}

/**
 * Gives a scenario's command in copies of its store, killed before each system call that changes something, and each time
 * once more.
 * @returns how often it was killed, and what was found how often
 */
export async function sweep(crash: Crash): Promise<{ rounds: number; seen: Map<string, number> }> {
  const seen = new Map<string, number>();
  let rounds = 0;
  for (const [call, count] of await countCalls(crash)) {
    for (let at = 1; at <= count; at = nextCall(at)) {
      const { root, paths } = await crash.restore();
      const inject = strace(`--inject=${call}:signal=KILL:when=${at}`, call);
      const result = await trees(root, crash.scenario.args, inject, { env: ONE_THREAD });
      // It did not make this call that often, this time.
      if (result.status === 0) break;
      assert.ok(result.signal === 'SIGKILL' || result.status === 137, `at ${call} ${at}: ${result.stderr}`);
      rounds += 1;
      const what = await crash.afterKill(paths);
      seen.set(what, (seen.get(what) ?? 0) + 1);
      await crash.finish(root);
    }
  }
  return { rounds, seen };
}

/** How often a scenario's command makes each call in the thread that makes it most. */
async function countCalls(crash: Crash): Promise<Map<string, number>> {
  const { root } = await crash.restore();
  const trace = join(crash.fixture.feed.dir, 'trace');
  const before = ['strace', '-f', '-qq', '-o', trace, `--trace=${CALLS.join(',')}`];
  const result = await trees(root, crash.scenario.args, before, { env: ONE_THREAD });
  assert.equal(result.status, 0, result.stderr);
  const counts = new Map<string, number>();
  for (const [threadAndCall] of readFileSync(trace, 'utf8').matchAll(/^\d+ +\w+(?=\()/gm))
    counts.set(threadAndCall, (counts.get(threadAndCall) ?? 0) + 1);
  const most = (call: string): number =>
    Math.max(0, ...[...counts].filter(([key]) => key.endsWith(` ${call}`)).map(([, count]) => count));
  return new Map(CALLS.map((call) => [call, most(call)]));
}

/** strace with its arguments, which injects something into calls of this name and prints nothing. */
export function strace(inject: string, call: string): string[] {
  return ['strace', '-f', '-qq', '-o', '/dev/null', `--trace=${call}`, inject];
}

/** Why nothing can be injected; false if it can. */
export function reasonToSkip(): string | false {
  const found = (process.env['PATH'] ?? '').split(':').some((directory) => existsSync(join(directory, 'strace')));
  return found ? false : 'needs strace, to inject at chosen system calls';
}
