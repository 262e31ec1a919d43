import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Built, BuiltBase, BuiltLayer } from '../../releases/built.js';
import { bundleFile } from '../../releases/bundle-file.js';
import { type Content, type Measure, mergeContent } from '../../releases/content.js';
import { considerEdges, type Edge, isWorthwhile } from '../../releases/edges.js';
import type { BundleEntry } from '../../trees/feed/schema.js';
import { bundle, checksum, failsWith } from '../support/feed-fixture.js';

const released = '2026-01-01T00:00:00.000Z';

function base(version: string, options: Partial<BuiltBase> = {}): BuiltBase {
  const commit = checksum(`base ${version}`);
  return { kind: 'base', name: 'deb', version, arch: 'x86_64', commit, summary: 'Debian', released, ...options };
}

function layer(version: string, options: Partial<BuiltLayer> = {}): BuiltLayer {
  const on = { name: 'deb', range: '^12', version: '12.0.0', commit: checksum('base 12.0.0') };
  const commit = checksum(`layer ${version}`);
  return {
    kind: 'layer',
    name: 'etcd',
    version,
    arch: 'x86_64',
    commit,
    summary: 'kv',
    released,
    base: on,
    ...options,
  };
}

/** A repository that has everything, and says what it was asked. */
function measure(options: { missing?: readonly string[] } = {}): Measure & { composed: string[] } {
  const composed: string[] = [];
  return {
    composed,
    size: async (commit) => await Promise.resolve({ size: commit.charCodeAt(0), files: 1 }),
    has: async (commit) => await Promise.resolve(options.missing?.includes(commit) !== true),
    compose: async (on, commit) => {
      composed.push(`${on}+${commit}`);
      return await Promise.resolve(checksum(`${on}+${commit}`));
    },
    fingerprint: async (commit) => await Promise.resolve(commit),
  };
}

async function merge(previous: Content | undefined, built: readonly Built[], keep = 5): Promise<Content> {
  return await mergeContent(previous, built, { keep, measure: measure() });
}

const versionsOf = (content: Content, kind: 'bases' | 'apps', name: string): string[] =>
  content[kind][name]?.versions.map(({ version }) => version) ?? [];

describe('mergeContent', () => {
  it('lists what was built, newest first, and tests apps with the base they were built on', async () => {
    const content = await merge(undefined, [
      base('12.0.0'),
      base('12.9.0'),
      base('12.10.0'),
      layer('3.5.0'),
      layer('3.10.0'),
    ]);
    assert.deepEqual(versionsOf(content, 'bases', 'deb'), ['12.10.0', '12.9.0', '12.0.0']);
    assert.deepEqual(versionsOf(content, 'apps', 'etcd'), ['3.10.0', '3.5.0']);
    assert.deepEqual(content.apps['etcd']?.versions[0]?.base, {
      name: 'deb',
      range: '^12',
      tested: '12.0.0',
      tree: checksum(`${checksum('base 12.0.0')}+${checksum('layer 3.10.0')}`),
    });
    assert.equal(content.apps['etcd']?.summary, 'kv');
  });

  it('tests with the newest base that fits where the one it was built on is gone', async () => {
    const built = [base('12.1.0'), base('12.2.0'), base('13.0.0'), layer('3.5.0')];
    assert.equal((await merge(undefined, built)).apps['etcd']?.versions[0]?.base.tested, '12.2.0');
    const missing = { measure: measure({ missing: [checksum('base 12.2.0')] }), keep: 5 };
    assert.equal((await mergeContent(undefined, built, missing)).apps['etcd']?.versions[0]?.base.tested, '12.1.0');
  });

  it('refuses an app without a base', async () => {
    await assert.rejects(merge(undefined, [layer('3.5.0')]), failsWith('RELEASE_FAILED', /deb@\^12 for x86_64/));
    const arm = base('12.0.0', { arch: 'aarch64' });
    await assert.rejects(merge(undefined, [arm, layer('3.5.0')]), failsWith('RELEASE_FAILED'));
  });

  it('leaves listed versions as they are, and puts rebuilt ones in their place', async () => {
    const first = await merge(undefined, [base('12.0.0'), layer('3.5.0')]);
    const counting = measure();
    const again = await mergeContent(first, [base('12.0.0'), base('12.1.0'), layer('3.5.0')], {
      keep: 5,
      measure: counting,
    });
    assert.deepEqual(again.apps, first.apps);
    assert.deepEqual(counting.composed, []);
    const rebuilt = await merge(first, [layer('3.5.0', { commit: checksum('rebuilt') })]);
    assert.deepEqual(
      rebuilt.apps['etcd']?.versions.map(({ commit }) => commit),
      [checksum('rebuilt')],
    );
    assert.deepEqual(rebuilt.bases, first.bases);
  });

  it('keeps so many versions of each architecture, and every base that an app was tested with', async () => {
    const bases = ['12.0.0', '12.1.0', '12.2.0', '12.3.0'].map((version) => base(version));
    const arm = base('12.0.0', { arch: 'aarch64', commit: checksum('arm') });
    const layers = ['1.0.0', '2.0.0', '3.0.0'].map((version) => layer(version));
    const content = await merge(undefined, [...bases, arm, ...layers], 2);
    assert.deepEqual(versionsOf(content, 'apps', 'etcd'), ['3.0.0', '2.0.0']);
    const kept = content.bases['deb']?.versions.map(({ arch, version }) => `${arch} ${version}`);
    assert.deepEqual(kept, ['aarch64 12.0.0', 'x86_64 12.3.0', 'x86_64 12.2.0', 'x86_64 12.0.0']);
  });

  it('is the same whatever the order in which things were built', async () => {
    const built = [base('12.0.0'), base('12.1.0'), layer('3.5.0'), layer('3.6.0'), layer('1.0.0', { name: 'alpha' })];
    assert.equal(
      JSON.stringify(await merge(undefined, built)),
      JSON.stringify(await merge(undefined, built.toReversed())),
    );
  });
});

