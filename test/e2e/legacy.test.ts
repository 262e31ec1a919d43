import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { storePaths } from '../../trees/store/paths.js';
import { commitTree, noise } from '../support/delta-fixture.js';
import { createFakeGithub, type FakeGithub, type Repository } from '../support/fake-github.js';
import { at } from '../support/json.js';
import { createLegacyReleases, type LegacyReleases } from '../support/legacy-releases.js';
import { createRig, listTree, type Rig, type RunResult } from '../support/rig.js';

/** Releases as the original project made them: untoreh/trees and untoreh/pine. */
describe('releases of the original project', () => {
  let rig: Rig;
  let github: FakeGithub;
  let trees: Repository;
  let releases: LegacyReleases;
  let commits: { trunk: string; app: string; other: string };

  const install = async (...args: string[]): Promise<RunResult> =>
    await rig.trees(['bundle', 'install', ...args, '--json'], { env: releases.env });
  const ok = async (...args: string[]): Promise<unknown> => {
    const { status, stdout, stderr } = await install(...args);
    assert.equal(status, 0, stderr);
    return JSON.parse(stdout);
  };
  const refused = async (code: string, ...args: string[]): Promise<void> => {
    const { status, stdout, stderr } = await install(...args);
    assert.equal(status, code === 'USAGE' ? 2 : 1, stdout);
    assert.equal(at(JSON.parse(stdout), 'error', 'code'), code, stderr);
    assert.match(stderr, /^error: .+\nhint: .+/m);
    assert.deepEqual(readdirSync(storePaths(rig.store).downloads), []);
  };

  before(async () => {
    rig = await createRig();
    github = await createFakeGithub();
    releases = createLegacyReleases(rig.dir, github);
    const { repo, tarOf, sumOf, publish } = releases;
    const busybox = { content: noise(70_000, 9), mode: 0o755 };
    const trunk = commitTree(repo, 'trunk', { 'usr/bin/busybox': busybox });
    const etcd = { content: noise(50_000, 10), mode: 0o755 };
    const app = commitTree(repo, 'etcd', { 'usr/bin/busybox': busybox, 'usr/bin/etcd': etcd });
    const other = commitTree(repo, 'nginx', { 'usr/bin/busybox': busybox, 'usr/bin/nginx': etcd });
    commits = { trunk, app, other };
    trees = github.createRepository('untoreh', 'trees');
    const tar = tarOf(app, `--from=${trunk}`);
    await publish(trees, 'etcd', { 'etcd.tar': tar, 'etcd.sum': sumOf(app) });
    await publish(trees, 'etcd-17.08-1', { 'etcd.tar': tar, 'etcd.sum': sumOf(app) });
    await publish(trees, 'nginx', { 'nginx.tar': tarOf(other, '--empty'), 'nginx.sum': sumOf(app) });
    await publish(trees, 'hhvm', { 'hhvm.tar': tarOf(other, '--empty') });
    await publish(trees, 'znc', { 'znc.tar': Buffer.from('no tar'), 'znc.sum': sumOf(app) });
    await publish(trees, 'borg', { 'borg.tar': tar, 'borg.sum': Buffer.from('not a sum\n') });
    const pine = github.createRepository('untoreh', 'pine');
    await publish(pine, '17.08-3', { 'delta_base.tar': tarOf(trunk, '--empty'), 'pine.sum': sumOf(trunk) });
  });
  after(async () => {
    await github[Symbol.asyncDispose]();
    await rig[Symbol.asyncDispose]();
  });

  it('asks before it takes what nobody has signed', async () => {
    const before = await listTree(rig.root);
    const result = await install('legacy:untoreh/trees/etcd');
    assert.equal(at(JSON.parse(result.stdout), 'error', 'code'), 'NOT_CONFIRMED');
    assert.match(result.stderr, /Nobody has signed legacy:untoreh\/trees\/etcd/);
    assert.equal(await listTree(rig.root), before);
  });

  it('installs a base and the app that starts from it, without the API', async () => {
    const base = await ok('legacy:untoreh/pine/pine', '--as', 'base', '--trust-unsigned');
    assert.deepEqual([at(base, 'kind'), at(base, 'name'), at(base, 'to')], ['base', 'pine', commits.trunk]);
    const app = await ok('legacy:untoreh/trees/etcd', '--yes');
    assert.deepEqual(
      ['action', 'kind', 'name', 'to', 'signedBy', 'generation'].map((key) => at(app, key)),
      ['installed', 'tree', 'etcd', commits.app, null, 1],
    );
    assert.deepEqual(readFileSync(join(String(at(app, 'rootfs')), 'usr/bin/etcd')), noise(50_000, 10));
    const again = await ok('legacy:untoreh/trees/etcd@etcd-17.08-1', '--trust-unsigned');
    assert.equal(at(again, 'action'), 'unchanged');
    assert.equal(github.count('api'), 0);
    await rig.ostree(['fsck', '--quiet', `--repo=${rig.repo}`]);
    assert.deepEqual(readdirSync(storePaths(rig.store).downloads), []);
  });

  it('goes on where the connection broke, or starts again where the server cannot', async () => {
    const broken = { kind: 'reset', after: 20_000 } as const;
    for (const next of [{ kind: 'expired', status: 618 }, { kind: 'no-range' }] as const) {
      github.fail('cdn/download', broken, { file: 'etcd.tar' });
      github.fail('cdn/download', next, { file: 'etcd.tar' });
      const installed = await ok('legacy:untoreh/trees/etcd', '--trust-unsigned', '--as', 'app', '--name', next.kind);
      assert.equal(at(installed, 'to'), commits.app);
      assert.equal(github.faultsLeft(), 0);
    }
    assert.deepEqual(github.violations, []);
  });

  it('refuses what is not the tree that the sum names, and what is no release', async () => {
    const installed = at(await rig.json(['ls']), 'apps');
    await refused('BUNDLE_CORRUPT', 'legacy:untoreh/trees/nginx', '--trust-unsigned');
    await refused('FEED_UNREACHABLE', 'legacy:untoreh/trees/hhvm', '--trust-unsigned');
    await refused('FEED_UNREACHABLE', 'legacy:untoreh/trees/tidb', '--trust-unsigned');
    await refused('BUNDLE_CORRUPT', 'legacy:untoreh/trees/znc', '--trust-unsigned');
    await refused('BUNDLE_CORRUPT', 'legacy:untoreh/trees/borg', '--trust-unsigned');
    await refused('USAGE', 'legacy:untoreh/trees', '--trust-unsigned');
    assert.deepEqual(at(await rig.json(['ls']), 'apps'), installed);
    await rig.ostree(['fsck', '--quiet', `--repo=${rig.repo}`]);
  });
});
