import assert from 'node:assert/strict';
import { existsSync, readlinkSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { cli, treesCommand } from '../support/cli.js';
import { noise } from '../support/delta-fixture.js';
import { at } from '../support/json.js';
import { listTree, runProgram } from '../support/rig.js';
import { assertSound, createStoreFixture, type StoreFixture } from '../support/store-fixture.js';

const asRoot = process.geteuid?.() === 0;

describe('gc, ls, rollback, diff and pin', () => {
  let fixture: StoreFixture;

  before(async () => {
    fixture = await createStoreFixture();
    const { publisher } = fixture;
    const base = await publisher.base('deb', '12.0.0', { 'usr/lib/shared': noise(300_000, 1).toString('base64') });
    const on = { base: 'deb', tested: '12.0.0', range: '^12' };
    const layers: string[] = [];
    for (const [index, version] of ['1.0.0', '2.0.0', '3.0.0', '4.0.0'].entries()) {
      const files = { 'usr/bin/tool': noise(200_000, index + 2).toString('base64'), [`etc/${version}`]: '' };
      layers.push(await publisher.layer('tool', version, files, on));
    }
    const other = await publisher.layer(
      'other',
      '1.0.0',
      { 'usr/bin/other': noise(100_000, 9).toString('base64') },
      on,
    );
    await fixture.publish([[null, base], ...[...layers, other].map((layer) => [base, layer] as const)]);
    for (const version of ['1', '2', '3']) await fixture.install(`tool@${version}`);
    await fixture.install('other');
  });
  after(async () => await fixture[Symbol.asyncDispose]());

  const { trees, ok, json, fails } = cli(() => fixture.root);
  const current = (): string => readlinkSync(fixture.paths.current('tool'));

  it('say what gc would free, and why the rest stays', async () => {
    const text = await ok('gc', '--keep', '1', '--dry-run');
    assert.match(text, /would delete generation 1 of tool\n/);
    assert.match(text, /would delete layer tool 1\.0\.0\n/);
    assert.match(text, /would delete \d+ objects and \d+ downloads, \d/);
    assert.match(text, /stays: generation 2 of tool \(2\.0\.0\): kept to go back to \(--keep 1\)\n/);
    assert.match(text, /stays: generation 3 of tool \(3\.0\.0\): current\n/);
    assert.match(text, /stays: base deb 12\.0\.0: needed by generation 1 of other, generation 2 of tool, generation 3/);
    const document = await json('gc', '--keep', '1', '--dry-run');
    assert.deepEqual(at(document, 'generations'), [{ name: 'tool', number: 1 }]);
    assert.ok(Number(at(document, 'freed')) > 200_000, JSON.stringify(document));
    await ok('pin', 'tool');
    await ok('rollback', 'tool', '1');
    const pinned = await ok('gc', '--keep', '0', '--dry-run');
    assert.match(pinned, /generation 3 of tool \(3\.0\.0\): pinned\n/);
    assert.match(pinned, /generation 1 of tool \(1\.0\.0\): current\n/);
    assert.match(pinned, /would delete generation 2 of tool/);
    await ok('rollback', 'tool', '3');
    await ok('unpin', 'tool');
  });

  it('look at a read-only store', { skip: !asRoot && 'needs root' }, async () => {
    const before = await listTree(fixture.root);
    const readOnly = `mount --bind ${fixture.root} ${fixture.root} && mount -o remount,ro,bind ${fixture.root}`;
    for (const args of [
      ['gc', '--dry-run'],
      ['rm', 'tool', '--dry-run'],
      ['rollback', 'tool', '--dry-run'],
      ['pin', 'tool', '--dry-run'],
      ['diff', 'tool'],
      ['history', 'tool'],
      ['ls', '--size'],
      ['fsck'],
    ]) {
      const script = `${readOnly} && exec "$@"`;
      const result = await runProgram(
        'unshare',
        ['-m', 'sh', '-c', script, 'sh', ...treesCommand(fixture.root, args)],
        {},
      );
      assert.equal(result.status, 0, `${args.join(' ')}: ${result.stderr}`);
      assert.notEqual(result.stdout, '', args.join(' '));
    }
    assert.equal(await listTree(fixture.root), before);
  });

  it('count what is shared once, as du does', async () => {
    const document = await json('ls', '--size');
    const disk = (index: number, key: string): number => Number(at(document, 'apps', index, 'disk', key));
    const [other, tool] = [0, 1];
    assert.equal(disk(tool, 'own') + disk(tool, 'shared'), disk(tool, 'total'));
    assert.equal(disk(tool, 'shared'), disk(other, 'shared'), 'the base');
    const total = Number(at(document, 'disk', 'total'));
    assert.equal(total, disk(tool, 'own') + disk(other, 'own') + disk(tool, 'shared'));
    // du's apparent sizes of objects, directories left out; refs and other files of the repository are none.
    const du = await runProgram('find', [join(fixture.paths.repo, 'objects'), '-type', 'f', '-printf', '%s\\n']);
    const objects = du.stdout
      .trim()
      .split('\n')
      .reduce((sum, size) => sum + Number(size), 0);
    assert.ok(Math.abs(total - objects) <= objects * 0.01, `${total} by trees, ${objects} on disk`);
  });

  it('finish a rollback that was killed, and go no further', async () => {
    assert.equal(current(), '3');
    // What a kill between switching and the end leaves.
    unlinkSync(fixture.paths.current('tool'));
    symlinkSync('2', fixture.paths.current('tool'));
    const note = join(fixture.paths.app('tool'), 'rollback.json');
    writeFileSync(note, '{"from":3,"to":2}\n');
    const finished = await json('rollback', 'tool');
    assert.deepEqual(
      [at(finished, 'action'), at(finished, 'generation'), at(finished, 'previous', 'generation')],
      ['rolled back', 2, 3],
    );
    assert.equal(current(), '2');
    assert.equal(existsSync(note), false);
    await ok('rollback', 'tool');
    assert.equal(current(), '1', 'the next one goes on');
    // Before the switch: it is as if nothing had been done.
    writeFileSync(note, '{"from":1,"to":0}\n');
    await fails('VERSION_NOT_FOUND', 'rollback', 'tool');
    writeFileSync(note, 'no JSON');
    await ok('rollback', 'tool', '3');
    assert.deepEqual([current(), existsSync(note)], ['3', false]);
    await assertSound(fixture.paths);
  });

  it('compare generations, either way round', async () => {
    const text = await ok('diff', 'tool', '1', '3');
    assert.match(text, /^- \/etc\/1\.0\.0 {2}0 B\n\+ \/etc\/3\.0\.0 {2}0 B\n~ \/usr\/bin\/tool {2}267 kB → 267 kB\n/);
    assert.match(text, /1 added, 1 changed, 1 removed/);
    assert.match(await ok('diff', 'tool', '3', '1'), /\+ \/etc\/1\.0\.0/);
    assert.match(await ok('diff', 'tool', '2', '2'), /0 added, 0 changed, 0 removed/);
    for (const [code, ...args] of [
      ['VERSION_NOT_FOUND', '9'],
      ['VERSION_NOT_FOUND', '1', '9'],
      ['USAGE', '-1'],
      ['USAGE', '1.5'],
      ['USAGE', '../1'],
    ] as const) {
      await fails(code, 'diff', 'tool', ...args);
    }
    await fails('APP_NOT_INSTALLED', 'diff', 'nosuch');
    await fails('APP_NOT_INSTALLED', 'diff', '../tool');
  });

  it('pin to ranges, and refuse what is none', async () => {
    await ok('pin', 'tool@^3');
    assert.match(await ok('update', 'tool'), /up to date.*pinned/);
    await ok('pin', 'tool@>=2 <4 || 9.x');
    assert.match(await ok('history', 'tool'), /pinned to >=2 <4 \|\| 9\.x since/);
    for (const wrong of ['tool@', 'tool@latest', 'tool@banana', 'test/tool@1']) await fails('USAGE', 'pin', wrong);
    await fails('APP_NOT_INSTALLED', 'pin', 'nosuch');
    await fails('APP_NOT_INSTALLED', 'unpin', 'nosuch');
    const far = await ok('pin', 'tool@^9');
    assert.match(far, /3\.0\.0, which is current, is not in it/);
    const { status, stderr } = await trees('update', 'tool');
    assert.equal(status, 1);
    assert.match(stderr, /no published version satisfies it/);
    await ok('unpin', 'tool');
    assert.match(await ok('update', 'tool'), /3\.0\.0 .*→ 4\.0\.0/);
    assert.match(await ok('unpin', 'tool'), /was not pinned/);
  });

  it('collect, and leave nothing of an app that is removed', async () => {
    const plan = await json('gc', '--keep', '0', '--dry-run');
    const done = await json('gc', '--keep', '0');
    for (const key of ['generations', 'refs', 'objects', 'downloads', 'freed', 'kept']) {
      assert.deepEqual(at(done, key), at(plan, key), key);
    }
    writeFileSync(join(fixture.paths.app('tool'), 'rollback.json'), '{"from":3,"to":2}\n');
    await ok('rm', 'tool');
    assert.equal(existsSync(fixture.paths.app('tool')), false);
    await assertSound(fixture.paths);
    rmSync(fixture.paths.downloads, { recursive: true, force: true });
    await fails('APP_NOT_INSTALLED', 'rollback', 'tool');
  });
});
