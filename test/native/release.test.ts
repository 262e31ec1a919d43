import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { generateKeyPair, readSecretKey } from '../../releases/key-file.js';
import { proveBundle } from '../../releases/prove.js';
import { bundleInfo } from '../../trees/delta/index.js';
import { verifyCommitSignature } from '../../trees/feed/commit-signature.js';
import { addFeed, refreshFeed } from '../../trees/feed/feeds.js';
import { planPaths } from '../../trees/feed/path.js';
import type { BundleEntry, FeedIndex } from '../../trees/feed/schema.js';
import { Repo } from '../../trees/ostree/index.js';
import { composeTree } from '../../trees/store/compose.js';
import { ostree } from '../support/build-repo.js';
import { failsWith, snapshot } from '../support/feed-fixture.js';
import { createPublisher, type Publisher, program } from '../support/release-publisher.js';

const mode = process.geteuid?.() === 0 ? 'bare' : 'bare-user';
const hasZstd = spawnSync('zstd', ['--version']).error === undefined;

/** Runs `act`, expects it to fail with `code`, and shows that the feed is as it was. */
async function feedStays(
  publisher: Publisher,
  act: () => Promise<unknown>,
  code: string,
  message?: RegExp,
): Promise<void> {
  const before = await snapshot(join(publisher.dir, 'out'));
  await assert.rejects(act, failsWith(code, message));
  assert.deepEqual(await snapshot(join(publisher.dir, 'out')), before);
}

const bundlesOf = (index: FeedIndex): string[] =>
  index.bundles.map(({ from, to }) => `${from ?? 'nothing'} → ${to}`).sort();

async function bundleFiles(publisher: Publisher): Promise<string[]> {
  return (await readdir(publisher.feed)).filter((file) => file.endsWith('.zst')).sort();
}

describe('the first release', () => {
  it('publishes an index that minisign and a client accept', async () => {
    await using publisher = await createPublisher();
    const result = await publisher.release();
    assert.equal(result.status, 'published');
    const index = await publisher.index();
    assert.equal(index.sequence, 1);
    assert.deepEqual(Object.keys(index.apps), ['etcd']);
    assert.deepEqual((await bundleFiles(publisher)).length, index.bundles.length);
    const left = (await readdir(publisher.feed)).filter((file) => file.startsWith('.'));
    assert.deepEqual(left, ['.trees-publish.lock']);
    const root = join(publisher.dir, 'client');
    const options = { keys: [publisher.key.public], confirm: async () => await Promise.resolve(false) };
    const added = await addFeed(root, `dir:${publisher.feed}`, options);
    assert.deepEqual(added.index, index);
    if (spawnSync('minisign', ['-v']).error === undefined) {
      const [file, key] = [join(publisher.feed, 'index.json'), join(publisher.feed, 'trees.pub')];
      execFileSync('minisign', ['-V', '-q', '-m', file, '-p', key]);
    }
  });

  it('lists sizes that are true, and the tree that a client will compose', async () => {
    await using publisher = await createPublisher();
    await publisher.release();
    const { apps, bundles } = await publisher.index();
    const version = apps['etcd']?.versions[0];
    assert.ok(version);
    assert.deepEqual([version.size, version.files], [program('3.5.0').length, 2]);
    for (const bundle of bundles) {
      const info = await bundleInfo(join(publisher.feed, bundle.file));
      assert.deepEqual(
        [info.from, info.to, info.size, info.rawSize, info.writes],
        [bundle.from, bundle.to, bundle.size, bundle.rawSize, bundle.writes],
      );
      const { tail = 0 } = bundle;
      assert.ok(tail > 0 && tail <= bundle.size, `tail ${tail}`);
      verifyCommitSignature(info.commitBytes, info.detached, { keys: [publisher.key.public], checksum: bundle.to });
    }
    using repo = await Repo.open(publisher.built.repo);
    const tree = await composeTree(repo, { base: publisher.base, layers: [version.commit] });
    assert.equal(tree, version.base.tree);
    const names = await ostree('ls', `--repo=${publisher.built.repo}`, '-R', '--nul-filenames-only', tree);
    assert.ok(!names.includes('/etc/os'));
  });

  it('makes bundles that stock ostree applies', { skip: hasZstd ? false : 'zstd is not installed' }, async () => {
    await using publisher = await createPublisher();
    await publisher.buildApp('3.6.0', program('3.6.0'));
    await publisher.release({ names: ['deb'] });
    await publisher.release({ encodings: ['small'] });
    const { bundles } = await publisher.index();
    assert.deepEqual(new Set(bundles.map(({ encoding }) => encoding)), new Set(['fast', 'small']));
    for (const { file, encoding } of bundles) {
      assert.equal((await bundleInfo(join(publisher.feed, file))).encoding, encoding);
    }
    const stock = join(publisher.dir, 'stock');
    execFileSync('ostree', ['init', `--repo=${stock}`, `--mode=${mode}`]);
    for (const { file, to } of bundles) {
      const delta = join(publisher.dir, 'delta');
      execFileSync('zstd', ['-dqf', join(publisher.feed, file), '-o', delta]);
      execFileSync('ostree', ['static-delta', 'apply-offline', `--repo=${stock}`, delta], { stdio: 'pipe' });
      execFileSync('ostree', ['refs', `--repo=${stock}`, `--create=r/${to}`, '--force', to]);
    }
    execFileSync('ostree', ['fsck', '--quiet', `--repo=${stock}`]);
  });

  it('changes nothing with --dry-run', async () => {
    await using publisher = await createPublisher();
    const before = await snapshot(publisher.dir);
    const result = await publisher.release({ dryRun: true });
    assert.equal(result.status, 'published');
    assert.equal(result.made.length + result.declined.length, 3);
    assert.deepEqual(await snapshot(publisher.dir), before);
  });
});

