import assert from 'node:assert/strict';
import { existsSync, readdirSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { removeFeed } from '../../trees/feed/feeds.js';
import { cli, treesCommand } from '../support/cli.js';
import { at } from '../support/json.js';
import { assertSameTree, listTree, runProgram } from '../support/rig.js';
import {
  assertSound,
  createStoreFixture,
  currentTree,
  publishTool,
  type StoreFixture,
} from '../support/store-fixture.js';

describe('update, rollback, history and pin', () => {
  let fixture: StoreFixture;
  let checksums: { base: string; v1: string; v2: string };
  let other: string;

  before(async () => {
    fixture = await createStoreFixture();
    checksums = await publishTool(fixture);
    const { base, v1, v2 } = checksums;
    const on = { base: 'deb', tested: '12.0.0', range: '^12' };
    other = await fixture.publisher.layer('other', '1.0.0', { 'usr/bin/other': 'other\n' }, on);
    await fixture.publish([
      [null, base],
      [base, v1],
      [base, v2],
      [base, other],
    ]);
  });
  after(async () => await fixture[Symbol.asyncDispose]());
  afterEach(async () => await assertSound(fixture.paths));

  const { trees, ok, json } = cli(() => fixture.root);
  const current = (name: string): string => readlinkSync(fixture.paths.current(name));

  it('updates to the newest version, and shows that before', async () => {
    await ok('install', 'tool@1');
    await ok('install', 'other');
    const before = await listTree(fixture.root);
    const plan = await json('update', '--dry-run');
    assert.deepEqual([at(plan, 'apps', 1, 'action'), at(plan, 'apps', 1, 'version')], ['update', '2.0.0']);
    assert.equal(at(plan, 'apps', 0, 'action'), 'unchanged');
    assert.ok(Number(at(plan, 'apps', 1, 'fetch')) > 0);
    assertSameTree(await listTree(fixture.root), before);

    assert.match(await ok('update'), /other 1\.0\.0 is up to date\nupdated tool: 1\.0\.0 .* → 2\.0\.0 .*generation 2/);
    assert.equal(currentTree(fixture.paths, 'tool').tree['usr/bin/tool'], 'tool two\n');
  });

  it('says quickly that nothing changed, and touches nothing but the indexes', async () => {
    // Once the feed's files are a while old, this is noted, and later updates rely on the note.
    await sleep(2100);
    await ok('update');
    const before = await listTree(fixture.root);
    assert.match(await ok('update'), /^everything is up to date\n$/);
    const document = await json('update', 'tool');
    assert.equal(at(document, 'apps', 0, 'action'), 'unchanged');
    assertSameTree(await listTree(fixture.root), before);
    const traced = join(fixture.feed.dir, 'trace');
    if (!existsSync('/usr/bin/strace')) return;
    const bin = treesCommand(fixture.root, ['update']);
    await runProgram('strace', ['-f', '-qq', '-e', 'trace=openat,open', '-o', traced, ...bin]);
    const opened = await runProgram('grep', ['-c', 'repo/objects', traced]);
    assert.equal(opened.stdout.trim(), '0');
    rmSync(traced);
  });

  it('shows what changed between two generations, from metadata', async () => {
    const text = await ok('diff', 'tool');
    assert.match(text, /^\+ \/etc\/hosts\/$/m);
    assert.match(text, /^- \/etc\/motd {2}8 B$/m);
    assert.match(text, /^~ \/usr\/bin\/tool {2}9 B → 9 B$/m);
    assert.match(text, /generation 1 \(1\.0\.0 on deb 12\.0\.0\) → 2 .*added.*changed.*removed/);
    const reverse = await json('diff', 'tool', '2', '1');
    const changes = at(reverse, 'changes');
    assert.ok(Array.isArray(changes));
    assert.ok(
      changes.some((change: unknown) => at(change, 'path') === '/etc/motd' && at(change, 'change') === 'added'),
    );
    // What ostree says of files is the oracle; it does not look into directories that are gone.
    const oracle = await runProgram('ostree', [`--repo=${fixture.paths.repo}`, 'diff', 'tree/tool/2', 'tree/tool/1']);
    for (const [, sign, path] of oracle.stdout.matchAll(/^([AMD]) {4}(\S+)$/gm)) {
      const found = changes
        .filter((change: unknown) => [path, `${path}/`].includes(String(at(change, 'path'))))
        .map((change: unknown) => String(at(change, 'change')))
        .join();
      // A file in place of a directory is both.
      assert.match(found, { A: /^added$/, M: /^changed$|,/, D: /^removed$/ }[sign ?? ''] ?? /./, `${sign} ${path}`);
    }
    assert.deepEqual(at(await json('diff', 'tool', '2', '2'), 'changes'), []);
    const missing = await trees('diff', 'tool', '1', '9');
    assert.match(missing.stderr, /no generation 9[\s\S]*hint: there are: 1, 2/);
    const none = await trees('diff', 'other');
    assert.match(none.stderr, /no generation before 1/);
  });

  it('adds up what apps take, counting shared objects once', async () => {
    const document = await json('ls', '--size');
    const disk = (app: number, key: string): number => Number(at(document, 'apps', app, 'disk', key));
    for (const app of [0, 1]) assert.equal(disk(app, 'own') + disk(app, 'shared'), disk(app, 'total'));
    assert.equal(disk(0, 'shared'), disk(1, 'shared'), 'two apps share the same with each other');
    assert.equal(Number(at(document, 'disk', 'total')), disk(0, 'own') + disk(1, 'own') + disk(0, 'shared'));
    const objects = await runProgram('find', [
      join(fixture.paths.repo, 'objects'),
      '-type',
      'f',
      '-not',
      '-name',
      '*.commitmeta',
      '-printf',
      '%s\\n',
    ]);
    const bytes = objects.stdout
      .trim()
      .split('\n')
      .reduce((sum, size) => sum + Number(size), 0);
    const links = await runProgram('find', [join(fixture.paths.repo, 'objects'), '-type', 'l', '-printf', '%s\\n']);
    const linked = links.stdout
      .trim()
      .split('\n')
      .reduce((sum, size) => sum + Number(size), 0);
    assert.ok([bytes, bytes + linked].includes(Number(at(document, 'disk', 'total'))), `${bytes} ${linked}`);
    assert.match(await ok('ls', '--size'), /OWN +SHARED +TOTAL[\s\S]*^total /m);
  });

  it('rolls back by default to the generation before, and forward by number', async () => {
    const before = await listTree(fixture.root);
    assert.match(await ok('rollback', 'tool', '--dry-run'), /tool 1\.0\.0 .* would be current/);
    assertSameTree(await listTree(fixture.root), before);
    assert.match(await ok('rollback', 'tool'), /tool 1\.0\.0 .*generation 1\) is current again, was 2\.0\.0/);
    assert.equal(currentTree(fixture.paths, 'tool').tree['usr/bin/tool'], 'tool one\n');
    const nothing = await trees('rollback', 'tool', '--json');
    assert.equal(nothing.status, 1);
    assert.equal(at(JSON.parse(nothing.stdout), 'error', 'code'), 'VERSION_NOT_FOUND');
    await ok('rollback', 'tool', '2');
    assert.equal(current('tool'), '2');
    const missing = await trees('rollback', 'tool', '7');
    assert.match(missing.stderr, /no generation 7[\s\S]*hint: there are: 1, 2/);
    const wrong = await trees('rollback', 'tool', 'last');
    assert.equal(wrong.status, 2);
  });

  it('goes forward again with the next update, taking the generation that is there', async () => {
    await ok('rollback', 'tool');
    const document = await json('update', 'tool');
    assert.deepEqual(
      [at(document, 'apps', 0, 'action'), at(document, 'apps', 0, 'generation'), at(document, 'apps', 0, 'fetched')],
      ['updated', 2, 0],
    );
  });

  it('stays where it is pinned, and shows that', async () => {
    await ok('rollback', 'tool', '1');
    assert.match(await ok('pin', 'tool'), /pinned to 1\.0\.0/);
    assert.match(await ok('update'), /up to date \(pinned: tool\)/);
    assert.equal(current('tool'), '1');
    assert.equal(at(await json('ls'), 'apps', 1, 'pin'), '1.0.0');
    assert.match(await ok('ls'), /PIN/);
    assert.match(await ok('info', 'tool'), /pinned +1\.0\.0/);
    const history = await json('history', 'tool');
    assert.equal(at(history, 'pin', 'range'), '1.0.0');
    assert.deepEqual([at(history, 'generations', 0, 'pinned'), at(history, 'generations', 1, 'pinned')], [true, false]);
    const install = await trees('install', 'tool@2');
    assert.match(install.stderr, /pinned to 1\.0\.0[\s\S]*trees unpin tool/);
    assert.match(await ok('install', 'tool'), /installed already/);
  });

  it('keeps a pinned generation from gc', async () => {
    await ok('unpin', 'tool');
    await ok('rollback', 'tool', '2');
    await ok('pin', 'tool');
    await ok('rollback', 'tool', '1');
    await ok('gc', '--keep', '0');
    assert.deepEqual(readdirSync(fixture.paths.app('tool')).sort(), ['1', '2', 'current', 'pin.json']);
  });

  it('moves within a pinned range, also back into it', async () => {
    await ok('rollback', 'tool', '2');
    await ok('pin', 'tool@^1');
    const document = await json('update');
    assert.deepEqual([at(document, 'apps', 1, 'version'), at(document, 'apps', 1, 'pin')], ['1.0.0', '^1']);
    assert.match(await ok('unpin', 'tool'), /can be updated again/);
    assert.match(await ok('unpin', 'tool'), /was not pinned/);
    await ok('update');
    assert.equal(currentTree(fixture.paths, 'tool').version, '2.0.0');
  });

  it('recomposes every app when its base moves, fetching only the base', async () => {
    const next = await fixture.publisher.base('deb', '12.1.0', {
      'etc/hosts': 'localhost\n',
      'etc/motd': 'welcome to a newer base\n',
      'usr/bin/sh': '#!shell, fixed\n',
      'usr/share/doc/b/README': 'read me too\n',
    });
    await fixture.publish([[checksums.base, next]]);
    await ok('pin', 'tool');
    const document = await json('update', 'other');
    assert.deepEqual(
      [0, 1].map((i) => [at(document, 'apps', i, 'name'), at(document, 'apps', i, 'action')]),
      [
        ['other', 'recomposed'],
        ['tool', 'recomposed'],
      ],
    );
    assert.deepEqual(at(document, 'apps', 0, 'bundles'), [
      `${checksums.base.slice(0, 12)}-${next.slice(0, 12)}.delta.zst`,
    ]);
    assert.equal(at(document, 'apps', 1, 'fetched'), 0);
    assert.equal(at(document, 'apps', 1, 'version'), '2.0.0');
    for (const name of ['other', 'tool']) {
      assert.equal(currentTree(fixture.paths, name).tree['usr/bin/sh'], '#!shell, fixed\n');
    }
    assert.match(await ok('history', 'other'), /deb 12\.0\.0[\s\S]*deb 12\.1\.0.*current/);
    await ok('unpin', 'tool');
    assert.match(await ok('update'), /everything is up to date/);
  });

  it('can be done by several at once, with gc and rollback among them', async () => {
    await ok('rollback', 'tool', '1');
    const results = await Promise.all([
      trees('update'),
      trees('gc', '--keep', '5'),
      trees('update', 'tool'),
      trees('rollback', 'other', '1'),
      trees('fsck'),
    ]);
    assert.deepEqual(
      results.map(({ status }) => status),
      [0, 0, 0, 0, 0],
      results.map(({ stderr }) => stderr).join(''),
    );
    await ok('update');
    assert.equal(currentTree(fixture.paths, 'tool').version, '2.0.0');
  });

  it('shows what runs', async (t) => {
    const file = join(fixture.paths.generation('tool', 2), '.in-use');
    const held = await runProgram('flock', ['-s', file, ...treesCommand(fixture.root, ['history', 'tool', '--json'])]);
    if (held.status === 127) return t.skip('needs flock');
    const generations = at(JSON.parse(held.stdout), 'generations');
    assert.ok(Array.isArray(generations));
    assert.deepEqual(
      generations.map((entry: unknown) => at(entry, 'running')),
      generations.map((entry: unknown) => at(entry, 'generation') === 2),
    );
  });

  it('is not stopped by one bad app, and says which', async () => {
    await ok('rollback', 'tool', '1');
    const bad = await trees('update', 'nosuch', 'tool', '--json');
    assert.equal(bad.status, 1);
    const document: unknown = JSON.parse(bad.stdout);
    assert.deepEqual(
      [at(document, 'apps', 0, 'action'), at(document, 'apps', 0, 'error', 'code'), at(document, 'apps', 1, 'action')],
      ['failed', 'APP_NOT_INSTALLED', 'updated'],
    );
    assert.match(bad.stderr, /nosuch was not updated/);
    const wrong = await trees('update', 'tool@2');
    assert.equal(wrong.status, 2);
    assert.match(wrong.stderr, /trees pin NAME@RANGE/);
  });

  it('updates the others when one app’s bundle is damaged, and tells of bundles it gave up', async () => {
    const { publisher, feed } = fixture;
    const on = { base: 'deb', tested: '12.1.0', range: '^12' };
    const v3 = await publisher.layer('tool', '3.0.0', { 'usr/bin/tool': 'tool three\n' }, on);
    const next = await publisher.layer('other', '2.0.0', { 'usr/bin/other': 'other two\n' }, on);
    await fixture.publish([
      [checksums.v2, v3],
      [null, next],
      [other, next],
    ]);
    // Of the two ways for the one app the cheaper one, of the other app the only one.
    const plan = await json('update', '--dry-run');
    for (const app of [0, 1]) {
      const file = join(feed.feed, String(at(plan, 'apps', app, 'bundles', 0, 'file')));
      writeFileSync(file, Buffer.alloc(statSync(file).size));
    }
    const result = await trees('update', '--json');
    assert.equal(result.status, 1);
    const document: unknown = JSON.parse(result.stdout);
    assert.deepEqual([at(document, 'apps', 0, 'action'), at(document, 'apps', 0, 'version')], ['updated', '2.0.0']);
    assert.equal(at(document, 'apps', 0, 'fallback', 0, 'code'), 'BUNDLE_CORRUPT');
    assert.deepEqual(
      [at(document, 'apps', 1, 'action'), at(document, 'apps', 1, 'error', 'code')],
      ['failed', 'BUNDLE_CORRUPT'],
    );
    assert.equal(currentTree(fixture.paths, 'tool').version, '2.0.0');
  });

  it('fails each app of a feed that is gone, by name', async () => {
    await removeFeed(fixture.paths.root, 'test');
    const gone = await trees('update', '--json');
    assert.equal(gone.status, 1);
    assert.equal(at(JSON.parse(gone.stdout), 'apps', 0, 'error', 'code'), 'FEED_NOT_FOUND');
  });

  for (const command of ['rollback', 'history', 'diff', 'pin', 'unpin', 'rm']) {
    it(`${command} of what is not installed fails and leaves no lock file`, async () => {
      const before = await listTree(fixture.root);
      const result = await trees(command, 'nosuch', '--json');
      assert.equal(result.status, 1);
      assert.equal(at(JSON.parse(result.stdout), 'error', 'code'), 'APP_NOT_INSTALLED');
      assertSameTree(await listTree(fixture.root), before);
    });
  }
});
