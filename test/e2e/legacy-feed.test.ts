import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { storePaths } from '../../trees/store/paths.js';
import { commitTree, noise } from '../support/delta-fixture.js';
import { createFakeGithub, type FakeGithub, type Repository } from '../support/fake-github.js';
import { at } from '../support/json.js';
import { createLegacyReleases, type LegacyReleases } from '../support/legacy-releases.js';
import { createRig, listTree, namesIn, type Rig, type RunResult } from '../support/rig.js';

describe('a feed of the original project’s releases', () => {
  let rig: Rig;
  let github: FakeGithub;
  let apps: Repository;
  let bases: Repository;
  let releases: LegacyReleases;
  let trunk: string;
  let etcd: string;

  const busybox = { content: noise(70_000, 9), mode: 0o755 };
  const app = (name: string, seed: number): string =>
    commitTree(releases.repo, name, {
      'usr/bin/busybox': busybox,
      [`usr/bin/${name}`]: { content: noise(50_000, seed), mode: 0o755 },
    });
  /** Publishes in place of what was there, as the original project did. */
  const release = async (name: string, commit: string, ...how: string[]): Promise<void> => {
    for (const [id, { tag }] of apps.releases) if (tag === name) apps.releases.delete(id);
    const files = { [`${name}.tar`]: releases.tarOf(commit, ...how), [`${name}.sum`]: releases.sumOf(commit) };
    await releases.publish(apps, name, files);
  };
  const run = async (...args: string[]): Promise<RunResult> => await rig.trees(args, { env: releases.env });
  const json = async (...args: string[]): Promise<unknown> => await rig.json(args, { env: releases.env });
  const fails = async (code: string, ...args: string[]): Promise<RunResult> => {
    const result = await run(...args, '--json');
    assert.equal(at(JSON.parse(result.stdout), 'error', 'code'), code, result.stdout + result.stderr);
    assert.match(result.stderr, /^error: .+\nhint: .+/m);
    return result;
  };

  before(async () => {
    rig = await createRig();
    github = await createFakeGithub();
    releases = createLegacyReleases(rig.dir, github);
    apps = github.createRepository('untoreh', 'trees');
    bases = github.createRepository('untoreh', 'pine');
    trunk = commitTree(releases.repo, 'trunk', { 'usr/bin/busybox': busybox });
    const base = { 'delta_base.tar': releases.tarOf(trunk, '--empty'), 'pine.sum': releases.sumOf(trunk) };
    await releases.publish(bases, '17.08-3', base);
    etcd = app('etcd', 10);
    await release('etcd', etcd, `--from=${trunk}`);
    await release('znc', app('znc', 11), '--empty');
    const files = { 'etcd.tar': Buffer.from('of an older version'), 'etcd.sum': releases.sumOf(etcd) };
    await releases.publish(apps, 'etcd-17.08-1', files);
  });
  after(async () => {
    await github[Symbol.asyncDispose]();
    await rig[Symbol.asyncDispose]();
  });

  it('is added only by somebody who says that nobody need sign it', async () => {
    const untouched = await listTree(rig.dir);
    const refused = await fails('NOT_CONFIRMED', 'feed', 'add', 'legacy:untoreh/trees');
    assert.match(refused.stderr, /Nobody signs legacy:untoreh\/trees/);
    await fails('USAGE', 'feed', 'add', 'legacy:untoreh', '--trust-unsigned');
    await fails('USAGE', 'feed', 'add', 'legacy:untoreh/trees', '--trust-unsigned', '--mirror', 'dir:/tmp');
    await fails('FEED_UNREACHABLE', 'feed', 'add', 'legacy:untoreh/nothing', '--trust-unsigned');
    await fails('UNSUPPORTED', 'feed', 'mirror', 'legacy:untoreh/trees', rig.path('mirror'));
    await fails('UNSUPPORTED', 'release', 'verify', 'legacy:untoreh/trees');
    assert.equal(github.count('api'), 0);
    assert.equal(await listTree(rig.dir), untouched);
    const added = await json('feed', 'add', `legacy:${github.server}/untoreh/trees`, '--trust-unsigned', '-n', 'old');
    assert.deepEqual(
      [at(added, 'feed', 'unsigned'), at(added, 'feed', 'keys'), at(added, 'index', 'apps')],
      [true, [], 2],
    );
    await fails('USAGE', 'feed', 'set', 'old', '--mirror', 'dir:/tmp');
    assert.match((await run('feed', 'ls')).stdout, /old +legacy:http\S+ +0 +unsigned/);
  });

  it('lists what its tags name, marked as unsigned', async () => {
    const { stdout } = await run('search');
    assert.match(stdout, /^etcd +\d{4}\.\d+\.\d+ .*old \(unsigned\)/m);
    assert.match(stdout, /^znc .*old \(unsigned\)/m);
    assert.doesNotMatch(stdout, /17\.08/);
    assert.equal(at(await json('search', 'etcd'), 'apps', 0, 'unsigned'), true);
    assert.match((await run('info', 'etcd')).stdout, /offered by feed old, which nobody signs/);
    const { stdout: words } = await run('completion', '--words', '--', 'install', 'zn');
    assert.match(words, /znc/);
  });

  it('says which base an app was made from as long as no feed has it', async () => {
    const refused = await fails('VERSION_NOT_FOUND', 'install', 'old/etcd');
    assert.match(refused.stderr, /trees feed add legacy:OWNER\/REPO/);
    const complete = await json('install', 'znc');
    assert.deepEqual([at(complete, 'apps', 0, 'feed'), at(complete, 'apps', 0, 'base', 'name')], ['old', 'none']);
  });

  it('installs an app and the base that it was made from, in the original form, without the API', async () => {
    await json('feed', 'add', 'legacy:untoreh/pine', '--trust-unsigned', '--name', 'pine');
    const plan = await json('etcd', '-b', 'pine', '--dry-run');
    assert.deepEqual([at(plan, 'apps', 0, 'unsigned'), at(plan, 'apps', 0, 'base', 'name')], [true, 'pine']);
    assert.ok(Number(at(plan, 'apps', 0, 'fetch')) > 50_000, JSON.stringify(plan));
    await fails('BASE_NOT_FOUND', 'etcd', '-b', 'trub');
    github.resetCounts();
    const installed = await run('etcd', '-b', 'pine');
    assert.equal(installed.status, 0, installed.stderr);
    assert.match(installed.stderr, /nobody vouches for it/);
    assert.match(installed.stdout, /^installed etcd \d+\.\d+\.\d+ without a base \(generation 1\)/);
    assert.equal(github.count('api'), 0);
    const rootfs = join(rig.store, 'apps/etcd/current/rootfs');
    assert.deepEqual(readFileSync(join(rootfs, 'usr/bin/etcd')), noise(50_000, 10));
    assert.match((await run('ls')).stdout, /^etcd .* old \(unsigned\)/m);
    await rig.ostree(['fsck', '--quiet', `--repo=${rig.repo}`]);
    assert.deepEqual(readdirSync(storePaths(rig.store).downloads), []);
    github.resetCounts();
    assert.match((await run('install', 'old/etcd')).stdout, /is installed already/);
    // The sum, by way of its redirect: it is as it was.
    assert.deepEqual(
      github.requests.map(({ file }) => file),
      ['etcd.sum', 'etcd.sum'],
    );
    const out = rig.path('out');
    assert.equal((await run('co', 'etcd', '-t', out, '--copy')).status, 0);
    assert.equal(existsSync(join(out, 'usr/bin/etcd')), true);
  });

  it('updates when the release is replaced, by a difference from what is here', async () => {
    assert.equal(at(await json('update'), 'apps', 0, 'action'), 'unchanged');
    const next = app('etcd', 12);
    await release('etcd', next, `--from=${etcd}`);
    github.resetCounts();
    const updated = await json('update', 'etcd');
    assert.equal(at(updated, 'apps', 0, 'action'), 'updated', JSON.stringify(updated));
    assert.equal(
      github.requests.some(({ file }) => file === 'delta_base.tar'),
      false,
    );
    assert.equal(github.count('api'), 0);
    const rootfs = join(rig.store, 'apps/etcd/current/rootfs');
    assert.deepEqual(readFileSync(join(rootfs, 'usr/bin/etcd')), noise(50_000, 12));
    // Both are of one day and so of one version: the older one has to stay whole all the same.
    assert.equal((await run('gc')).status, 0);
    const sound = await run('fsck');
    assert.equal(sound.status, 0, sound.stdout + sound.stderr);
    assert.equal((await run('rollback', 'etcd')).status, 0);
    assert.deepEqual(readFileSync(join(rootfs, 'usr/bin/etcd')), noise(50_000, 10));
    assert.equal((await run('install', '-f', 'old/etcd')).status, 0);
    assert.deepEqual(await namesIn(join(rig.store, 'apps/etcd')), ['3', 'current']);
    assert.equal((await run('gc')).status, 0);
    const checked = await run('fsck', '--repair');
    assert.equal(checked.status, 0, checked.stdout + checked.stderr);
  });

  it('refuses what is not the tree that its sum names, and keeps what is installed', async () => {
    const files = { 'etcd.tar': releases.tarOf(app('etcd', 13), '--empty'), 'etcd.sum': releases.sumOf(trunk) };
    for (const [id, { tag }] of apps.releases) if (tag === 'etcd') apps.releases.delete(id);
    await releases.publish(apps, 'etcd', files);
    const listed = (await run('ls')).stdout;
    await fails('BUNDLE_CORRUPT', 'install', 'old/etcd', '-f');
    const { status, stderr } = await run('feed', 'refresh', 'old');
    assert.equal(status, 0);
    assert.match(stderr, /etcd is left out: .*its tree is/);
    assert.equal((await run('ls')).stdout, listed);
    github.fail('web/tag-download', { kind: 'status', status: 503 }, { file: 'znc.sum', times: 99 });
    const offline = await run('install', 'znc');
    github.clearFaults();
    assert.match(offline.stdout, /is installed already/);
    assert.match(offline.stderr, /cannot be reached/);
    assert.deepEqual(github.violations, []);
  });
});