describe('the next release', () => {
  it('is none if nothing has changed', async () => {
    await using publisher = await createPublisher();
    await publisher.release();
    const before = await snapshot(publisher.feed);
    const result = await publisher.release();
    assert.equal(result.status, 'unchanged');
    assert.deepEqual(result.made, []);
    assert.equal((await publisher.release({ names: ['etcd'] })).status, 'unchanged');
    assert.equal((await publisher.release({ dryRun: true })).status, 'unchanged');
    const after = await snapshot(publisher.feed);
    delete before[join(publisher.feed, '.trees-publish.lock')];
    delete after[join(publisher.feed, '.trees-publish.lock')];
    assert.deepEqual(after, before);
  });

  it('renews an index in the second half of its life', async () => {
    await using publisher = await createPublisher();
    await publisher.release({ expiresDays: 10 });
    const later = (days: number): Date => new Date(Date.now() + days * 24 * 60 * 60 * 1000);
    assert.equal((await publisher.release({ now: later(4) })).status, 'unchanged');
    const renewed = await publisher.release({ now: later(6) });
    assert.deepEqual([renewed.status, renewed.index.sequence], ['renewed', 2]);
    assert.deepEqual(renewed.made, []);
  });

  it('keeps what is published and adds what pays', async () => {
    await using publisher = await createPublisher();
    const first = await publisher.release();
    const old = first.index.apps['etcd']?.versions[0]?.commit ?? '';
    const files = await bundleFiles(publisher);
    const inodes = await Promise.all(files.map(async (file) => (await stat(join(publisher.feed, file))).ino));
    const commit = await publisher.buildApp('3.6.0', program('3.6.0'));
    const second = await publisher.release();
    assert.deepEqual([second.status, second.index.sequence, second.index.feed], ['published', 2, first.index.feed]);
    const now = await Promise.all(files.map(async (file) => (await stat(join(publisher.feed, file))).ino));
    assert.deepEqual(now, inodes);
    assert.ok(bundlesOf(second.index).includes(`${old} → ${commit}`));
    assert.ok(bundlesOf(second.index).includes(`nothing → ${commit}`));
    // The program is new to the base: its bundle from there is no smaller than the one from nothing.
    assert.ok(!bundlesOf(second.index).includes(`${publisher.base} → ${commit}`));
    const upgrade = planPaths(second.index.bundles, new Set([publisher.base, old]), [commit]);
    const fresh = planPaths(second.index.bundles, new Set([publisher.base]), [commit]);
    assert.ok(upgrade && fresh && upgrade.bytes * 5 < fresh.bytes, `${upgrade?.bytes} against ${fresh?.bytes}`);
  });

  it('remembers which bundles do not pay', async () => {
    await using publisher = await createPublisher();
    const first = await publisher.release();
    assert.equal(first.declined.length, 1);
    const declined = join(publisher.built.build, 'declined-bundles.json');
    const known = Object.keys(JSON.parse(await readFile(declined, 'utf8')));
    assert.equal(known.length, 1);
    // Without the memory the answer is the same, only slower.
    await rm(declined);
    assert.equal((await publisher.release()).status, 'unchanged');
    assert.deepEqual(Object.keys(JSON.parse(await readFile(declined, 'utf8'))), known);
  });

  it('drops old versions and, one release later, their files', async () => {
    await using publisher = await createPublisher();
    await publisher.release({ keep: 1 });
    const old = (await bundleFiles(publisher)).filter((file) => file.startsWith('etcd'));
    await publisher.buildApp('3.6.0', program('3.6.0'));
    const second = await publisher.release({ keep: 1 });
    assert.deepEqual(
      second.index.apps['etcd']?.versions.map(({ version }) => version),
      ['3.6.0'],
    );
    const listed = new Set(second.index.bundles.map(({ file }) => file));
    for (const file of old) assert.ok(!listed.has(file) && (await bundleFiles(publisher)).includes(file));
    await publisher.buildApp('3.7.0', program('3.7.0'));
    const third = await publisher.release({ keep: 1 });
    assert.deepEqual(third.pruned.toSorted(), old);
    for (const file of old) assert.ok(!(await bundleFiles(publisher)).includes(file));
  });

  it('takes a rebuilt version in place of the old one, and leads its users on', async () => {
    await using publisher = await createPublisher();
    const first = await publisher.release();
    const old = first.index.apps['etcd']?.versions[0]?.commit ?? '';
    const commit = await publisher.buildApp('3.5.0', program('3.5.0 rebuilt'));
    const { index } = await publisher.release();
    assert.deepEqual(
      index.apps['etcd']?.versions.map((version) => version.commit),
      [commit],
    );
    assert.ok(bundlesOf(index).includes(`${old} → ${commit}`));
    assert.ok(!index.bundles.some(({ to }) => to === old));
  });

  it('makes lost files again', async () => {
    await using publisher = await createPublisher();
    const { index } = await publisher.release();
    const [file = ''] = await bundleFiles(publisher);
    await truncate(join(publisher.feed, file), 10);
    const again = await publisher.release();
    assert.deepEqual(
      again.made.map((bundle) => bundle.file),
      [file],
    );
    assert.deepEqual(
      again.index.bundles.toSorted((a, b) => (a.file < b.file ? -1 : 1)),
      index.bundles.toSorted((a, b) => (a.file < b.file ? -1 : 1)),
    );
  });

  it('takes only what is named, with its base', async () => {
    await using publisher = await createPublisher();
    await publisher.built.commit({ kind: 'base', name: 'alp', version: '3.0.0', files: { 'bin/sh': 'x' } });
    const { index } = await publisher.release({ names: ['etcd'] });
    assert.deepEqual([Object.keys(index.bases), Object.keys(index.apps)], [['deb'], ['etcd']]);
    const wider = await publisher.release({ names: ['alp'] });
    assert.deepEqual(Object.keys(wider.index.bases), ['alp', 'deb']);
    await feedStays(publisher, () => publisher.release({ names: ['ectd'] }), 'APP_NOT_FOUND');
  });
});

