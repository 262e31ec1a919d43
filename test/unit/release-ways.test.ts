import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { createWays } from '../../releases/ways.js';
import { planPath } from '../../trees/feed/path.js';
import type { BundleEntry } from '../../trees/feed/schema.js';
import { bundle } from '../support/feed-fixture.js';

const way = (from: string | null, to: string, size = 1): BundleEntry =>
  bundle(from, to, { size, sha256: `${from}>${to}:${size}` });

describe('ways', () => {
  it('of a thousand apps on one base have two bundles to do with any one of them', () => {
    const apps = Array.from({ length: 1000 }, (_, number) => `app${number}`);
    const ways = createWays([way(null, 'base'), ...apps.map((app) => way('base', app))]);
    assert.deepEqual(
      ways.leadingTo('app500').map(({ to }) => to),
      ['app500', 'base'],
    );
    assert.deepEqual([ways.isReachable('app500'), ways.isReachable('other')], [true, false]);
    ways.add(way('app500', 'other'));
    assert.deepEqual([ways.isReachable('other'), ways.to('other').length], [true, 1]);
  });

  it('leave out nothing that a path could use', () => {
    const commit = fc.constantFrom('a', 'b', 'c', 'd', 'e');
    const edge = fc.tuple(fc.oneof(commit, fc.constant(null)), commit, fc.integer({ min: 1, max: 9 }));
    fc.assert(
      fc.property(fc.array(edge, { maxLength: 12 }), fc.uniqueArray(commit), commit, (edges, have, want) => {
        const bundles = edges.map(([from, to, size]) => way(from, to, size));
        const ways = createWays(bundles);
        const all = planPath(bundles, new Set(have), want);
        assert.equal(planPath(ways.leadingTo(want), new Set(have), want)?.bytes, all?.bytes);
        assert.equal(ways.isReachable(want), planPath(bundles, new Set(), want) !== undefined);
      }),
    );
  });
});
