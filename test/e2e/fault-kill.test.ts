import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, watch } from 'node:fs';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StorePaths } from '../../trees/store/paths.js';
import { treesCommand } from '../support/cli.js';
import { type Crash, createCrash, scenarios } from '../support/crash-scenarios.js';
import { fastDirectory } from '../support/delta-fixture.js';
import { createRandom } from '../support/random.js';

/** Kills that are to hit each command while it works. */
const KILLS = 34;
/** On a busy machine the command may be done before its instant comes. */
const MAX_ROUNDS = KILLS * 6;

const random = createRandom();

/** Milliseconds from the start of a command to its first lock, and from there to its end. */
interface Phases {
  readonly start: number;
  readonly work: number;
}

describe(`killed at random instants (TREES_TEST_SEED=${random.seed})`, { timeout: 1_800_000 }, () => {
  for (const scenario of scenarios) {
    it(`${scenario.name} leaves the old or the new, whole; again finishes it`, async (t) => {
      await using crash = await createCrash(scenario, { parent: fastDirectory() });
      const phases = await measure(crash);
      const seen = new Map<string, number>();
      let kills = 0;
      let round = 0;
      for (; round < MAX_ROUNDS && kills < KILLS; round += 1) {
        const { root, paths } = await crash.restore();
        // Most of the time goes by before it changes anything but the feeds' records.
        const instant: Instant =
          round % 6 === 0
            ? { after: 'start', delay: random.next() * phases.start }
            : { after: 'lock', delay: random.next() * phases.work };
        const { killed } = await run(crash, { root, paths, instant });
        if (!killed) continue;
        const what = await crash.afterKill(paths);
        await crash.finish(root);
        kills += 1;
        seen.set(what, (seen.get(what) ?? 0) + 1);
      }
      const outcomes = [...seen].map(([what, count]) => `${what}: ${count}`).sort();
      const times = `${phases.start.toFixed()} + ${phases.work.toFixed()} ms`;
      t.diagnostic(`killed ${kills} of ${round} times in ${times}; ${outcomes.join('; ')}`);
      assert.ok(kills >= KILLS, `only ${kills} kills hit it at work`);
    });
  }
});

/** Medians of a few undisturbed runs. */
async function measure(crash: Crash): Promise<Phases> {
  const runs: Phases[] = [];
  for (let round = 0; round < 3; round += 1) {
    const { root, paths } = await crash.restore();
    const { killed, phases } = await run(crash, { root, paths, instant: undefined });
    assert.equal(killed, false);
    runs.push(phases);
  }
  const median = (key: keyof Phases): number => runs.map((one) => one[key]).sort((a, b) => a - b)[1] ?? 0;
  return { start: median('start'), work: median('work') };
}

/** When to kill: milliseconds after the command's start, or after it has taken its first lock. */
interface Instant {
  readonly after: 'start' | 'lock';
  readonly delay: number;
}

async function run(
  { scenario }: Crash,
  { root, paths, instant }: { root: string; paths: StorePaths; instant: Instant | undefined },
): Promise<{ killed: boolean; phases: Phases }> {
  const [program, ...args] = treesCommand(root, scenario.args);
  const began = performance.now();
  const locks = firstLock(paths);
  const child = spawn(program, args, { stdio: 'ignore', env: { ...process.env, NODE_EXTRA_CA_CERTS: undefined } });
  const closed = once(child, 'close');
  let locked = began;
  try {
    await Promise.race([instant?.after === 'start' ? undefined : locks.taken, closed]);
    locked = performance.now();
    if (instant !== undefined) {
      await Promise.race([sleep(instant.delay), closed]);
      child.kill('SIGKILL');
    }
    await closed;
  } finally {
    locks.stop();
  }
  const phases = { start: locked - began, work: performance.now() - locked };
  return { killed: child.signalCode === 'SIGKILL', phases };
}

/** Resolves when somebody changes something in the directory of locks, or makes it. */
function firstLock({ root, locks }: StorePaths): { taken: Promise<void>; stop: () => void } {
  const watcher = watch(existsSync(locks) ? locks : root);
  return {
    taken: new Promise((resolve, reject) => {
      watcher.once('change', () => resolve()).once('error', reject);
    }),
    stop: () => watcher.close(),
  };
}