describe('a release that fails', () => {
  it('leaves no trace of a feed that was not there', async () => {
    await using publisher = await createPublisher();
    const objects = execFileSync('find', [join(publisher.built.repo, 'objects'), '-name', '*.file', '-size', '+50k'], {
      encoding: 'utf8',
    });
    for (const object of objects.trim().split('\n')) await rm(object);
    await assert.rejects(publisher.release());
    await assert.rejects(stat(join(publisher.dir, 'out')), { code: 'ENOENT' });
  });

  it('leaves the feed as it was', async () => {
    await using publisher = await createPublisher();
    await publisher.release();
    await rm(join(publisher.dir, 'o.key'), { force: true });
    await generateKeyPair(
      { secret: join(publisher.dir, 'o.key'), public: join(publisher.dir, 'o.pub') },
      { force: false },
    );
    const key = await readSecretKey(join(publisher.dir, 'o.key'));
    await publisher.buildApp('3.6.0', program('3.6.0'));
    await feedStays(publisher, () => publisher.release({ key, dryRun: true }), 'FEED_UNTRUSTED', /signed by key/);
    await assert.rejects(publisher.release({ key }), failsWith('FEED_UNTRUSTED'));
    assert.equal((await publisher.index()).sequence, 1);
    const abort = new AbortController();
    abort.abort();
    await assert.rejects(publisher.release({ signal: abort.signal }));
    assert.equal((await publisher.index()).sequence, 1);
    assert.deepEqual(
      (await readdir(publisher.feed)).filter((file) => file.startsWith('.')),
      ['.trees-publish.lock'],
    );
  });

  it('refuses an app whose base was never built, and refs that are not what they say', async () => {
    await using publisher = await createPublisher();
    const base = { name: 'trub', range: '^24', version: '24.4.0', commit: publisher.base };
    await publisher.built.commit({ kind: 'layer', name: 'redis', version: '7.0.0', base, files: { x: 'x' } });
    await feedStays(publisher, () => publisher.release(), 'RELEASE_FAILED', /no base trub@\^24/);
    await ostree('refs', `--repo=${publisher.built.repo}`, '--create=base/deb/x86_64/13.0.0', publisher.base);
    await feedStays(publisher, () => publisher.release(), 'RELEASE_FAILED', /base\/deb\/x86_64\/13\.0\.0/);
  });
});

