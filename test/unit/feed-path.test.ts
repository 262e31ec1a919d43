import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { alternativesTo } from '../../trees/feed/alternatives.js';
import { planPath, planPaths } from '../../trees/feed/path.js';
import type { BundleEntry } from '../../trees/feed/schema.js';
import { pickEncodings, transferSeconds } from '../../trees/feed/transfer.js';
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

describe('the choice between encodings', () => {
  const fast = bundle(null, 'v1', { size: 40e6, rawSize: 161e6, encoding: 'fast', sha256: 'fast' });
  const small = bundle(null, 'v1', { size: 35e6, rawSize: 161e6, encoding: 'small', sha256: 'small' });
  const other = edge('v1', 'v2', 5);

  it('is by bytes as long as the speed of the link is not known', () => {
    assert.deepEqual(pickEncodings([fast, small, other], undefined), [small, other]);
    assert.deepEqual(planPath([fast, small], none, 'v1')?.edges, [small]);
  });

  it('is by time once it is: the small one on a slow link, the fast one on a fast one', () => {
    assert.deepEqual(pickEncodings([fast, other, small], 1e6), [other, small]);
    assert.deepEqual(pickEncodings([small, fast, other], 100e6), [fast, other]);
    assert.deepEqual(planPath([fast, small], none, 'v1', { bytesPerSecond: 100e6 })?.edges, [fast]);
  });

  it('takes the other one when the first has failed', () => {
    const plan = planPath([fast, small], none, 'v1', { bytesPerSecond: 100e6, exclude: new Set(['fast']) });
    assert.deepEqual(plan?.edges, [small]);
  });

  it('never waits longer than the other encoding would, at any speed', () => {
    const entry = fc.record({
      size: fc.integer({ min: 1, max: 1e9 }),
      rawSize: fc.integer({ min: 1, max: 1e9 }),
      encoding: fc.constantFrom('fast' as const, 'small' as const),
      sha256: fc.uuid(),
    });
    fc.assert(
      fc.property(fc.array(entry, { minLength: 1, maxLength: 5 }), fc.integer({ min: 1, max: 2e9 }), (list, speed) => {
        const bundles = list.map((fields) => bundle('a', 'b', fields));
        const [picked, ...rest] = pickEncodings(bundles, speed);
        assert.ok(picked !== undefined && rest.length === 0);
        const times = bundles.map((candidate) => transferSeconds(candidate, speed));
        assert.equal(transferSeconds(picked, speed), Math.min(...times));
      }),
    );
  });
});

describe('alternatives', () => {
  const bundles = [edge(null, 'base', 100), edge('base', 'v2', 10), edge('v1', 'v2', 4), edge(null, 'v2', 90)];
  const names = (commit: string): string => `[${commit}]`;

  it('are the next best ways, cheapest first, with what they would have cost', () => {
    const have = new Set(['base', 'v1']);
    const plan = planPath(bundles, have, 'v2', { nameOf: names });
    assert.ok(plan !== undefined);
    assert.equal(plan.reason, '1 bundle: [v1] → [v2]');
    const others = alternativesTo(plan, bundles, { have, wants: ['v2'], nameOf: names });
    assert.deepEqual(
      others.map(({ bytes, reason }) => [bytes, reason]),
      [
        [10, '1 bundle: [base] → [v2]'],
        [90, '1 bundle: nothing → [v2]'],
      ],
    );
  });

  it('are none where there is one way only, or nothing to fetch', () => {
    const only = [edge(null, 'v1', 5)];
    const plan = planPath(only, none, 'v1');
    assert.ok(plan !== undefined);
    assert.deepEqual(alternativesTo(plan, only, { have: none, wants: ['v1'] }), []);
    const done = planPath(only, new Set(['v1']), 'v1');
    assert.ok(done !== undefined);
    assert.deepEqual(alternativesTo(done, only, { have: new Set(['v1']), wants: [] }), []);
  });

  it('never cost less than the plan, and lead where it leads', () => {
    fc.assert(
      fc.property(graph, owned, node, (edges, have, want) => {
        const plan = planPath(edges, have, want);
        if (plan === undefined) return;
        const others = alternativesTo(plan, edges, { have, wants: [want] });
        assert.ok(others.length <= 3);
        for (const { bytes, edges: way } of others) {
          assert.ok(bytes >= plan.bytes);
          assert.ok(assertApplies(way, have).has(want));
          assert.notDeepEqual(way, plan.edges);
        }
      }),
      { numRuns: 500 },
    );
  });
});
