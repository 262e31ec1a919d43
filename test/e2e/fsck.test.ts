import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { Repo } from '../../trees/ostree/index.js';
import { cli, treesCommand } from '../support/cli.js';
import { noise } from '../support/delta-fixture.js';
import { at } from '../support/json.js';
import { assertSameTree, listTree } from '../support/rig.js';
import {
  assertSound,
  createStoreFixture,
  currentTree,
  publishTools,
  type StoreFixture,
} from '../support/store-fixture.js';

describe('fsck', () => {
  let fixture: StoreFixture;
  let checksums: { base: string; v1: string; v2: string };
  let whole: { version: string; tree: Record<string, string> };

  before(async () => {
    fixture = await createStoreFixture();
    checksums = await publishTools(fixture, { 'etc/empty': '' });
    await fixture.install('tool@1');
    await fixture.install('tool@2');
    whole = currentTree(fixture.paths, 'tool');
    mkdirSync(join(fixture.paths.data, 'tool'), { recursive: true });
    writeFileSync(join(fixture.paths.data, 'tool', 'precious'), 'mine\n');
  });
  after(async () => await fixture[Symbol.asyncDispose]());
  afterEach(() => assert.equal(readFileSync(join(fixture.paths.data, 'tool', 'precious'), 'utf8'), 'mine\n'));

  const { trees, answer } = cli(() => fixture.root);
  const rootfs = (path: string): string => join(fixture.paths.current('tool'), 'rootfs', path);
  const objectOf = async (rev: string, path: string): Promise<string> => {
    using repo = await Repo.open(fixture.paths.repo);
    const entry = await repo.lookupPath(rev, path);
    assert.ok(entry !== undefined, path);
    const suffix = entry.kind === 'directory' ? 'dirtree' : 'file';
    return join(repo.path, 'objects', entry.checksum.slice(0, 2), `${entry.checksum.slice(2)}.${suffix}`);
  };

  /** Everything but the lock files, which say who held them last. */
  const untouched = async (): Promise<string> => (await listTree(fixture.root)).replaceAll(/^.*locks.*\n/gm, '');

  /** Damaged in a way, found, left alone without --repair, and repaired by it. */
  const heals = async (kind: string, find = /./): Promise<void> => {
    const before = await untouched();
    const found = await trees('fsck');
    assert.equal(found.status, 1, found.stdout + found.stderr);
    assert.match(found.stdout, find);
    const { status, document } = await answer('fsck', '--repair', '--dry-run');
    assert.equal(status, 1);
    assert.ok(JSON.stringify(at(document, 'damage')).includes(`"kind":"${kind}"`), JSON.stringify(document));
    assertSameTree(await untouched(), before);
    const repaired = await answer('fsck', '--repair');
    assert.equal(repaired.status, 0, JSON.stringify(repaired));
    assert.ok(JSON.stringify(at(repaired.document, 'repaired')).includes(`"kind":"${kind}"`));
    await assertSound(fixture.paths);
    assert.deepEqual(currentTree(fixture.paths, 'tool'), whole);
    const again = await trees('fsck');
    assert.deepEqual([again.status, again.stderr], [0, ''], again.stdout);
  };

  it('finds nothing wrong with a sound store', async () => {
    const before = await untouched();
    const { status, document } = await answer('fsck');
    assert.equal(status, 0, JSON.stringify(document));
    assert.deepEqual([at(document, 'generations'), at(document, 'damage')], [2, []]);
    const one = await trees('fsck', 'tool');
    assert.match(one.stdout, /2 generations checked, everything is as it should be/);
    assertSameTree(await untouched(), before);
  });

  it('repairs a file that was changed through a link', async () => {
    appendFileSync(rootfs('usr/bin/tool'), 'broken\n');
    await heals('object', /\.file is corrupt/);
  });

  it('repairs a file of the base that is missing', async () => {
    unlinkSync(await objectOf(checksums.base, '/usr/bin/sh'));
    await heals('object', /\.file is missing/);
  });

  it('repairs a missing and a damaged directory object', async () => {
    unlinkSync(await objectOf(checksums.base, '/usr/share'));
    const path = await objectOf(checksums.v2, '/usr');
    writeFileSync(path, Buffer.concat([readFileSync(path), Buffer.from('x')]));
    await heals('object', /\.dirtree is/);
  });

  it('composes a damaged tree again', async () => {
    unlinkSync(await objectOf('tree/tool/1', '/etc'));
    await heals('object', /\.dirtree is missing/);
  });

  it('repairs link trees: missing, changed and foreign files', async () => {
    unlinkSync(rootfs('usr/bin/tool'));
    unlinkSync(rootfs('usr/bin/sh'));
    writeFileSync(rootfs('usr/bin/sh'), '#!another\n');
    symlinkSync('/etc/passwd', rootfs('usr/bin/foreign'));
    await heals('tree', /sh is changed.*foreign does not belong there/);
    const older = fixture.paths.rootfs('tool', 1);
    unlinkSync(join(older, 'usr/bin/tool'));
    await heals('tree', /generation 1 of tool: \/usr\/bin\/tool is missing/);
  });

  it('sets lost and wrong refs again', async () => {
    const heads = join(fixture.paths.repo, 'refs/heads');
    unlinkSync(join(heads, 'layer/tool/x86_64/1.0.0'));
    unlinkSync(join(heads, 'tree/tool/1'));
    await heals('ref', /ref tree\/tool\/1 is missing/);
    writeFileSync(join(heads, 'tree/tool/1'), `${checksums.base}\n`);
    await heals('ref', /ref tree\/tool\/1 is /);
  });

  it('completes a commit that is marked unfinished, and takes stray marks away', async () => {
    using repo = await Repo.open(fixture.paths.repo);
    await repo.setCommitPartial(checksums.v1, true);
    const stray = await answer('fsck');
    assert.deepEqual([stray.status, at(stray.document, 'unfinished')], [0, 1]);
    await trees('fsck', '--repair');
    assert.equal(await repo.isCommitPartial(checksums.v1), false);
    await repo.setCommitPartial(checksums.v1, true);
    unlinkSync(await objectOf(checksums.v1, '/usr/bin/tool'));
    await heals('commit', /is incomplete/);
  });

  it('writes a damaged record again', async () => {
    const { document } = await answer('history', 'tool');
    const current = Number(at(document, 'generations', 1, 'generation'));
    const file = join(fixture.paths.generation('tool', current), 'generation.json');
    const before: unknown = JSON.parse(readFileSync(file, 'utf8'));
    writeFileSync(file, '{');
    await heals('record', /its record is damaged/);
    const now: unknown = JSON.parse(readFileSync(file, 'utf8'));
    for (const key of ['name', 'app', 'version', 'feed', 'base', 'layer', 'tree', 'size', 'files', 'run', 'summary']) {
      assert.deepEqual(at(now, key), at(before, key), key);
    }
  });

  it('makes the newest generation current where that is gone', async () => {
    unlinkSync(fixture.paths.current('tool'));
    symlinkSync('99', fixture.paths.current('tool'));
    await heals('current', /generation 99, which is current, is gone/);
  });

  it('replaces a damaged generation that runs, and leaves it to what runs from it', async (t) => {
    const current = readlinkSync(fixture.paths.current('tool'));
    unlinkSync(rootfs('usr/bin/tool'));
    const held = spawnSync('flock', [
      '-s',
      join(fixture.paths.app('tool'), current, '.in-use'),
      ...treesCommand(fixture.root, ['fsck', '--repair']),
    ]);
    if (held.error !== undefined) return t.skip('needs flock');
    assert.equal(held.status, 1, held.stdout.toString());
    assert.match(held.stderr.toString(), /is running/);
    assert.notEqual(readlinkSync(fixture.paths.current('tool')), current);
    assert.deepEqual(currentTree(fixture.paths, 'tool'), whole);
    await heals('tree', /usr\/bin\/tool is missing/);
  });

  it('says what stays damaged, deletes nothing, and fails', async () => {
    appendFileSync(rootfs('usr/bin/tool'), 'broken\n');
    rmSync(fixture.feed.feed, { recursive: true });
    const { status, document, stderr } = await answer('fsck', '--repair');
    assert.equal(status, 1);
    assert.ok(JSON.stringify(at(document, 'damage')).includes('"kind":"object"'));
    assert.match(stderr, /warning: /);
    assert.match(readFileSync(rootfs('usr/bin/tool'), 'utf8'), /broken/);
    assert.deepEqual(at(document, 'repaired'), []);
    const again = await trees('fsck');
    assert.equal(again.status, 1, again.stdout);
  });

  it('knows only installed apps', async () => {
    const { status, document } = await answer('fsck', 'nosuch');
    assert.deepEqual([status, at(document, 'error', 'code')], [1, 'APP_NOT_INSTALLED']);
  });
});

