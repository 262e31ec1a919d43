import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Built, BuiltLayer } from '../../releases/built.js';
import { type Content, type Measure, mergeContent } from '../../releases/content.js';
import { considerEdges } from '../../releases/edges.js';
import { promote } from '../../releases/promote.js';
import type { AppVersion, Channel, FeedIndex } from '../../trees/feed/schema.js';
import { type SelectRequest, selectApp } from '../../trees/feed/select.js';
import { appVersion, baseVersion, checksum, failsWith, makeIndex } from '../support/feed-fixture.js';

const edge = <V extends object>(version: V): V & { channel: Channel } => ({ ...version, channel: 'edge' });

function index(apps: AppVersion[], bases = [baseVersion('12.0.0'), baseVersion('12.1.0')]): FeedIndex {
  return makeIndex({
    bases: { deb: { summary: 'Debian', versions: bases } },
    apps: { etcd: { summary: 'kv', versions: apps } },
  });
}

function pick(of: FeedIndex, request: Partial<SelectRequest> = {}): string {
  const known = { name: 'f', url: 'dir:/f', keys: [], priority: 0, added: '', mirrors: [] };
  const found = selectApp([{ feed: known, index: of, stale: false }], { app: 'etcd', arch: 'x86_64', ...request });
  return `${found.app.version} on ${found.base.version.version}`;
}

describe('a client', () => {
  const bases = [baseVersion('12.0.0'), edge(baseVersion('12.1.0'))];
  const offered = index([appVersion('3.5.0'), edge(appVersion('3.6.0'))], bases);

  it('takes stable versions only, of bases too', () => {
    assert.equal(pick(offered), '3.5.0 on 12.0.0');
    assert.equal(pick(offered, { channel: 'stable' }), '3.5.0 on 12.0.0');
    assert.throws(() => pick(offered, { app: 'etcd@3.6.0' }), failsWith('VERSION_NOT_FOUND', /published/));
  });

  it('takes the newest of all on edge, which may be a stable one', () => {
    assert.equal(pick(offered, { channel: 'edge' }), '3.6.0 on 12.1.0');
    assert.equal(pick(index([edge(appVersion('3.6.0')), appVersion('3.7.0')]), { channel: 'edge' }), '3.7.0 on 12.1.0');
  });

  it('says that there is only edge', () => {
    assert.throws(() => pick(index([edge(appVersion('3.6.0'))])), failsWith('VERSION_NOT_FOUND', /"edge"/));
  });
});

const released = '2026-01-01T00:00:00.000Z';
const measure: Measure = {
  size: async () => await Promise.resolve({ size: 1, files: 1 }),
  has: async () => await Promise.resolve(true),
  compose: async (base, layer) => await Promise.resolve(checksum(base + layer)),
  fingerprint: async (commit) => await Promise.resolve(commit),
};

function layer(version: string, content = version): BuiltLayer {
  const base = { name: 'deb', range: '^12', version: '12.0.0', commit: baseVersion('12.0.0').commit };
  const commit = checksum(`layer ${content}`);
  return { kind: 'layer', name: 'etcd', version, arch: 'x86_64', commit, summary: 'kv', released, base };
}

async function merge(
  previous: Content | undefined,
  built: readonly Built[],
  options: { keep?: number; channel?: Channel; measure?: Measure } = {},
): Promise<Array<string | undefined>> {
  const content = await mergeContent(previous, built, { keep: 5, measure, ...options });
  return content.apps['etcd']?.versions.map(({ version, channel }) => `${version}${channel ?? ''}`) ?? [];
}

