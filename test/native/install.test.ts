import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { silentReporter } from '../../trees/reporter.js';
import { collectGarbage } from '../../trees/store/gc.js';
import { readInstalled } from '../../trees/store/generations.js';
import { planInstall } from '../../trees/store/install.js';
import { tryLock } from '../../trees/store/locks.js';
import { planRemove, removeApp } from '../../trees/store/remove.js';
import { failsWith } from '../support/feed-fixture.js';
import { listTree } from '../support/rig.js';
import {
  assertSound,
  createStoreFixture,
  currentTree,
  publishTool,
  type StoreFixture,
} from '../support/store-fixture.js';

describe('install', () => {
  let fixture: StoreFixture;
  let commits: Awaited<ReturnType<typeof publishTool>>;

  before(async () => {
    fixture = await createStoreFixture();
    commits = await publishTool(fixture);
    const { base, v1, v2 } = commits;
    await fixture.publish([
      [null, base],
      [base, v1],
      [base, v2],
      [v1, v2],
    ]);
  });

  after(async () => await fixture[Symbol.asyncDispose]());

  const removal = (name: string, more: { purge?: boolean; force?: boolean } = {}) => ({
    root: fixture.paths.root,
    lockTimeout: 60,
    command: 'remove',
    name,
    purge: false,
    force: false,
    ...more,
  });
  const collection = (keep: number, dryRun = false) => ({
    root: fixture.paths.root,
    lockTimeout: 60,
    command: 'gc',
    keep,
    dryRun,
  });

  it('plans without changing anything', async () => {
    const before = await listTree(fixture.paths.root);
    const plan = await planInstall(fixture.options('tool@1'));
    assert.equal(plan.target.done, false);
    assert.equal(plan.path.edges.length, 2);
    assert.ok(plan.path.bytes > 0 && plan.space.needed > plan.path.bytes);
    assert.equal(await listTree(fixture.paths.root), before);
  });

  it('installs a version over its base', async () => {
    const result = await fixture.install('tool@1');
    assert.equal(result.action, 'installed');
    assert.equal(result.bundles.length, 2);
    assert.deepEqual(result.fallback, []);
    const { version, tree } = currentTree(fixture.paths, 'tool');
    assert.equal(version, '1.0.0');
    assert.equal(tree['usr/bin/tool'], 'tool one\n');
    assert.equal(tree['etc/hosts'], 'localhost\n');
    assert.equal(tree['bin'], '-> usr/bin');
    assert.deepEqual(readInstalled(fixture.paths, 'tool')?.current.run, { exec: ['/usr/bin/tool'], env: { A: 'b' } });
    await assertSound(fixture.paths);
  });

  it('does nothing when it is there already', async () => {
    const before = await listTree(fixture.paths.apps);
    const result = await fixture.install('tool@1');
    assert.equal(result.action, 'unchanged');
    assert.equal(await listTree(fixture.paths.apps), before);
  });

  it('installs the next version by the delta from the last, applying whiteouts', async () => {
    const result = await fixture.install('tool');
    assert.equal(result.previous?.version, '1.0.0');
    assert.equal(result.bundles.length, 1);
    const { version, tree } = currentTree(fixture.paths, 'tool');
    assert.equal(version, '2.0.0');
    assert.equal(tree['usr/bin/tool'], 'tool two\n');
    assert.equal(tree['etc/motd'], undefined, 'removed from the base by a whiteout');
    assert.equal(tree['usr/share/doc/a'], 'now a file\n');
    assert.equal(tree['etc/hosts/main'], 'now a directory\n');
    assert.equal(tree['usr/share/doc/b/NEW'], 'only this\n');
    assert.equal(tree['usr/share/doc/b/README'], undefined, 'hidden by the opaque marker');
    assert.equal(tree['etc/tool.conf'], undefined, 'in the layer of version 1 only');
    assert.deepEqual(
      Object.keys(tree).filter((path) => path.includes('.wh.')),
      [],
    );
    await assertSound(fixture.paths);
  });

  it('installs a second time under another name, sharing everything', async () => {
    const result = await fixture.install('tool@1', { name: 'other' });
    assert.equal(result.fetched, 0);
    assert.equal(currentTree(fixture.paths, 'other').version, '1.0.0');
    assert.equal(readInstalled(fixture.paths, 'other')?.current.app, 'tool');
    await assertSound(fixture.paths);
  });

  it('clears what was there when forced', async () => {
    const result = await fixture.install('tool', { force: true });
    assert.equal(result.action, 'installed');
    assert.equal(result.generation.number, 3);
    assert.deepEqual(readInstalled(fixture.paths, 'tool')?.generations, [3]);
    await assertSound(fixture.paths);
  });

  it('replaces a damaged record when forced, and only then', async () => {
    const { paths } = fixture;
    const damaged = join(paths.generation('tool', 3), 'generation.json');
    const record = readFileSync(damaged, 'utf8');
    writeFileSync(damaged, record.slice(0, 40));
    await assert.rejects(fixture.install('tool'), failsWith('STORE_CORRUPT', /generation 3 of tool/));
    const result = await fixture.install('tool', { force: true });
    assert.equal(result.generation.number, 4);
    assert.deepEqual(readInstalled(paths, 'tool')?.generations, [4]);
    await assertSound(paths);
  });

  it('says which base is unknown and which range is not satisfied', async () => {
    await assert.rejects(fixture.install('tool', { base: 'nix' }), failsWith('BASE_NOT_FOUND', /nix/));
    await assert.rejects(fixture.install('tool', { base: 'deb@^13' }), failsWith('BASE_RANGE_UNSATISFIED', /\^13/));
    await assert.rejects(fixture.install('nothing'), failsWith('APP_NOT_FOUND'));
    await assert.rejects(fixture.install('tool', { name: '../x' }), failsWith('USAGE'));
    await assert.rejects(fixture.install('tool', { name: 'tool/x' }), failsWith('USAGE'));
  });

  it('collects what no generation needs, and only that', async () => {
    await fixture.install('tool@1');
    await fixture.install('tool@2');
    const plan = await collectGarbage(collection(1, true));
    const result = await collectGarbage(collection(1));
    assert.deepEqual(plan.generations, result.generations);
    assert.deepEqual(plan.refs, result.refs);
    assert.equal(plan.objects, result.objects);
    assert.equal(plan.freed, result.freed);
    assert.deepEqual(plan.kept, result.kept);
    await assertSound(fixture.paths);
    assert.equal(currentTree(fixture.paths, 'tool').version, '2.0.0');

    const again = await collectGarbage(collection(1));
    assert.deepEqual([again.generations, again.refs, again.objects, again.freed], [[], [], 0, 0]);
  });

  it('keeps what runs', async () => {
    const app = readInstalled(fixture.paths, 'other');
    assert.ok(app !== undefined);
    const running = tryLock(join(fixture.paths.generation('other', app.current.number), '.in-use'), 'shared');
    assert.ok(running !== undefined);
    try {
      await assert.rejects(removeApp(removal('other')), failsWith('IN_USE', /other/));
      await assert.rejects(planRemove(removal('other')), failsWith('IN_USE', /other/));
      assert.equal(currentTree(fixture.paths, 'other').version, '1.0.0');
    } finally {
      running[Symbol.dispose]();
    }
  });

  it('keeps data on removal unless told otherwise, and leaves nothing else', async () => {
    const data = join(fixture.paths.data, 'tool');
    await import('node:fs/promises').then(async ({ mkdir }) => await mkdir(data, { recursive: true }));
    writeFileSync(join(data, 'precious'), 'x');
    const plan = await planRemove(removal('tool'));
    assert.deepEqual(plan.data, [data]);
    assert.equal(currentTree(fixture.paths, 'tool').version, '2.0.0', 'planning removes nothing');

    const removed = await removeApp(removal('tool'));
    assert.deepEqual(removed.data, [data]);
    assert.equal(readFileSync(join(data, 'precious'), 'utf8'), 'x');
    assert.equal(readInstalled(fixture.paths, 'tool'), undefined);
    await assertSound(fixture.paths);
    assert.equal(currentTree(fixture.paths, 'other').version, '1.0.0');
    await assert.rejects(removeApp(removal('tool')), failsWith('APP_NOT_INSTALLED'));

    const { recordApp, instancesOf, instancePaths } = await import('../../trees/run/instance.js');
    recordApp(instancePaths(fixture.paths, 'second'), 'tool');
    recordApp(instancePaths(fixture.paths, 'third'), 'other');
    // An instance that has become another app's own.
    recordApp(instancePaths(fixture.paths, 'other'), 'tool');
    assert.deepEqual(instancesOf(fixture.paths, 'tool'), ['other', 'second', 'tool']);
    const { purged } = await removeApp(removal('tool', { purge: true }));
    assert.deepEqual(purged, [join(fixture.paths.data, 'second'), data]);
    assert.deepEqual(readdirSync(fixture.paths.data), ['other', 'third']);

    recordApp(instancePaths(fixture.paths, 'other'), 'other');
    await removeApp(removal('other', { purge: true }));
    assert.deepEqual(readdirSync(fixture.paths.apps), []);
    assert.deepEqual(readdirSync(fixture.paths.data), []);
    assert.deepEqual(readdirSync(fixture.paths.downloads), []);
    const objects = readdirSync(join(fixture.paths.repo, 'objects'), { recursive: true, withFileTypes: true });
    assert.deepEqual(
      objects.filter((entry) => !entry.isDirectory()),
      [],
    );
    const tmp = readdirSync(join(fixture.paths.repo, 'tmp')).filter((name) => name.startsWith('staging'));
    assert.deepEqual(tmp, []);
  });
});