describe('proving a bundle', () => {
  it('refuses damaged bytes, the wrong origin, a wrong digest and a missing signature', async () => {
    await using publisher = await createPublisher();
    const commit = await publisher.buildApp('3.6.0', program('3.6.0'));
    const { index } = await publisher.release();
    const good = index.bundles.find(({ from, to }) => from !== null && to === commit);
    assert.ok(good);
    using repo = await Repo.open(publisher.built.repo);
    const options = { repo, keys: [publisher.key.public], scratch: publisher.dir };
    const path = join(publisher.feed, good.file);
    await proveBundle(path, good, options);
    const refused = async (bytes: Buffer, entry: BundleEntry = good, key = publisher.key.public): Promise<void> => {
      const file = join(publisher.dir, 'damaged');
      await writeFile(file, bytes);
      await assert.rejects(
        proveBundle(file, entry, { ...options, keys: [key] }),
        failsWith('RELEASE_FAILED', /does not apply/),
      );
    };
    const bytes = await readFile(path);
    const damaged = Buffer.from(bytes);
    damaged.writeUInt8(damaged.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1);
    await refused(damaged);
    await refused(bytes.subarray(0, -20));
    await refused(bytes, { ...good, from: publisher.base });
    await refused(bytes, { ...good, to: publisher.base });
    await refused(bytes, { ...good, sha256: '0'.repeat(64) });
    await refused(bytes, good, { id: publisher.key.public.id, key: randomBytes(32) });
    assert.deepEqual(
      (await readdir(publisher.dir)).filter((name) => name.startsWith('proof-')),
      [],
    );
    execFileSync('ostree', ['fsck', '--quiet', `--repo=${publisher.built.repo}`]);
  });
});

describe('publishing', () => {
  it('is done by one at a time', async () => {
    await using publisher = await createPublisher();
    const results = await Promise.all([publisher.release(), publisher.release(), publisher.release()]);
    assert.deepEqual(results.map(({ status }) => status).sort(), ['published', 'unchanged', 'unchanged']);
    assert.equal((await publisher.index()).sequence, 1);
  });

  it('goes on from a switch that was cut short, at whichever step', async () => {
    await using publisher = await createPublisher();
    await publisher.release();
    const root = join(publisher.dir, 'client');
    const options = { keys: [publisher.key.public], confirm: async () => await Promise.resolve(false) };
    const { feed } = await addFeed(root, `dir:${publisher.feed}`, options);
    const at = (name: string): string => join(publisher.feed, name);
    const saved = { index: await readFile(at('index.json')), signature: await readFile(at('index.json.minisig')) };
    await publisher.buildApp('3.6.0', program('3.6.0'));
    await publisher.release();
    // Cut after the signature was renamed: the old index, the new signature, and the new index beside it.
    await rename(at('index.json'), at('index.json.next'));
    await writeFile(at('index.json'), saved.index);
    assert.equal((await refreshFeed(root, feed)).index.sequence, 2);
    const again = await publisher.release();
    assert.deepEqual([again.status, again.index.sequence], ['unchanged', 2]);
    assert.equal((await publisher.index()).sequence, 2);
    await assert.rejects(stat(at('index.json.next')), { code: 'ENOENT' });
    // Cut before it: a new index that nothing was signed for yet.
    await writeFile(at('index.json.next'), 'half an ind');
    await mkdir(at('.trees-publish-killed'));
    assert.equal((await publisher.release()).status, 'unchanged');
    await assert.rejects(stat(at('index.json.next')), { code: 'ENOENT' });
    await assert.rejects(stat(at('.trees-publish-killed')), { code: 'ENOENT' });
  });
});
