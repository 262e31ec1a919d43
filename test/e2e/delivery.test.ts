import assert from 'node:assert/strict';
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { cli, treesCommand } from '../support/cli.js';
import { at } from '../support/json.js';
import { listTree, type RunResult, runProgram } from '../support/rig.js';
import { assertSound, createStoreFixture, publishTool, type StoreFixture } from '../support/store-fixture.js';

const asRoot = process.geteuid?.() === 0;

describe('the delivery commands', () => {
  let fixture: StoreFixture;

  before(async () => {
    fixture = await createStoreFixture();
    const { base, v1, v2 } = await publishTool(fixture);
    await fixture.publish([
      [null, base],
      [base, v1],
      [base, v2],
      [v1, v2],
    ]);
  });

  after(async () => await fixture[Symbol.asyncDispose]());

  const { trees, ok, json } = cli(() => fixture.root);
  /** In a mount namespace of its own, after a command that changes the mounts. */
  const treesWith = async (mount: string, ...args: string[]): Promise<RunResult> =>
    await runProgram(
      'unshare',
      ['-m', 'sh', '-c', `${mount} && exec "$@"`, 'sh', ...treesCommand(fixture.root, args)],
      {
        env: { NO_COLOR: '1' },
      },
    );

  it('show a plan with --dry-run and leave everything as it is', async () => {
    const before = await listTree(fixture.root);
    const text = await ok('install', 'tool@1', '--dry-run');
    assert.match(text, /would install tool 1\.0\.0 on deb 12\.0\.0/);
    assert.match(text, /2 bundles|1 bundle/);
    assert.match(text, /needed at most/);
    const plan = await json('install', 'tool@1', '--dry-run');
    assert.equal(at(plan, 'apps', 0, 'fits'), true);
    assert.equal(await listTree(fixture.root), before);
  });

  it('refuse a store on a read-only file system before anything else', { skip: !asRoot && 'needs root' }, async () => {
    const before = await listTree(fixture.root);
    const result = await treesWith(
      `mount --bind ${fixture.root} ${fixture.root} && mount -o remount,ro,bind ${fixture.root}`,
      'install',
      'tool',
    );
    assert.equal(result.status, 1);
    assert.match(result.stderr, /read-only/i);
    assert.equal(await listTree(fixture.root), before);
  });

  it('say that there is no room before fetching anything', { skip: !asRoot && 'needs root' }, async () => {
    const aside = join(fixture.feed.dir, 'aside');
    const { root } = fixture.paths;
    const small = `cp -a ${root} ${aside} && mount -t tmpfs -o size=40m none ${root} && cp -a ${aside}/. ${root}`;
    const result = await treesWith(small, 'install', 'tool', '--json');
    assert.equal(result.status, 1);
    assert.equal(at(JSON.parse(result.stdout), 'error', 'code'), 'NO_SPACE');
    assert.match(result.stderr, /MB are needed at .*, .* MB are free/);
  });

  it('install in the original form, list, and say that it is there', async () => {
    assert.match(await ok('tool@1', '-b', 'deb'), /installed tool 1\.0\.0 on deb 12\.0\.0 \(generation 1\)/);
    assert.match(await ok('tool@1', '-b', 'deb'), /is installed already/);
    assert.match(await ok('ls'), /^NAME .*\ntool +1\.0\.0 +deb 12\.0\.0 +1 +test\n$/);
    const listed = await json('ls');
    assert.deepEqual(at(listed, 'apps', 0, 'version'), '1.0.0');
    await assertSound(fixture.paths);
  });

  it('say which base is not there', async () => {
    const result = await trees('tool', '-b', 'nix', '--json');
    assert.equal(result.status, 1);
    assert.equal(at(JSON.parse(result.stdout), 'error', 'code'), 'BASE_NOT_FOUND');
    assert.match(result.stderr, /^error: .*nix.*\nhint: /);
  });

  it('show what is known', async () => {
    const text = await ok('info', 'tool');
    assert.match(text, /tool: the app tool/);
    assert.match(text, /installed {2}1\.0\.0 \(generation 1\)/);
    assert.match(text, /2\.0\.0 {2}x86_64 {2}on deb@\^12/);
    const info = await json('info', 'tool');
    assert.deepEqual(at(info, 'installed', 'run'), { exec: ['/usr/bin/tool'], env: { A: 'b' } });
    assert.equal((await trees('info', 'nothing')).status, 1);
  });

  it('check out into a directory, keeping what is there', async () => {
    const target = join(fixture.feed.dir, 'target');
    mkdirSync(join(target, 'etc'), { recursive: true });
    writeFileSync(join(target, 'etc/hosts'), 'mine\n');
    writeFileSync(join(target, 'own'), 'mine\n');
    const result = await trees('co', 'tool', '-t', 'target');
    assert.equal(result.status, 0, result.stderr);
    assert.equal(result.stdout, `${target}\n`);
    assert.match(result.stderr, /etc\/hosts/);
    assert.equal(readFileSync(join(target, 'etc/hosts'), 'utf8'), 'mine\n');
    const rootfs = (await ok('co', 'tool')).trim();
    assert.equal(lstatSync(join(target, 'usr/bin/tool')).ino, lstatSync(join(rootfs, 'usr/bin/tool')).ino);
    await ok('co', 'tool', '-t', 'target', '-f');
    assert.equal(readFileSync(join(target, 'etc/hosts'), 'utf8'), 'localhost\n');
    assert.equal(readFileSync(join(target, 'own'), 'utf8'), 'mine\n');
    assert.equal((await trees('co', 'tool', '--copy')).status, 2);
  });

  it('say what a checkout would do, and refuse what cannot be a target before anything is changed', async () => {
    const target = join(fixture.feed.dir, 'planned');
    assert.match(
      await ok('co', 'tool', '-t', target, '--dry-run'),
      /^would link the files of tool 1\.0\.0 .* into \/.*\n$/,
    );
    assert.equal(existsSync(target), false);
    const file = join(fixture.feed.dir, 'a-file');
    writeFileSync(file, '');
    for (const path of [file, join(file, 'below'), join(file, 'below/that')]) {
      for (const more of [[], ['--dry-run']]) {
        const { status, stderr } = await trees('co', 'tool', '-t', path, ...more);
        assert.equal(status, 1);
        assert.match(stderr, /^error: .*a-file is not a directory\nhint: /);
      }
    }
    const inside = await trees('co', 'tool', '-t', join(fixture.paths.root, 'new'));
    assert.equal(inside.status, 2);
    assert.match(inside.stderr, /outside of the store.*\nhint: /);
  });

  it('check out to another file system only by copying', async (t) => {
    if (!existsSync('/dev/shm') || statSync('/dev/shm').dev === statSync(fixture.root).dev) {
      t.skip('needs /dev/shm to be another file system than the temporary directory');
      return;
    }
    const other = mkdtempSync('/dev/shm/trees-co-');
    try {
      const target = join(other, 'tree');
      const refused = await trees('co', 'tool', '-t', target, '--json');
      assert.equal(refused.status, 1);
      assert.equal(at(JSON.parse(refused.stdout), 'error', 'code'), 'UNSUPPORTED');
      assert.match(refused.stderr, /another file system[^]*hint: .*--copy/);
      assert.equal(existsSync(target), false);
      const copied = await json('co', 'tool', '-t', target, '--copy');
      assert.deepEqual([at(copied, 'copied'), at(copied, 'same'), at(copied, 'kept')], [0, 0, []]);
      assert.equal(readFileSync(join(target, 'usr/bin/tool'), 'utf8'), 'tool one\n');
      assert.equal(lstatSync(join(target, 'usr/bin/tool')).nlink, 1);
    } finally {
      rmSync(other, { recursive: true, force: true });
    }
  });

  it('refuse link trees on another file system than the repository', { skip: !asRoot && 'needs root' }, async () => {
    const before = await listTree(fixture.paths.apps);
    const result = await treesWith(
      `mount -t tmpfs none ${fixture.paths.apps}`,
      'install',
      'tool@1',
      '-n',
      'x',
      '--json',
    );
    assert.equal(result.status, 1, result.stdout);
    assert.equal(at(JSON.parse(result.stdout), 'error', 'code'), 'STORE_UNUSABLE');
    assert.match(result.stderr, /different file systems/);
    assert.equal(await listTree(fixture.paths.apps), before);
    await assertSound(fixture.paths);
  });

  it('update by installing, collect, and remove in the original form', async () => {
    assert.match(await ok('install', 'tool'), /installed tool 2\.0\.0 .*was 1\.0\.0/);
    assert.match(await ok('co', 'tool@1'), /\/tool\/1\/rootfs\n$/, 'what is here to go back to is not installed again');
    assert.equal(at(await json('co', 'tool@1', '-t', 'older'), 'version'), '1.0.0');
    assert.equal(readFileSync(join(fixture.feed.dir, 'older/usr/bin/tool'), 'utf8'), 'tool one\n');
    assert.match(await ok('co', 'tool'), /\/tool\/2\/rootfs\n$/, 'and what is current stays so');
    assert.match(await ok('gc', '--keep', '0', '--dry-run'), /would delete generation 1 of tool/);
    assert.match(await ok('gc', '--keep', '0'), /deleted generation 1 of tool/);
    assert.match(await ok('gc', '--keep', '0'), /nothing to delete/);
    assert.match(await ok('rm', 'tool', '--dry-run'), /would remove tool: 1 generation/);
    assert.match(await ok('tool', '-d'), /removed tool: 1 generation/);
    assert.equal(await ok('ls'), '');
    assert.equal((await trees('tool', '-d')).status, 1);
    await assertSound(fixture.paths);
    assert.equal(existsSync(join(fixture.feed.dir, 'target/usr/bin/tool')), true, 'what was checked out stays');
  });

  it('look at the machine', async () => {
    const result = await trees('check', '--json');
    const document: unknown = JSON.parse(result.stdout);
    assert.equal(result.status, at(document, 'ok') === true ? 0 : 1);
    const checks = at(document, 'checks');
    assert.ok(Array.isArray(checks));
    for (const id of [
      'node',
      'native-ostree',
      'store',
      'hard-links',
      'userns',
      'overlay',
      'seccomp',
      'cgroup',
      'mmdebstrap',
    ]) {
      assert.ok(
        checks.some((check) => at(check, 'id') === id),
        id,
      );
    }
  });
});
