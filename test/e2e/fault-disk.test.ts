import assert from 'node:assert/strict';
import { realpathSync } from 'node:fs';
import { describe, it } from 'node:test';
import { trees } from '../support/cli.js';
import { type Crash, createCrash, scenarios } from '../support/crash-scenarios.js';
import { fastDirectory } from '../support/delta-fixture.js';
import { createFailingDisk, type FailingCall, failingCalls } from '../support/failing-disk.js';
import { createRandom } from '../support/random.js';

/** Failures of each kind of call: of one call only, and of all from there on. */
const ROUNDS = 2;

const random = createRandom();
const chosen = scenarios.filter(({ name }) => /first installation|update/.test(name));

describe(`a failing disk (TREES_TEST_SEED=${random.seed})`, { timeout: 900_000 }, () => {
  for (const scenario of chosen) {
    it(`is told in ${scenario.name}, which leaves the old or the new, whole; again finishes it`, async (t) => {
      await using crash = await createCrash(scenario, { parent: fastDirectory() });
      const below = realpathSync(crash.fixture.feed.dir);
      const disk = await createFailingDisk(below);
      const outcomes = new Map<string, number>();
      const note = (what: string): void => void outcomes.set(what, (outcomes.get(what) ?? 0) + 1);
      for (const call of failingCalls) {
        const count = await disk.count(below, call, async (env) => {
          const { root } = await crash.restore();
          const result = await trees(root, scenario.args, [], { env });
          assert.equal(result.status, 0, result.stderr);
        });
        assert.ok(count > 0, `it does ${call}`);
        for (let round = 0; round < ROUNDS; round += 1) {
          const at = 1 + random.below(count);
          const stays = round % 2 === 1;
          note(await fail(crash, { call, at, stays }, disk.failing(below, { call, at, stays })));
        }
      }
      t.diagnostic(JSON.stringify(Object.fromEntries(outcomes)));
    });
  }
});

async function fail(
  crash: Crash,
  { call, at, stays }: { call: FailingCall; at: number; stays: boolean },
  env: Readonly<Record<string, string>>,
): Promise<string> {
  const { root, paths } = await crash.restore();
  const result = await trees(root, [...crash.scenario.args, '--json'], [], { env });
  const what = `${call} ${at}${stays ? ' and on' : ''}: ${result.signal ?? result.status} ${result.stdout}${result.stderr}`;
  const code = result.status === 0 ? 'done' : (/"code": ?"([A-Z_]+)"/.exec(result.stdout)?.[1] ?? 'none');
  if (result.status !== 0) {
    assert.equal(result.status, 1, what);
    assert.match(result.stderr, /^(error|warning): .+: .*/m, what);
    assert.match(result.stderr, /input\/output error|i\/o error/i, what);
    assert.match(result.stderr, /^hint: /m, what);
    assert.notEqual(code, 'INTERNAL', what);
  }
  await crash.afterKill(paths);
  await crash.finish(root);
  return `${call} ${code}`;
}