const way = ({ from, to }: Pick<Edge, 'from' | 'to'>, names: ReadonlyMap<string, string>): string =>
  `${from === null ? 'nothing' : names.get(from)} → ${names.get(to)}`;

describe('considerEdges', () => {
  const names = new Map(
    [
      'base 12.0.0',
      'base 12.1.0',
      'layer 1.0.0',
      'layer 2.0.0',
      'layer 3.0.0',
      'layer 4.0.0-rc.1',
      'layer 3.0.0 again',
    ].map((name) => [checksum(name), name] as const),
  );
  const list = (content: Content, previous?: Content, existing: readonly BundleEntry[] = []): string[] =>
    considerEdges(content, previous, { existing, back: 3 }).map((edge) => way(edge, names));

  it('asks for nothing → newest, base → newest layer, and previous → newest', async () => {
    const content = await merge(undefined, [
      base('12.0.0'),
      base('12.1.0'),
      layer('1.0.0'),
      layer('2.0.0'),
      layer('3.0.0'),
    ]);
    const existing = [bundle(null, checksum('base 12.0.0')), bundle(null, checksum('layer 1.0.0'))];
    assert.deepEqual(list(content, undefined, existing), [
      'nothing → layer 2.0.0',
      'nothing → base 12.1.0',
      'base 12.0.0 → base 12.1.0',
      'nothing → layer 3.0.0',
      'base 12.0.0 → layer 3.0.0',
      'layer 2.0.0 → layer 3.0.0',
      'layer 1.0.0 → layer 3.0.0',
    ]);
  });

  it('serves the newest release beside a newer prerelease', async () => {
    const content = await merge(undefined, [base('12.0.0'), layer('3.0.0'), layer('4.0.0-rc.1')]);
    assert.deepEqual(list(content).slice(1), [
      'nothing → layer 4.0.0-rc.1',
      'base 12.0.0 → layer 4.0.0-rc.1',
      'layer 3.0.0 → layer 4.0.0-rc.1',
      'nothing → layer 3.0.0',
      'base 12.0.0 → layer 3.0.0',
    ]);
  });

  it('leads on those who have a version that was rebuilt', async () => {
    const first = await merge(undefined, [base('12.0.0'), layer('3.0.0')]);
    const again = await merge(first, [layer('3.0.0', { commit: checksum('layer 3.0.0 again') })]);
    assert.ok(list(again, first).includes('layer 3.0.0 → layer 3.0.0 again'));
  });
});

describe('isWorthwhile', () => {
  const edge = (from: string | null, to: string, have: readonly string[]): Edge => {
    return { from, to, name: 'n', version: '1.0.0', arch: 'x', required: from === null, have };
  };
  const others = [
    bundle(null, 'v3', { size: 100 }),
    bundle('v2', 'v3', { size: 10 }),
    bundle('v1', 'v2', { size: 10 }),
  ];

  it('asks for 40 % less than the best other way', () => {
    assert.equal(isWorthwhile(edge('v1', 'v3', ['v1']), 12, others), true);
    assert.equal(isWorthwhile(edge('v1', 'v3', ['v1']), 13, others), false);
    assert.equal(isWorthwhile(edge('v0', 'v3', ['v0']), 60, others), true);
    assert.equal(isWorthwhile(edge('v0', 'v3', ['v0']), 61, others), false);
  });

  it('does not compare a bundle with itself, and takes what is the only way', () => {
    assert.equal(isWorthwhile(edge('v2', 'v3', ['v2']), 50, others), true);
    assert.equal(isWorthwhile(edge('v2', 'v9', ['v2']), 1e9, others), true);
    assert.equal(isWorthwhile(edge(null, 'v3', []), 1e9, others), true);
  });
});

describe('bundleFile', () => {
  it('is unique, and a name that an index may hold', () => {
    const make = (from: string | null, to: string): Edge => {
      const version = `1.0.0-${'x'.repeat(300)}`;
      return { from, to, name: 'n'.repeat(64), version, arch: 'x86_64', required: true, have: [] };
    };
    const [a, b] = [checksum('a'), checksum('b')];
    const files = [bundleFile(make(a, b), 'fast'), bundleFile(make(null, b), 'fast'), bundleFile(make(a, b), 'small')];
    assert.equal(new Set(files).size, 3);
    for (const file of files) assert.match(file, /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/);
  });
});
