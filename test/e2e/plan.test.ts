import assert from 'node:assert/strict';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { Repo } from '../../trees/ostree/index.js';
import { cli, treesCommand } from '../support/cli.js';
import { noise } from '../support/delta-fixture.js';
import { at } from '../support/json.js';
import { listTree, runProgram } from '../support/rig.js';
import { assertSound, createStoreFixture, currentTree, type StoreFixture } from '../support/store-fixture.js';

const asRoot = process.geteuid?.() === 0;

/** Large enough to be patched, and to be worth it. */
const program = (seed: number): string => noise(60_000, 7).toString('base64') + noise(90, seed).toString('base64');

/** Compresses better the longer one tries. */
const prose = Array.from(
  noise(40_000, 5),
  (byte) => `${['the', 'tree', 'grows', 'a', 'branch'][byte % 5]} ${byte}`,
).join(' ');

describe('paths of bundles', () => {
  let fixture: StoreFixture;
  let commits: { base: string; v1: string; v2: string; kin: string; tree: string };

  before(async () => {
    fixture = await createStoreFixture();
    const { publisher } = fixture;
    const base = await publisher.base('deb', '12.0.0', { 'usr/bin/sh': '#!shell\n', 'etc/motd': 'welcome\n' });
    const on = { base: 'deb', tested: '12.0.0', range: '^12' };
    const v1 = await publisher.layer('tool', '1.0.0', { 'usr/bin/tool': program(1) }, on);
    const v2 = await publisher.layer('tool', '2.0.0', { 'usr/bin/tool': program(2) }, on);
    const kin = await publisher.layer('kin', '1.0.0', { 'usr/bin/kin': program(3), 'usr/share/kin': prose }, on);
    const index = await publisher.publish([]);
    const tree = index.apps['kin']?.versions[0]?.base.tree ?? '';
    commits = { base, v1, v2, kin, tree };
    await fixture.publish([
      [null, base],
      [base, v1],
      [base, v2],
      [v1, v2],
      [null, v2],
      [base, kin],
      [base, kin, 'small'],
    ]);
    await fixture.install('tool@1');
  });
  after(async () => await fixture[Symbol.asyncDispose]());

  /** The binary on a copy of the store, in which anything may be broken. */
  const copy = (t: TestContext) => {
    const root = mkdtempSync(join(fixture.feed.dir, 'copy-'));
    t.after(() => rmSync(root, { recursive: true, force: true }));
    cpSync(fixture.root, root, { recursive: true, verbatimSymlinks: true });
    return machine(root);
  };
  const machine = (root: string) => {
    return {
      root,
      paths: { ...fixture.paths, repo: join(root, 'var/lib/trees/repo') },
      ...cli(() => root),
    };
  };
  const fileOf = (from: string | null, to: string): string =>
    `${(from ?? 'nothing').slice(0, 12)}-${to.slice(0, 12)}.delta.zst`;
  /** Replaces a file of the feed for the length of a test. */
  const withoutFile = (t: TestContext, file: string, change: (path: string) => void): void => {
    const path = join(fixture.feed.feed, file);
    const content = readFileSync(path);
    t.after(() => writeFileSync(path, content));
    change(path);
  };
  /** Of `tool` 1.0.0 in a store. */
  const sourceObject = async (repoPath: string): Promise<string> => {
    using repo = await Repo.open(repoPath);
    const entry = await repo.lookupPath(commits.v1, '/usr/bin/tool');
    assert.ok(entry !== undefined, '/usr/bin/tool');
    return join(repoPath, 'objects', entry.checksum.slice(0, 2), `${entry.checksum.slice(2)}.file`);
  };

  it('are explained by --dry-run: path, bytes, room, reason, and what else would have cost', async (t) => {
    const { root, trees, answer } = copy(t);
    const before = await listTree(root);
    for (const command of ['install', 'update']) {
      const { status, document } = await answer(command, 'tool', '--dry-run');
      assert.equal(status, 0);
      const plan = at(document, 'apps', 0);
      assert.equal(at(plan, 'bundles', 'length'), 1);
      assert.deepEqual(
        ['from', 'to', 'fromName', 'toName', 'file', 'encoding'].map((key) => at(plan, 'bundles', 0, key)),
        [commits.v1, commits.v2, 'tool 1.0.0', 'tool 2.0.0', fileOf(commits.v1, commits.v2), 'fast'],
      );
      assert.equal(at(plan, 'fetch'), at(plan, 'bundles', 0, 'size'));
      assert.ok(Number(at(plan, 'write')) > 60_000, JSON.stringify(plan));
      assert.match(String(at(plan, 'reason')), /tool 1\.0\.0 → tool 2\.0\.0: the fewest bytes/);
      const others = at(plan, 'alternatives');
      assert.ok(Array.isArray(others) && others.length >= 1, JSON.stringify(others));
      for (const other of others)
        assert.ok(Number(at(other, 'fetch')) > Number(at(plan, 'fetch')), JSON.stringify(plan));
      assert.ok(Number(at(plan, 'space', 'needed')) > 0 && at(plan, 'space', 'missing') === 0, JSON.stringify(plan));
      assert.equal(at(plan, 'fits'), true);
      const text = (await trees(command, 'tool', '--dry-run')).stdout;
      assert.match(text, /path {3}1 bundle: tool 1\.0\.0 → tool 2\.0\.0\n/);
      assert.match(text, /why {4}the fewest bytes of all published ways.*; the next best fetches /);
      assert.match(text, /instead of .*: 1 bundle: nothing → tool 2\.0\.0\n/);
      assert.match(text, /needed at most, .* free/);
    }
    assert.equal(await listTree(root), before);
  });

  it('take the encoding that is done sooner once the speed of the link is known', async (t) => {
    const { root, answer } = copy(t);
    const picked = async (speed: number): Promise<unknown> => {
      writeFileSync(join(root, 'var/lib/trees/feeds/test/link.json'), JSON.stringify({ bytesPerSecond: speed }));
      const { document } = await answer('install', 'kin', '--dry-run');
      return at(document, 'apps', 0, 'bundles', 0, 'encoding');
    };
    assert.deepEqual([await picked(1e12), await picked(1e3)], ['fast', 'small']);
  });

  it('start from other apps and from trees that are here', async (t) => {
    const { answer } = copy(t);
    await fixture.publish([
      [commits.v1, commits.kin],
      [commits.tree, commits.v2],
    ]);
    const first = await answer('install', 'kin', '--dry-run');
    assert.equal(at(first.document, 'apps', 0, 'bundles', 0, 'from'), commits.v1, 'the layer of another app');
    const installed = await answer('install', 'kin');
    assert.deepEqual(at(installed.document, 'apps', 0, 'bundles'), [fileOf(commits.v1, commits.kin)]);
    // Without its own first version, the composed tree of the other app is the best start.
    assert.equal((await answer('rm', 'tool')).status, 0);
    const second = await answer('install', 'tool', '--dry-run');
    assert.deepEqual(
      [at(second.document, 'apps', 0, 'bundles', 0, 'from'), at(second.document, 'apps', 0, 'bundles', 0, 'fromName')],
      [commits.tree, 'generation 1 of kin'],
    );
    const last = await answer('install', 'tool');
    assert.equal(last.status, 0, last.stderr);
    assert.deepEqual(at(last.document, 'apps', 0, 'fallback'), []);
  });

  /** What comes out of an update whose first bundle does not work. */
  const fallsBack = async (
    { trees, answer, root }: ReturnType<typeof machine>,
    expected: { code: string; command?: readonly string[] },
  ): Promise<void> => {
    const { status, document, stderr } = await answer(...(expected.command ?? ['update', 'tool']));
    assert.equal(status, 0, stderr);
    const app = at(document, 'apps', 0);
    assert.equal(at(app, 'fallback', 0, 'code'), expected.code, JSON.stringify(app));
    assert.equal(at(app, 'fallback', 0, 'file'), fileOf(commits.v1, commits.v2));
    assert.match(stderr, /warning: .*did not work, looking for another way: /);
    assert.equal(at(app, 'version'), '2.0.0');
    const { paths } = fixture;
    const here = { ...paths, apps: join(root, 'var/lib/trees/apps') };
    const current = join(here.apps, 'tool/current/rootfs/usr/bin/tool');
    assert.equal(readFileSync(current, 'utf8'), program(2));
    assert.match((await trees('ls')).stdout, /tool +2\.0\.0/);
  };

  it('fall back when a bundle is gone', async (t) => {
    withoutFile(t, fileOf(commits.v1, commits.v2), (path) => unlinkSync(path));
    await fallsBack(copy(t), { code: 'FEED_UNREACHABLE' });
    await fallsBack(copy(t), { code: 'FEED_UNREACHABLE', command: ['install', 'tool'] });
  });

  it('fall back when a bundle has other bytes', async (t) => {
    withoutFile(t, fileOf(commits.v1, commits.v2), (path) => {
      const bytes = readFileSync(path);
      const middle = bytes.length >> 1;
      bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle);
      writeFileSync(path, bytes);
    });
    await fallsBack(copy(t), { code: 'BUNDLE_CORRUPT' });
    await fallsBack(copy(t), { code: 'BUNDLE_CORRUPT', command: ['install', 'tool'] });
  });

  it('fall back when the source is damaged', async (t) => {
    const here = copy(t);
    const object = await sourceObject(here.paths.repo);
    const content = readFileSync(object, 'utf8');
    writeFileSync(object, content.replaceAll('A', 'B'));
    await fallsBack(here, { code: 'STORE_CORRUPT' });
  });

  it('fall back when the source is missing', async (t) => {
    const here = copy(t);
    unlinkSync(await sourceObject(here.paths.repo));
    await fallsBack(here, { code: 'STORE_CORRUPT', command: ['install', 'tool'] });
  });

  it('end in the first reason when none is left', async (t) => {
    const { answer, root } = copy(t);
    for (const from of [commits.base, commits.v1, null]) {
      withoutFile(t, fileOf(from, commits.v2), (path) => appendFileSync(path, 'x'));
    }
    if (existsSync(join(fixture.feed.feed, fileOf(commits.tree, commits.v2)))) {
      withoutFile(t, fileOf(commits.tree, commits.v2), (path) => unlinkSync(path));
    }
    const { status, document } = await answer('install', 'tool');
    assert.equal(status, 1);
    assert.equal(at(document, 'error', 'code'), 'BUNDLE_CORRUPT', JSON.stringify(document));
    assert.ok(Number(at(document, 'error', 'details', 'fallback', 'length')) >= 3, JSON.stringify(document));
    assert.match(readFileSync(join(root, 'var/lib/trees/apps/tool/current/generation.json'), 'utf8'), /1\.0\.0/);
  });

  it('say what is missing and what gc would free where there is no room', {
    skip: !asRoot && 'needs root',
  }, async (t) => {
    const { root, trees } = copy(t);
    assert.equal((await trees('update')).status, 0);
    assert.equal((await trees('rollback', 'tool')).status, 0);
    const aside = join(fixture.feed.dir, 'aside');
    t.after(() => rmSync(aside, { recursive: true, force: true }));
    const script =
      `cp -a ${root} ${aside} && mount -t tmpfs -o size=40m none ${root} && cp -a ${aside}/. ${root} && ` +
      `dd if=/dev/zero of=${root}/var/lib/trees/downloads/${'a'.repeat(64)} bs=1M count=3 2>/dev/null && exec "$@"`;
    for (const args of [
      ['install', 'kin', '--json'],
      ['install', 'kin', '--dry-run', '--json'],
    ]) {
      const result = await runProgram('unshare', ['-m', 'sh', '-c', script, 'sh', ...treesCommand(root, args)], {});
      const document: unknown = JSON.parse(result.stdout);
      if (args.includes('--dry-run')) {
        assert.equal(at(document, 'apps', 0, 'fits'), false);
        assert.ok(Number(at(document, 'apps', 0, 'space', 'missing')) > 0, result.stdout);
        assert.ok(Number(at(document, 'apps', 0, 'space', 'collectible')) >= 3 << 20, result.stdout);
      } else {
        assert.equal(at(document, 'error', 'code'), 'NO_SPACE');
        assert.match(result.stderr, /MB are needed at .*, .* MB are free, .* MB are missing/);
        assert.match(result.stderr, /hint: trees gc would free \d+\.\d MB/);
        assert.ok(Number(at(document, 'error', 'details', 'missing')) > 0, result.stdout);
      }
      rmSync(aside, { recursive: true, force: true });
    }
  });

  it('leave a sound store', async () => {
    await fixture.install('tool');
    assert.equal(currentTree(fixture.paths, 'tool').version, '2.0.0');
    await assertSound(fixture.paths);
  });
});
