import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { type BuildRepo, createBuildRepo } from '../support/build-repo.js';
import { type FeedServer, serveDirectory } from '../support/feed-server.js';
import { at } from '../support/json.js';
import { createRig, type Rig, type RunOptions, runProgram } from '../support/rig.js';

describe('trees key rotate', () => {
  let rig: Rig;
  let built: BuildRepo;
  let server: FeedServer;
  let publisher: RunOptions;
  let base: { name: string; range: string; version: string; commit: string };

  const buildApp = async (version: string): Promise<void> => {
    const files = { 'usr/share/data': `data of ${version} `.repeat(5000) };
    await built.commit({ kind: 'layer', name: 'hello', version, base, files });
  };
  const release = (key: string, ...more: string[]): string[] => [
    'release',
    '--to',
    `dir:${rig.path('feed')}`,
    '--key',
    rig.path(`${key}.key`),
    ...more,
  ];
  const rotate = (old: string, next: string): string[] => [
    'key',
    'rotate',
    rig.path(`${old}.key`),
    rig.path(`${next}.key`),
    `dir:${rig.path('feed')}`,
    '-o',
    rig.path('successors.json'),
  ];
  const code = async (args: readonly string[], options?: RunOptions): Promise<unknown> => {
    const result = await rig.trees([...args, '--json'], options);
    assert.equal(result.status, 1, result.stderr);
    assert.match(result.stderr, /^error: .+: .+\nhint: .+/m);
    return at(JSON.parse(result.stdout), 'error', 'code');
  };

  before(async () => {
    rig = await createRig();
    publisher = { env: { TREES_ROOT: rig.path('publisher') } };
    built = await createBuildRepo(rig.path('publisher/var/lib/trees'));
    const commit = await built.commit({
      kind: 'base',
      name: 'deb',
      version: '12.0.0',
      files: { 'etc/os': 'debian\n' },
    });
    base = { name: 'deb', range: '^12', version: '12.0.0', commit };
    await buildApp('1.0.0');
    for (const name of ['one', 'two', 'three']) await rig.json(['key', 'generate', '-o', rig.path(`${name}.key`)]);
    await rig.json(release('one'), publisher);
    server = await serveDirectory(rig.path('feed'));
    await rig.json(['feed', 'add', `${server.origin}/`, '--name', 'f', '--key', rig.path('one.pub')]);
    await rig.json(['install', 'hello']);
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    await rig[Symbol.asyncDispose]();
  });

  it('refuses to publish with a key that nobody has named', async () => {
    assert.equal(await code(release('two'), publisher), 'FEED_UNTRUSTED');
    assert.equal(await code(rotate('one', 'one')), 'KEY_INVALID');
    assert.equal(await code(rotate('two', 'three')), 'FEED_UNTRUSTED');
  });

  it('writes a statement that minisign verifies', async (context) => {
    const rotated = await rig.json(rotate('one', 'two'));
    const text = await readFile(rig.path('successors.json'), 'utf8');
    const document: unknown = JSON.parse(text);
    assert.equal(at(document, 'statements', 0, 'statement'), at(rotated, 'statement'));
    if ((await runProgram('sh', ['-c', 'command -v minisign'])).status !== 0) {
      context.skip('minisign is missing');
      return;
    }
    await writeFile(rig.path('statement'), String(at(rotated, 'statement')));
    for (const [member, key, status] of [
      ['oldSignature', 'one', 0],
      ['newSignature', 'two', 0],
      ['oldSignature', 'two', 1],
    ] as const) {
      await writeFile(rig.path('statement.minisig'), String(at(document, 'statements', 0, member)));
      const args = ['-Vm', rig.path('statement'), '-p', rig.path(`${key}.pub`)];
      const verified = await runProgram('minisign', args);
      assert.equal(verified.status, status, verified.stderr);
    }
  });

  it('leads those who trust the old key to the new one', async () => {
    const published = await rig.json(release('two', '--successors', rig.path('successors.json')), publisher);
    assert.equal(at(published, 'sequence'), 2, JSON.stringify(published));
    const refreshed = await rig.trees(['feed', 'refresh', 'f']);
    assert.equal(refreshed.status, 0, refreshed.stderr);
    assert.match(refreshed.stderr, /feed f has a new key: .+ its successor/);
    const listed = await rig.json(['feed', 'ls']);
    const shown = await rig.json(['key', 'show', rig.path('two.pub')]);
    assert.equal(at(listed, 'feeds', 0, 'keys', 0, 'id'), at(shown, 'id'));
    assert.equal(at(listed, 'feeds', 0, 'keys', 1), undefined);
    assert.equal(at(listed, 'feeds', 0, 'problem'), null);
    const again = await rig.trees(['feed', 'refresh', 'f']);
    assert.doesNotMatch(again.stderr, /new key/);
    assert.equal(await code(release('one'), publisher), 'FEED_UNTRUSTED');
  });

  it('goes on with the new key: releases, updates, newcomers with either key, mirrors, checks', async () => {
    await buildApp('1.1.0');
    await rig.json(release('two'), publisher);
    await rig.json(['update']);
    assert.equal(at(await rig.json(['ls']), 'apps', 0, 'version'), '1.1.0');
    await rig.json(['feed', 'mirror', 'f', rig.path('mirror')]);
    for (const key of ['one', 'two']) {
      const other = { env: { TREES_ROOT: rig.path(`by-${key}`) } };
      await rig.json(['feed', 'add', `dir:${rig.path('mirror')}`, '--key', rig.path(`${key}.pub`)], other);
      // Its bundle was made, and its commit signed, before the key was changed.
      await rig.json(['install', 'hello@1.0.0'], other);
      assert.equal(at(await rig.json(['ls'], other), 'apps', 0, 'version'), '1.0.0');
    }
    const verified = await rig.json(['release', 'verify', `dir:${rig.path('feed')}`, '--key', rig.path('two.pub')]);
    assert.deepEqual(at(verified, 'problems'), []);
    // Who knows only the first key is led on there, too, and told.
    const line = ['release', 'verify', `dir:${rig.path('feed')}`, '--key', rig.path('one.pub'), '--json'];
    const followed = await rig.trees(line);
    assert.equal(at(JSON.parse(followed.stdout), 'key'), at(verified, 'key'), followed.stderr);
    assert.match(followed.stderr, /has a new key: .+ has named its successor/);
    const shown = await rig.json(['key', 'show', rig.path('two.pub')]);
    await rig.json([
      'release',
      'catalog',
      `dir:${rig.path('feed')}`,
      '--key',
      rig.path('one.pub'),
      '-o',
      rig.path('page'),
    ]);
    assert.ok((await readFile(rig.path('page/index.html'), 'utf8')).includes(String(at(shown, 'fingerprint'))));
    assert.equal(await code(rotate('one', 'three')), 'KEY_INVALID');
  });

  it('leads over several keys, also who starts publishing on an empty machine', async () => {
    await built.reset();
    const files = { 'usr/share/data': 'data of 1.2.0 '.repeat(5000) };
    const commit = await built.commit({
      kind: 'base',
      name: 'deb',
      version: '12.0.0',
      files: { 'etc/os': 'debian\n' },
    });
    await built.commit({ kind: 'layer', name: 'hello', version: '1.2.0', base: { ...base, commit }, files });
    assert.equal(at(await rig.json(rotate('two', 'three')), 'statements'), 2);
    await rig.json(release('three', '--successors', rig.path('successors.json')), publisher);
    await rig.json(['update']);
    assert.equal(at(await rig.json(['ls']), 'apps', 0, 'version'), '1.2.0');
    const late = { env: { TREES_ROOT: rig.path('by-one') } };
    await rig.json(['feed', 'mirror', `dir:${rig.path('feed')}`, rig.path('mirror'), '--key', rig.path('one.pub')]);
    await rig.json(['update'], late);
    assert.equal(at(await rig.json(['ls'], late), 'apps', 0, 'version'), '1.2.0');
    await rig.ostree(['fsck', '--quiet', `--repo=${rig.repo}`]);
  });
});