describe('fsck with a base that is here and that no generation is on', () => {
  it('starts no bundle from it while it lacks what is damaged, and counts all that it fetches', async () => {
    await using fixture = await createStoreFixture();
    const { publisher, paths } = fixture;
    const large = noise(300_000, 5).toString('latin1');
    const base = await publisher.base('deb', '12.0.0', { 'usr/lib/large': large, 'etc/issue': 'old\n' });
    const next = await publisher.base('deb', '12.1.0', { 'usr/lib/large': large, 'etc/issue': 'new\n' });
    const on = { base: 'deb', tested: '12.0.0', range: '^12' };
    const tool = await publisher.layer('tool', '1.0.0', { 'usr/bin/tool': 'tool\n' }, on);
    await fixture.publish([
      [null, base],
      [base, tool],
      [base, next],
      [null, next],
    ]);
    await fixture.install('tool');
    const file = join(paths.current('tool'), 'rootfs/usr/lib/large');
    const content = readFileSync(file);
    appendFileSync(file, 'damaged\n');
    const { answer } = cli(() => fixture.root);
    const { status, document, stderr } = await answer('fsck', '--repair');
    assert.equal(status, 0, stderr);
    assert.doesNotMatch(stderr, /warning: /);
    const complete = statSync(join(fixture.feed.feed, `nothing-${next.slice(0, 12)}.delta.zst`)).size;
    assert.ok(Number(at(document, 'fetched')) >= complete, JSON.stringify(document));
    assert.deepEqual(readFileSync(join(paths.current('tool'), 'rootfs/usr/lib/large')), content);
    await assertSound(paths);
    assert.deepEqual(readdirSync(join(paths.repo, 'state')), [], 'no mark stays');
  });
});