describe('a release', () => {
  it('puts new versions on the channel it was told, and leaves the others where they are', async () => {
    const before = index([appVersion('3.5.0')]);
    assert.deepEqual(await merge(before, [layer('3.6.0')], { channel: 'edge' }), ['3.6.0edge', '3.5.0']);
    const onEdge = index([edge(appVersion('3.6.0')), appVersion('3.5.0')]);
    // A rebuilt version stays on its channel.
    assert.deepEqual(await merge(onEdge, [layer('3.6.0')]), ['3.6.0edge', '3.5.0']);
  });

  it('keeps the newest stable version however many newer ones edge has', async () => {
    const before = index([appVersion('3.5.0'), appVersion('3.4.0'), edge(appVersion('3.6.0'))]);
    const kept = await merge(before, [layer('3.7.0')], { channel: 'edge', keep: 2 });
    assert.deepEqual(kept, ['3.7.0edge', '3.6.0edge', '3.5.0']);
  });

  it('does not publish the content of the newest version once more', async () => {
    const before = index([appVersion('3.5.0'), appVersion('3.6.0')]);
    const contents: Record<string, string> = {
      [appVersion('3.6.0').commit]: 'same',
      [layer('3.7.0').commit]: 'same',
      [appVersion('3.5.0').commit]: 'older',
      [layer('3.8.0').commit]: 'older',
    };
    const looking: Measure = { ...measure, fingerprint: async (commit) => await Promise.resolve(contents[commit]) };
    assert.deepEqual(await merge(before, [layer('3.7.0')], { measure: looking }), ['3.6.0', '3.5.0']);
    // What an older version had is news again.
    assert.deepEqual(await merge(before, [layer('3.8.0')], { measure: looking }), ['3.8.0', '3.6.0', '3.5.0']);
  });

  it('leads users of both channels to their newest version, from as many versions back as it was told', () => {
    const content = index([
      appVersion('3.4.0'),
      appVersion('3.5.0'),
      edge(appVersion('3.6.0')),
      edge(appVersion('3.7.0')),
    ]);
    const ways = (back: number): string[] =>
      considerEdges(content, undefined, { existing: [], back })
        .filter(({ name, from }) => name === 'etcd' && from !== null && from !== baseVersion('12.1.0').commit)
        .map(({ from, version }) => {
          const origin = content.apps['etcd']?.versions.find(({ commit }) => commit === from);
          return `${origin?.version} → ${version}`;
        });
    assert.deepEqual(ways(3), ['3.6.0 → 3.7.0', '3.5.0 → 3.7.0', '3.4.0 → 3.7.0', '3.4.0 → 3.5.0']);
    assert.deepEqual(ways(1), ['3.6.0 → 3.7.0', '3.4.0 → 3.5.0']);
    assert.deepEqual(ways(0), []);
  });
});

describe('promote', () => {
  const offered = index([appVersion('3.5.0'), edge(appVersion('3.6.0')), edge(appVersion('3.7.0'))]);
  const channelsOf = ({ apps }: Content): Record<string, string> =>
    Object.fromEntries((apps['etcd']?.versions ?? []).map(({ version, channel = 'stable' }) => [version, channel]));

  it('moves the newest version, or those of a range, and says which', () => {
    const newest = promote(offered, 'etcd', 'stable');
    assert.deepEqual(channelsOf(newest.content), { '3.5.0': 'stable', '3.6.0': 'edge', '3.7.0': 'stable' });
    assert.deepEqual(newest.promotions, [
      { name: 'etcd', version: '3.7.0', arch: 'x86_64', from: 'edge', to: 'stable' },
    ]);
    const both = promote(offered, 'etcd@>=3.6.0', 'stable');
    assert.deepEqual(channelsOf(both.content), { '3.5.0': 'stable', '3.6.0': 'stable', '3.7.0': 'stable' });
    assert.ok(both.content.apps['etcd']?.versions.every((version) => !('channel' in version)));
    assert.deepEqual(promote(offered, 'etcd@3.5.0', 'stable').promotions, []);
  });

  it('takes versions back, and keeps everything else of them', () => {
    const { content } = promote(offered, 'etcd@3.5.0', 'edge');
    assert.deepEqual(content.apps['etcd']?.versions[0], edge(appVersion('3.5.0')));
  });

  it('says what there is not, and refuses stable apps without a stable base', () => {
    assert.throws(() => promote(offered, 'ectd', 'stable'), failsWith('APP_NOT_FOUND', /ectd/));
    assert.throws(() => promote(offered, 'etcd@^4', 'stable'), failsWith('VERSION_NOT_FOUND'));
    assert.throws(() => promote(offered, 'deb@^12', 'edge'), failsWith('BASE_RANGE_UNSATISFIED', /etcd 3\.5\.0/));
    const onlyEdge = index([edge(appVersion('3.6.0'))], [edge(baseVersion('12.1.0'))]);
    assert.throws(() => promote(onlyEdge, 'etcd', 'stable'), failsWith('BASE_RANGE_UNSATISFIED'));
    assert.equal(promote(onlyEdge, 'deb', 'stable').promotions.length, 1);
  });
});
