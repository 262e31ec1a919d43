import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createCrash, scenarios } from '../support/crash-scenarios.js';
import { fastDirectory } from '../support/delta-fixture.js';
import { reasonToSkip, sweep } from '../support/kill-sweep.js';

describe('killed before a system call that changes something', { skip: reasonToSkip(), timeout: 1_800_000 }, () => {
  for (const scenario of scenarios) {
    it(`${scenario.name} leaves the old or the new, whole; again finishes it`, async (t) => {
      await using crash = await createCrash(scenario, { parent: fastDirectory() });
      const { rounds, seen } = await sweep(crash);
      const outcomes = [...seen].map(([what, count]) => `${what}: ${count}`).sort();
      t.diagnostic(`killed ${rounds} times; ${outcomes.join('; ')}`);
      assert.ok(rounds >= 3, `only ${rounds} rounds`);
    });
  }
});
