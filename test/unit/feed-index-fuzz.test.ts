import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { createFeedFixture, makeIndex } from '../support/feed-fixture.js';
import { changedIndex, changeKinds, outcomeOf } from '../support/index-mutations.js';

const corpus = join(import.meta.dirname, '..', 'fuzz', 'corpus', 'feed-index');

describe('any index, signed by a trusted key', () => {
  it('is accepted or refused with its reason, and nothing else happens', { timeout: 300_000 }, async (t) => {
    await using fixture = await createFeedFixture();
    const outcomes = new Map<string, number>();
    const place = fc.nat({ max: 10_000 });
    const changes = fc.array(fc.tuple(fc.constantFrom(...changeKinds), place, place), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(changes, (list) => {
        const outcome = outcomeOf(changedIndex(makeIndex(), list), fixture);
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      }),
      { numRuns: Number(process.env['TREES_FUZZ_RUNS'] ?? 600) },
    );
    t.diagnostic(JSON.stringify([...outcomes]));
    assert.ok((outcomes.get('accepted') ?? 0) > 0 && (outcomes.get('INDEX_INVALID') ?? 0) > 0);
  });

  it('is so for what a search led by coverage has found', async () => {
    await using fixture = await createFeedFixture();
    const names = readdirSync(corpus);
    const outcomes = new Set(names.map((name) => outcomeOf(readFileSync(join(corpus, name)), fixture)));
    assert.ok(names.length > 20 && outcomes.has('accepted') && outcomes.has('INDEX_INVALID'), String([...outcomes]));
  });
});
