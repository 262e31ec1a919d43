import assert from 'node:assert/strict';
import { realpathSync } from 'node:fs';
import { describe, it } from 'node:test';
import { trees } from '../support/cli.js';
import { type Crash, createCrash, type Scenario, scenarios } from '../support/crash-scenarios.js';
import { fastDirectory } from '../support/delta-fixture.js';
import { createFailingDisk, type FailingCall, failingCalls } from '../support/failing-disk.js';
import { createRandom } from '../support/random.js';

/** Failures of each kind of call, in turns of one call only and of all from there on; fewer where less is at stake. */
const roundsOf = ({ name }: Scenario): number => (/installation|update/.test(name) ? 2 : 1);

const random = createRandom();
const chosen = scenarios.filter(({ name }) => /first installation|update|rollback|collection|repair/.test(name));

describe(`a failing disk (TREES_TEST_SEED=${random.seed})`, { timeout: 900_000 }, () => {
  for (const scenario of chosen) {
    it(`is told in ${scenario.name}, which leaves the old or the new, whole; again finishes it`, async (t) => {
      await using crash = await createCrash(scenario, { parent: fastDirectory() });
      const below = realpathSync(crash.fixture.feed.dir);
      const disk = await createFailingDisk(below);
      const outcomes = new Map<string, number>();
      const note = (what: string): void => void outcomes.set(what, (outcomes.get(what) ?? 0) + 1);
      for (const [kind, call] of failingCalls.entries()) {
        const count = await disk.count(below, call, async (env) => {
          const { root } = await crash.restore();
          const result = await trees(root, scenario.args, [], { env });
          assert.equal(result.status, 0, result.stderr);
        });
        assert.ok(count > 0 || scenario.args[0] !== 'install', `it does ${call}`);
        if (count === 0) continue;
        for (let round = 0; round < roundsOf(scenario); round += 1) {
          const at = 1 + random.below(count);
          const stays = (round + kind) % 2 === 1;
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
    // A repair goes on with what it can and tells of the rest.
    if (crash.scenario.damaged !== true) assert.match(result.stderr, /^hint: /m, what);
    assert.notEqual(code, 'INTERNAL', what);
  }
  await crash.afterKill(paths);
  await crash.finish(root);
  return `${call} ${code}`;
}