describe('an installation that goes wrong', () => {
  it('takes another way when a bundle is damaged, and says so', async () => {
    await using fixture = await createStoreFixture();
    const { base, v1, v2 } = await publishTool(fixture);
    await fixture.publish([
      [null, base],
      [base, v1],
      [base, v2],
      [v1, v2],
    ]);
    await fixture.install('tool@1');
    damage(join(fixture.feed.feed, `${v1.slice(0, 12)}-${v2.slice(0, 12)}.delta.zst`));
    const said: string[] = [];
    const reporter = { ...silentReporter, warn: (message: string) => void said.push(message) };

    const result = await fixture.install('tool', { reporter });

    assert.equal(result.action, 'installed');
    assert.equal(currentTree(fixture.paths, 'tool').version, '2.0.0');
    // Whichever of the two ways was cheaper was tried first.
    if (result.fallback.length > 0) {
      assert.equal(result.fallback[0]?.code, 'BUNDLE_CORRUPT');
      assert.match(said.join('\n'), /looking for another way/);
    } else assert.fail('the damaged bundle was not the cheapest');
    await assertSound(fixture.paths);
  });

  it('leaves the store as it was when no way is left', async () => {
    await using fixture = await createStoreFixture();
    const { base, v1, v2 } = await publishTool(fixture);
    await fixture.publish([
      [null, base],
      [base, v1],
      [v1, v2],
    ]);
    await fixture.install('tool@1');
    damage(join(fixture.feed.feed, `${v1.slice(0, 12)}-${v2.slice(0, 12)}.delta.zst`));
    const before = await contents(fixture);
    await assert.rejects(fixture.install('tool'), failsWith('BUNDLE_CORRUPT'));
    assert.deepEqual(await contents(fixture), before);
    await assertSound(fixture.paths);
  });

  it('leaves the store as it was when a bundle of the right digest does not hold what it should', async () => {
    await using fixture = await createStoreFixture();
    const { base, v1 } = await publishTool(fixture);
    const index = await fixture.publisher.publish([
      [null, base],
      [base, v1],
    ]);
    // Signed by the publisher's key, but by somebody who swapped the files.
    const [first, second] = index.bundles;
    assert.ok(first !== undefined && second !== undefined);
    const swapped = { ...first, file: second.file, size: second.size, sha256: second.sha256 };
    const { publishIndex } = await import('../support/feed-fixture.js');
    await publishIndex(fixture.feed.feed, { ...index, bundles: [swapped, second] }, fixture.feed.key);
    const { addFeed } = await import('../../trees/feed/feeds.js');
    await addFeed(fixture.paths.root, `dir:${fixture.feed.feed}`, {
      name: 'test',
      keys: [fixture.feed.key.public],
      confirm: async () => await Promise.resolve(false),
    });
    await assert.rejects(fixture.install('tool@1'), failsWith('BUNDLE_CORRUPT'));
    assert.deepEqual(readdirSync(fixture.paths.apps), []);
    assert.deepEqual(readdirSync(join(fixture.paths.repo, 'refs/heads')), []);
    await assertSound(fixture.paths);
  });

  it('refuses commits that no trusted key signed', async () => {
    await using fixture = await createStoreFixture();
    const { base, v1 } = await publishTool(fixture);
    const { Repo } = await import('../../trees/ostree/index.js');
    const { signCommit } = await import('../../releases/sign.js');
    {
      using repo = await Repo.open(fixture.publisher.repo);
      const bytes = await repo.readCommitBytes(v1);
      await repo.writeDetachedMetadata(v1, signCommit(bytes, undefined, fixture.feed.otherKey));
    }
    await fixture.publish([
      [null, base],
      [base, v1],
    ]);
    await assert.rejects(fixture.install('tool@1'), failsWith('SIGNATURE_INVALID'));
    await assertSound(fixture.paths);
  });

  it('refuses a tree that is not what the publisher got', async () => {
    await using fixture = await createStoreFixture();
    const { publisher } = fixture;
    const base = await publisher.base('deb', '12.0.0', { a: '1\n' });
    const layer = await publisher.layer(
      'tool',
      '1.0.0',
      { b: '2\n' },
      { base: 'deb', tested: '12.0.0', tree: 'f'.repeat(64) },
    );
    await fixture.publish([
      [null, base],
      [base, layer],
    ]);
    await assert.rejects(fixture.install('tool'), failsWith('INDEX_INVALID', /publisher got f{64}/));
    assert.equal(readInstalled(fixture.paths, 'tool'), undefined);
    await assertSound(fixture.paths);
  });

  it('uses the base that other apps use, while it satisfies', async () => {
    await using fixture = await createStoreFixture();
    const { base, v1 } = await publishTool(fixture);
    await fixture.publish([
      [null, base],
      [base, v1],
    ]);
    await fixture.install('tool@1');
    const newer = await fixture.publisher.base('deb', '12.1.0', { 'etc/hosts': 'changed\n' });
    const app = await fixture.publisher.layer(
      'app',
      '1.0.0',
      { 'opt/app': 'x\n' },
      { base: 'deb', tested: '12.1.0', range: '^12' },
    );
    await fixture.publish([
      [base, newer],
      [base, app],
    ]);
    await fixture.install('app');
    assert.equal(readInstalled(fixture.paths, 'app')?.current.base.version, '12.0.0');
    await fixture.install('app', { base: 'deb@12.1.0' });
    assert.equal(readInstalled(fixture.paths, 'app')?.current.base.version, '12.1.0');
    assert.equal(currentTree(fixture.paths, 'app').tree['etc/hosts'], 'changed\n');
    await assertSound(fixture.paths);
  });

  it('uses the last index when the feed is gone, and says so', async () => {
    await using fixture = await createStoreFixture();
    const { base, v1 } = await publishTool(fixture);
    await fixture.publish([
      [null, base],
      [base, v1],
    ]);
    await fixture.install('tool@1');
    const { rename } = await import('node:fs/promises');
    await rename(fixture.feed.feed, `${fixture.feed.feed}.away`);
    const said: string[] = [];
    const reporter = { ...silentReporter, warn: (message: string) => void said.push(message) };
    assert.equal((await fixture.install('tool@1', { reporter })).action, 'unchanged');
    assert.match(said.join('\n'), /cannot be reached/);
  });
});

/** What a failed installation must not have changed: objects, refs and apps. Lock files and logs may have. */
async function contents({ paths }: StoreFixture): Promise<string[]> {
  return await Promise.all(
    [join(paths.repo, 'objects'), join(paths.repo, 'refs'), paths.apps].map(async (path) => await listTree(path)),
  );
}

/** Flips a bit in the middle of a file. */
function damage(path: string): void {
  const bytes = readFileSync(path);
  const at = Math.floor(bytes.length / 2);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(path, bytes);
}
