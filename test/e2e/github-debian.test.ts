import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { load } from 'js-yaml';
import type { FeedIndex } from '../../trees/feed/schema.js';
import { createGithubFixture, FEED } from '../support/github-publisher.js';
import { at } from '../support/json.js';
import { createRig, projectRoot, runProgram } from '../support/rig.js';

const missing =
  process.geteuid?.() !== 0
    ? 'building needs root'
    : process.env['TREES_TEST_DEBIAN'] === undefined
      ? 'needs TREES_TEST_DEBIAN=1 (downloads and builds Debian twice, which takes minutes)'
      : false;

const MINUTES = 60_000;
const PACKAGES = 'http://deb.debian.org/debian';
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** A definition of the project's own. */
async function definitionOf(name: string): Promise<Record<string, unknown>> {
  const text = await readFile(join(projectRoot, 'images/definitions', `${name}.yaml`), 'utf8');
  return { ...Object(load(text)) };
}

/** What a reader can do with the feed: which way it went, and what that cost. */
interface Step {
  readonly fetched: number;
  /** Bundles that it got bytes of, with how many. */
  readonly bundles: Readonly<Record<string, number>>;
}

describe('Debian and etcd in a feed on GitHub', { skip: missing }, () => {
  it('are installed and updated by deltas, without one API call of a reader', { timeout: 40 * MINUTES }, async (t) => {
    await using rig = await createRig();
    await using fixture = await createGithubFixture();
    const { github } = fixture;
    const definitions = rig.path('definitions');
    await mkdir(definitions);
    const key = rig.path('feed.key');
    await rig.json(['key', 'generate', '-o', key]);
    const publisher = { env: { ...fixture.env, TREES_ROOT: rig.path('publisher') }, timeout: 20 * MINUTES };
    const timed = async <T>(what: string, action: () => Promise<T>): Promise<T> => {
      const started = performance.now();
      const result = await action();
      t.diagnostic(`${what}: ${((performance.now() - started) / 1000).toFixed(1)} s`);
      return result;
    };
    const release = async (...names: string[]): Promise<FeedIndex> => {
      const line = ['release', ...names, '--quick', '--to', FEED.href, '--key', key, '--definitions', definitions];
      const result = await timed(
        line.slice(0, names.length + 1).join(' '),
        async () => await rig.json(line, publisher),
      );
      assert.equal(at(result, 'status'), 'published');
      const newest = [...fixture.repository.releases.values()].findLast(({ draft }) => !draft);
      const asset = [...(newest?.assets.values() ?? [])].find(({ name }) => name === 'index.json');
      const index: FeedIndex = JSON.parse(await readFile(asset?.path ?? '', 'utf8'));
      return index;
    };
    const define = async (name: string, definition: unknown): Promise<void> =>
      await writeFile(join(definitions, `${name}.yaml`), JSON.stringify(definition));

    // Readers know where the server is, and have no token.
    const readerOf = (root: string) => {
      const env = { TREES_ROOT: rig.path(root), GITHUB_SERVER_URL: github.server, GITHUB_API_URL: github.api };
      return async (...args: string[]): Promise<unknown> => {
        github.resetCounts();
        const answer = await timed(`${root}: ${args.slice(0, 2).join(' ')}`, async () => {
          return await rig.json(args, { env: { ...env, GITHUB_TOKEN: undefined, GH_TOKEN: undefined } });
        });
        assert.equal(github.count('api'), 0, `API calls of trees ${args.join(' ')}`);
        return answer;
      };
    };
    const fetchedBy = async (step: Promise<unknown>): Promise<Step> => {
      const answer = await step;
      const bundles = [...github.sent].filter(([name]) => name.endsWith('.zst'));
      return { fetched: Number(at(answer, 'apps', 0, 'fetched')), bundles: Object.fromEntries(bundles) };
    };
    const rootfs = (root: string): string => rig.path(root, 'var/lib/trees/apps/etcd/current/rootfs');

    const first = await release('deb', 'etcd');
    const [oldBase, oldEtcd] = [first.bases['deb']?.versions[0], first.apps['etcd']?.versions[0]];
    const reader = readerOf('reader');
    await reader('feed', 'add', FEED.href, '--key', rig.path('feed.pub'));
    const whole = await fetchedBy(reader('install', 'etcd'));
    /** That each of these commits was fetched by one bundle that leads from one of those, and nothing besides. */
    const isOnly = (step: Step, index: FeedIndex, ways: ReadonlyArray<readonly [unknown, ...unknown[]]>): void => {
      const used = index.bundles.filter(({ file }) => Object.hasOwn(step.bundles, file));
      assert.deepEqual(
        [used.length, new Set(used.map(({ to }) => to))],
        [ways.length, new Set<unknown>(ways.map(([to]) => to))],
      );
      for (const { to, from, file } of used) {
        const [, ...origins] = ways.find((way) => way[0] === to) ?? [];
        assert.ok(origins.includes(from), `${file} leads from ${from}`);
      }
      // The tail comes first, to plan by, and once more with the rest.
      for (const { file, size, tail = 0 } of used) {
        const sent = step.bundles[file] ?? 0;
        assert.ok(sent >= size && sent <= size + tail, `${sent} bytes of ${file}, ${size} with ${tail} of tail`);
      }
      const bytes = used.reduce((sum, { size }) => sum + size, 0);
      assert.equal(step.fetched, bytes);
    };
    isOnly(whole, first, [
      [oldBase?.commit, null],
      [oldEtcd?.commit, oldBase?.commit, null],
    ]);
    const greeting = async (root: string): Promise<string> =>
      (await readFile(join(rootfs(root), 'etc/greeting'), 'utf8').catch(() => 'none')).trim();
    assert.equal(await greeting('reader'), 'none');

    // A new base: a package more, and a file changed. A new build of the same etcd: a file more.
    const deb = await definitionOf('deb');
    const debBuild = Object(deb['build']);
    const packages = [...debBuild.packages, 'tzdata'];
    const files = [
      { path: '/etc/greeting', content: 'from the base\n' },
      { path: '/etc/issue', content: 'Changed\n' },
    ];
    await define('deb', { ...deb, version: { fixed: '12.99.0' }, build: { ...debBuild, packages, files } });
    const etcd = await definitionOf('etcd');
    const etcdBuild = Object(etcd['build']);
    const config = { path: '/etc/default/etcd', content: 'ETCD_NAME=changed\n' };
    // Greater than 3.4.23 with a date behind it, smaller than any 3.5.
    await define('etcd', { ...etcd, version: { fixed: '3.4.99000000' }, build: { ...etcdBuild, files: [config] } });
    const second = await release();
    const [newBase, newEtcd] = [second.bases['deb']?.versions[0], second.apps['etcd']?.versions[0]];
    assert.deepEqual([newBase?.version, newEtcd?.version], ['12.99.0', '3.4.99000000']);
    const updated = await fetchedBy(reader('update'));
    isOnly(updated, second, [
      [newBase?.commit, oldBase?.commit],
      [newEtcd?.commit, oldEtcd?.commit],
    ]);
    t.diagnostic(`installed by ${whole.fetched} bytes, base and etcd updated by ${updated.fetched}`);
    assert.ok(updated.fetched < whole.fetched / 10, `${updated.fetched} of ${whole.fetched} bytes`);
    assert.equal(await greeting('reader'), 'from the base');
    assert.match(await readFile(join(rootfs('reader'), 'etc/default/etcd'), 'utf8'), /changed/);

    // etcd as the next Debian has it, on this one.
    const sources = [{ uri: PACKAGES, suites: ['trixie'], components: ['main'], keyring: KEYRING }];
    await define('etcd', { ...etcd, build: { ...etcdBuild, sources } });
    const third = await release('etcd');
    const newest = third.apps['etcd']?.versions[0];
    assert.match(String(newest?.version), /^3\.5\./);
    const upgraded = await fetchedBy(reader('update', 'etcd'));
    t.diagnostic(`etcd ${oldEtcd?.version} → ${newest?.version} by ${upgraded.fetched} bytes`);
    // Two compilers are between those programs: whether a delta pays is the publisher's to find out.
    isOnly(upgraded, third, [[newest?.commit, newEtcd?.commit, newBase?.commit, null]]);

    // Composed anew each time; somebody who starts now gets the very same tree.
    const history = await reader('history', 'etcd');
    const listed = [0, 1, 2].map((n) => ['version', 'base'].map((name) => at(history, 'generations', n, name)));
    const on = (base: typeof oldBase): object => ({ name: 'deb', version: base?.version });
    assert.deepEqual(listed, [
      [oldEtcd?.version, on(oldBase)],
      [newEtcd?.version, on(newBase)],
      [newest?.version, on(newBase)],
    ]);
    const fresh = readerOf('fresh');
    await fresh('feed', 'add', FEED.href, '--key', rig.path('feed.pub'));
    await fresh('install', 'etcd');
    const treeOf = (answer: unknown): unknown =>
      at(answer, 'generations', 'length') === 1 ? at(answer, 'generations', 0, 'tree') : undefined;
    assert.equal(at(history, 'generations', 2, 'tree'), treeOf(await fresh('history', 'etcd')));
    const compared = await runProgram('diff', ['-r', '--no-dereference', rootfs('reader'), rootfs('fresh')]);
    assert.deepEqual([compared.status, compared.stdout, compared.stderr], [0, '', '']);

    for (const [generation, version] of [
      ['1', /^etcd Version: 3\.4\./],
      ['3', /^etcd Version: 3\.5\./],
    ] as const) {
      await reader('rollback', 'etcd', generation);
      const ran = await rig.trees(['run', '--ephemeral', 'etcd', '--', 'etcd', '--version'], {
        env: { TREES_ROOT: rig.path('reader') },
      });
      assert.equal(ran.status, 0, ran.stderr);
      assert.match(ran.stdout, version);
    }
    assert.deepEqual(github.violations, []);
  });
});
