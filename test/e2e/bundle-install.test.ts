import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { sign } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { addFeed } from '../../trees/feed/feeds.js';
import { formatPublicKey } from '../../trees/feed/minisign.js';
import { storePaths } from '../../trees/store/paths.js';
import { cli } from '../support/cli.js';
import { commitTree, initRepo, noise, ostree } from '../support/delta-fixture.js';
import { at } from '../support/json.js';
import { listTree } from '../support/rig.js';
import { signedDelta } from '../support/signed-delta.js';
import {
  assertSound,
  createStoreFixture,
  currentTree,
  publishTool,
  type StoreFixture,
} from '../support/store-fixture.js';

describe('bundle install', () => {
  let fixture: StoreFixture;
  let commits: { base: string; v1: string; v2: string };
  /** The original project's: a repository with a trunk and an app. */
  let legacy: { repo: string; trunk: string; app: string };

  before(async () => {
    fixture = await createStoreFixture();
    commits = await publishTool(fixture);
    const { base, v1, v2 } = commits;
    await fixture.publisher.publish([
      [null, base],
      [base, v1],
      [v1, v2],
    ]);
    const repo = initRepo(join(fixture.feed.dir, 'legacy'));
    const busybox = noise(70_000, 9);
    const trunk = commitTree(repo, 'trunk', { 'usr/bin/busybox': { content: busybox, mode: 0o755 } });
    const app = commitTree(repo, 'nginx', {
      'usr/bin/busybox': { content: busybox, mode: 0o755 },
      'usr/bin/nginx': { content: Buffer.concat([busybox, busybox]), mode: 0o755 },
      bin: { target: 'usr/bin' },
    });
    legacy = { repo, trunk, app };
  });
  after(async () => await fixture[Symbol.asyncDispose]());

  const machine = () => {
    const root = mkdtempSync(join(fixture.feed.dir, 'machine-'));
    const paths = storePaths(join(root, 'var/lib/trees'));
    const { trees, json, fails } = cli(() => root);
    return {
      paths,
      trees,
      ok: json,
      fails: async (code: string, hint: RegExp, ...args: string[]): Promise<void> => {
        const { document } = await fails(code, ...args);
        assert.match(String(at(document, 'error', 'hint')), hint);
      },
      trustFeed: async () =>
        await addFeed(paths.root, `dir:${fixture.feed.feed}`, {
          name: 'test',
          keys: [fixture.feed.key.public],
          confirm: async () => await Promise.resolve(false),
        }),
    };
  };
  const fileOf = (from: string | null, to: string): string =>
    join(fixture.feed.feed, `${(from ?? 'nothing').slice(0, 12)}-${to.slice(0, 12)}.delta.zst`);
  const delta = (file: string, to: string, ...args: string[]): string => {
    ostree(
      'static-delta',
      'generate',
      `--repo=${legacy.repo}`,
      '--min-fallback-size=0',
      `--filename=${file}`,
      `--to=${to}`,
      ...args,
    );
    return file;
  };
  const directory = (): string => mkdtempSync(join(fixture.feed.dir, 'work-'));
  /** `NAME.tar` with one inline delta named by its commit. */
  const tarOf = (name: string, to: string, ...args: string[]): string => {
    const work = directory();
    delta(join(work, to), to, '--inline', ...args);
    execFileSync('tar', ['-C', work, '-cf', join(work, name), to]);
    return join(work, name);
  };

  it('installs base and layers by the key of a feed, and updates from it', async () => {
    const { ok, paths, trees, trustFeed } = machine();
    await trustFeed();
    const base = await ok('bundle', 'install', fileOf(null, commits.base));
    assert.deepEqual(
      ['kind', 'name', 'version', 'feed', 'generation'].map((key) => at(base, key)),
      ['base', 'deb', '12.0.0', 'test', null],
    );
    const first = await ok('bundle', 'install', fileOf(commits.base, commits.v1));
    assert.deepEqual(
      ['kind', 'name', 'version', 'generation'].map((key) => at(first, key)),
      ['layer', 'tool', '1.0.0', 1],
    );
    assert.deepEqual(at(first, 'base'), { name: 'deb', version: '12.0.0' });
    assert.equal(currentTree(paths, 'tool').tree['usr/bin/tool'], 'tool one\n');
    assert.equal(currentTree(paths, 'tool').tree['etc/hosts'], 'localhost\n');
    await assertSound(paths);
    assert.match((await trees('ls')).stdout, /tool +1\.0\.0 +deb 12\.0\.0 +1 +test/);
    const updated = await ok('update');
    assert.equal(at(updated, 'apps', 0, 'version'), '2.0.0');
    assert.equal((await trees('fsck')).status, 0);
  });

  it('installs an update under another name, by a key that is named', async () => {
    const { ok, fails, paths, trees } = machine();
    const key = join(fixture.feed.dir, 'named.pub');
    writeFileSync(key, formatPublicKey(fixture.feed.key.public));
    await fails('SIGNATURE_INVALID', /--key/, 'bundle', 'install', fileOf(null, commits.base));
    await ok('bundle', 'install', fileOf(null, commits.base), '--key', key);
    await fails(
      'VERSION_NOT_FOUND',
      /leads to that commit/,
      'bundle',
      'install',
      fileOf(commits.v1, commits.v2),
      '--key',
      key,
    );
    await ok('bundle', 'install', fileOf(commits.base, commits.v1), '--key', key, '-n', 'mine');
    const second = await ok('bundle', 'install', fileOf(commits.v1, commits.v2), '--key', key, '-n', 'mine');
    assert.deepEqual([at(second, 'feed'), at(second, 'previous')], [null, { version: '1.0.0', generation: 1 }]);
    const again = await ok('bundle', 'install', fileOf(commits.v1, commits.v2), '--key', key, '-n', 'mine');
    assert.deepEqual([at(again, 'action'), at(again, 'generation')], ['unchanged', at(second, 'generation')]);
    assert.equal(currentTree(paths, 'mine').version, '2.0.0');
    const update = await trees('update', 'mine', '--json');
    assert.equal(update.status, 1);
    assert.match(String(at(JSON.parse(update.stdout), 'apps', 0, 'error', 'hint')), /bundle install FILE/);
    assert.deepEqual(at(await ok('update'), 'apps'), [], 'nothing that could be updated');
    await ok('rollback', 'mine');
    assert.equal(currentTree(paths, 'mine').version, '1.0.0');
    await assertSound(paths);
  });

  it("installs the original project's tars: an app without a base", async () => {
    const { ok, fails, paths, trees } = machine();
    const full = tarOf('nginx.tar', legacy.app, '--empty');
    await fails('FEED_UNTRUSTED', /--trust-unsigned/, 'bundle', 'install', full);
    const installed = await ok('bundle', 'install', full, '--trust-unsigned');
    assert.deepEqual(
      ['kind', 'name', 'version', 'signedBy', 'generation'].map((key) => at(installed, key)),
      ['tree', 'nginx', '2025.1.2', null, 1],
    );
    const { tree } = currentTree(paths, 'nginx');
    assert.deepEqual(Object.keys(tree).toSorted(), ['bin', 'usr/', 'usr/bin/', 'usr/bin/busybox', 'usr/bin/nginx']);
    await assertSound(paths);
    assert.equal((await trees('fsck')).status, 0);
    await ok('gc', '--keep', '0');
    assert.equal((await trees('fsck')).status, 0);
    const info = await ok('bundle', 'info', full);
    assert.deepEqual([at(info, 'from'), at(info, 'to')], [null, legacy.app]);
    assert.ok(Number(at(info, 'bytes')) > 0 && Number(at(info, 'objects')) > 3, JSON.stringify(info));
    assert.deepEqual(readdirSync(paths.downloads), [], 'nothing is left of the tar');
    await ok('rm', 'nginx');
    await assertSound(paths);
    // As a kill would have left it.
    writeFileSync(join(paths.downloads, 'tar-0123456789ab'), 'x');
    await ok('gc');
    assert.deepEqual(readdirSync(paths.downloads), []);
  });

  it('installs an app whose delta starts from a base, which comes as parts', async () => {
    const { ok, fails, paths } = machine();
    const app = tarOf('nginx.tar', legacy.app, `--from=${legacy.trunk}`);
    await fails('VERSION_NOT_FOUND', /leads to that commit/, 'bundle', 'install', app, '--trust-unsigned');
    const work = directory();
    mkdirSync(join(work, legacy.trunk));
    // Several parts, each a file of its own.
    delta(join(work, legacy.trunk, 'superblock'), legacy.trunk, '--empty', '--max-chunk-size=1');
    assert.ok(readdirSync(join(work, legacy.trunk)).includes('0'), 'there are parts');
    execFileSync('tar', ['-C', work, '-czf', join(work, 'delta.tar'), legacy.trunk]);
    const base = await ok(
      'bundle',
      'install',
      join(work, 'delta.tar'),
      '--trust-unsigned',
      '--as',
      'base',
      '-n',
      'alp',
      '--version',
      '17.8.3',
    );
    assert.deepEqual([at(base, 'kind'), at(base, 'name'), at(base, 'version')], ['base', 'alp', '17.8.3']);
    await ok('bundle', 'install', app, '--trust-unsigned');
    assert.equal(Object.keys(currentTree(paths, 'nginx').tree).length, 5);
    await assertSound(paths);
  });

  it('installs a plain inline delta, and says what is wrong with other files', async () => {
    const { ok, fails, paths } = machine();
    const work = directory();
    const plain = delta(join(work, 'web.delta'), legacy.app, '--inline', '--empty');
    // Makes the store; what is wrong below must leave it like that.
    await fails('FEED_UNTRUSTED', /nobody vouches/, 'bundle', 'install', plain);
    const listing = async (): Promise<string[]> =>
      await Promise.all(['objects', 'refs'].map(async (name) => await listTree(join(paths.repo, name))));
    const before = await listing();
    const wrong = (name: string, content: Buffer | string): string => {
      writeFileSync(join(work, name), content);
      return join(work, name);
    };
    const install = (file: string): string[] => ['bundle', 'install', file, '--trust-unsigned', '-n', 'x'];
    const empty = machine();
    await empty.fails('BUNDLE_UNREADABLE', /name/, ...install(join(work, 'absent')));
    await empty.fails('BUNDLE_CORRUPT', /inline static delta/, ...install(wrong('text', 'hello\n')));
    assert.equal(existsSync(empty.paths.root), false, 'what is no bundle does not make a store');
    await fails('BUNDLE_UNREADABLE', /name/, ...install(join(work, 'absent')));
    await fails('BUNDLE_UNREADABLE', /name/, ...install(work));
    await fails('BUNDLE_CORRUPT', /inline static delta/, ...install(wrong('text', 'hello\n')));
    await fails('BUNDLE_CORRUPT', /inline static delta/, ...install(wrong('random', noise(5000, 3))));
    await fails(
      'BUNDLE_CORRUPT',
      /./,
      ...install(wrong('cut.zst', readFileSync(fileOf(null, commits.base)).subarray(0, 500))),
    );
    const tar = readFileSync(tarOf('nginx.tar', legacy.app, '--empty'));
    await fails(
      'BUNDLE_CORRUPT',
      /tar has to hold|inline static delta|again/,
      ...install(wrong('cut.tar', tar.subarray(0, 9000))),
    );
    const bad = Buffer.from(tar);
    bad.fill(0x55, 20_000, 20_400);
    await fails('BUNDLE_CORRUPT', /./, ...install(wrong('bad.tar', bad)));
    execFileSync('tar', ['-C', work, '-cf', join(work, 'other.tar'), 'text']);
    await fails('BUNDLE_CORRUPT', /has to hold one static delta/, ...install(join(work, 'other.tar')));
    copyFileSync(plain, join(work, 'a'.repeat(64)));
    execFileSync('tar', ['-C', work, '-cf', join(work, 'misnamed.tar'), 'a'.repeat(64)]);
    await fails('BUNDLE_CORRUPT', /fetch it again/, ...install(join(work, 'misnamed.tar')));
    await fails('USAGE', /--name/, 'bundle', 'install', join(work, 'a'.repeat(64)), '--trust-unsigned');
    await fails(
      'BASE_NOT_FOUND',
      /install a bundle of deb first/,
      'bundle',
      'install',
      await completeLayer(work),
      '--key',
      keyFile(),
    );
    await fails('BUNDLE_CORRUPT', /inline static delta/, 'bundle', 'info', join(work, 'text'));
    await fails('STORE_UNUSABLE', /ostree init/, 'bundle', 'apply', '--repo', work, plain);
    assert.deepEqual(await listing(), before, 'nothing changed');
    assert.deepEqual(readdirSync(paths.downloads), []);
    assert.deepEqual(readdirSync(join(paths.repo, 'state')), []);
    await ok('bundle', 'install', plain, '--trust-unsigned');
    assert.equal(currentTree(paths, 'web').version, '2025.1.2');
    rmSync(work, { recursive: true });
    await assertSound(paths);
  });

  it('installs a static delta that was signed as a whole by a trusted key, as stock ostree applies it', async () => {
    const { ok, fails, trees, paths } = machine();
    const work = directory();
    const plain = readFileSync(delta(join(work, 'inner'), legacy.app, '--inline', '--empty'));
    const { key, otherKey } = fixture.feed;
    const write = (name: string, bytes: Buffer): string => {
      writeFileSync(join(work, name), bytes);
      return join(work, name);
    };
    const other = sign(null, plain, otherKey.privateKey);
    const both = write('web.delta', signedDelta(plain, [other, sign(null, plain, key.privateKey)]));
    const stock = initRepo(join(work, 'stock'));
    ostree('static-delta', 'apply-offline', `--repo=${stock}`, both);
    assert.match(ostree('ls', `--repo=${stock}`, legacy.app, '/usr/bin'), /nginx/);

    await fails('SIGNATURE_INVALID', /--key/, 'bundle', 'install', both);
    const wrong = write('wrong.delta', signedDelta(plain, [other]));
    await fails('SIGNATURE_INVALID', /--key/, 'bundle', 'install', wrong, '--key', keyFile());
    const changed = Buffer.from(plain);
    changed[changed.length - 100] = (changed[changed.length - 100] ?? 0) ^ 1;
    const tampered = write('tampered.delta', signedDelta(changed, [sign(null, plain, key.privateKey)]));
    const refused = await trees('bundle', 'install', tampered, '--key', keyFile(), '--json');
    assert.equal(refused.status, 1);
    assert.match(refused.stdout, /"(BUNDLE_CORRUPT|SIGNATURE_INVALID)"/);
    const cut = write('cut.delta', readFileSync(both).subarray(0, -3));
    await fails('BUNDLE_CORRUPT', /fetch it again/, 'bundle', 'install', cut, '--key', keyFile());
    assert.deepEqual(readdirSync(paths.downloads), []);

    const result = await ok('bundle', 'install', both, '--key', keyFile());
    assert.equal(at(result, 'signedBy'), key.public.id);
    assert.equal(at(await ok('bundle', 'info', both), 'to'), legacy.app);
    assert.ok(currentTree(paths, 'web').version.length > 0);
    rmSync(work, { recursive: true });
    await assertSound(paths);
  });

  const keyFile = (): string => {
    const key = join(fixture.feed.dir, 'key.pub');
    writeFileSync(key, formatPublicKey(fixture.feed.key.public));
    return key;
  };
  const completeLayer = async (work: string): Promise<string> => {
    const file = join(work, 'layer.zst');
    const { status, stderr } = await machine().trees(
      'bundle',
      'create',
      '--repo',
      fixture.publisher.repo,
      '--to',
      commits.v1,
      '-o',
      file,
      '--quick',
    );
    assert.equal(status, 0, stderr);
    return file;
  };

  it('says with --dry-run what it would do, and does nothing', async () => {
    const { ok, trees, paths } = machine();
    const file = tarOf('nginx.tar', legacy.app, '--empty');
    const { stdout } = await trees('bundle', 'install', file, '--trust-unsigned', '--dry-run');
    assert.match(stdout, /would install nginx 2025\.1\.2 without a base from .*nginx\.tar \(unsigned\)/);
    const { apps } = { apps: at(await ok('ls'), 'apps') };
    assert.deepEqual(apps, []);
    assert.equal(ostree('refs', `--repo=${paths.repo}`), '');
  });
});
