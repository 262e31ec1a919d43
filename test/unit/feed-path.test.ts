import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { planPath, planPaths } from '../../trees/feed/path.js';
import type { BundleEntry } from '../../trees/feed/schema.js';
import { bundle } from '../support/feed-fixture.js';

const none: ReadonlySet<string> = new Set();
const edge = (from: string | null, to: string, size: number): BundleEntry =>
  bundle(from, to, { size, writes: size * 2, sha256: `${from}>${to}:${size}` });

/** Cheapest cost by trying every simple chain of bundles. */
function bruteForce(bundles: readonly BundleEntry[], have: ReadonlySet<string>, want: string): number | undefined {
  if (have.has(want)) return 0;
  let best: number | undefined;
  const visit = (node: string | null, cost: number, seen: ReadonlySet<string | null>): void => {
    if (node === want) {
      if (best === undefined || cost < best) best = cost;
      return;
    }
    for (const next of bundles) {
      if (next.from === node && !seen.has(next.to)) visit(next.to, cost + next.size, new Set([...seen, next.to]));
    }
  };
  for (const start of [null, ...have]) visit(start, 0, new Set([start]));
  return best;
}

/** Throws unless the edges can be applied in order, starting from `have`. */
function assertApplies(edges: readonly BundleEntry[], have: ReadonlySet<string>): ReadonlySet<string> {
  const present = new Set(have);
  for (const { from, to } of edges) {
    assert.ok(from === null || present.has(from), `${from} is not there when it is needed`);
    present.add(to);
  }
  return present;
}

const node = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f');
const graph = fc.array(
  fc
    .tuple(fc.option(node), node, fc.integer({ min: 0, max: 20 }))
    .filter(([from, to]) => from !== to)
    .map(([from, to, size]) => edge(from, to, size)),
  { maxLength: 14 },
);
const owned = fc.uniqueArray(node, { maxLength: 3 }).map((names) => new Set(names));

describe('planPath', () => {
  it('takes the direct bundle, the chain, or nothing, whichever is cheapest', () => {
    const bundles = [edge(null, 'v2', 100), edge(null, 'v1', 60), edge('v1', 'v2', 10)];
    assert.deepEqual(planPath(bundles, none, 'v2')?.edges, [bundles[1], bundles[2]]);
    assert.deepEqual(planPath(bundles, new Set(['v1']), 'v2')?.edges, [bundles[2]]);
    assert.deepEqual(planPath(bundles, new Set(['v2']), 'v2')?.edges, []);
    assert.equal(planPath(bundles, none, 'v3'), undefined);
    const plan = planPath(bundles, none, 'v2');
    assert.equal(plan?.bytes, 70);
    assert.equal(plan?.writes, 140);
    assert.match(plan?.reason ?? '', /2 bundles: nothing → v1 → v2/);
  });

  it('prefers fewer bundles where the bytes are equal', () => {
    const bundles = [edge(null, 'a', 5), edge('a', 'b', 5), edge(null, 'b', 10)];
    assert.deepEqual(planPath(bundles, none, 'b')?.edges, [bundles[2]]);
  });

  it('goes round a bundle that has failed', () => {
    const bundles = [edge('v1', 'v2', 10), edge(null, 'v2', 100)];
    const exclude = new Set([bundles[0]?.sha256 ?? '']);
    assert.deepEqual(planPath(bundles, new Set(['v1']), 'v2', { exclude })?.edges, [bundles[1]]);
  });

  it('plans by another cost', () => {
    const bundles = [edge(null, 'a', 1), edge('a', 'b', 1), edge(null, 'b', 50)];
    assert.deepEqual(planPath(bundles, none, 'b', { cost: (entry) => entry.size + 100 })?.edges, [bundles[2]]);
  });

  it('is as cheap as the best of all chains', () => {
    fc.assert(
      fc.property(graph, owned, node, (bundles, have, want) => {
        const plan = planPath(bundles, have, want);
        assert.equal(plan?.bytes, bruteForce(bundles, have, want));
        if (plan !== undefined) assert.ok(have.has(want) || assertApplies(plan.edges, have).has(want));
      }),
      { numRuns: 1000 },
    );
  });

  it('plans over thousands of bundles at once', () => {
    const bundles: BundleEntry[] = [];
    for (let index = 0; index < 3000; index += 1) {
      bundles.push(edge(index === 0 ? null : `n${index - 1}`, `n${index}`, 1), edge(null, `n${index}`, 10_000));
    }
    assert.equal(planPath(bundles, none, 'n2999')?.bytes, 3000);
  });
});

describe('planPaths', () => {
  it('uses what one target brings for the next, in whichever order helps', () => {
    const bundles = [edge(null, 'base', 100), edge(null, 'app', 90), edge('base', 'app', 10), edge('app', 'base', 80)];
    assert.equal(planPaths(bundles, none, ['app', 'base'])?.bytes, 110);
    assert.equal(planPaths(bundles, none, ['base', 'app'])?.bytes, 110);
    assert.equal(planPaths(bundles, none, ['base', 'gone']), undefined);
    assert.deepEqual(planPaths(bundles, none, [])?.edges, []);
    assert.deepEqual(planPaths(bundles, new Set(['base', 'app']), ['base', 'app'])?.edges, []);
  });

  it('can be applied in its order, and never costs more than planning one by one', () => {
    fc.assert(
      fc.property(graph, owned, fc.uniqueArray(node, { minLength: 1, maxLength: 3 }), (bundles, have, wants) => {
        const plan = planPaths(bundles, have, wants);
        const single = wants.map((want) => bruteForce(bundles, have, want));
        assert.equal(plan === undefined, single.includes(undefined));
        if (plan === undefined) return;
        const present = assertApplies(plan.edges, have);
        for (const want of wants) assert.ok(present.has(want));
        assert.ok(plan.bytes <= single.reduce<number>((sum, cost) => sum + (cost ?? 0), 0));
        assert.equal(new Set(plan.edges).size, plan.edges.length);
      }),
      { numRuns: 500 },
    );
  });
});
