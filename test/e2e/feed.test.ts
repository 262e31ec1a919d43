import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type BuildRepo, createBuildRepo } from '../support/build-repo.js';
import { type FeedServer, serveDirectory } from '../support/feed-server.js';
import { at } from '../support/json.js';
import { createRig, listTree, projectRoot, type Rig, type RunOptions } from '../support/rig.js';

describe('feeds over HTTP', () => {
  let rig: Rig;
  let built: BuildRepo;
  let server: FeedServer;
  let feed: string;
  let publisher: RunOptions;
  let base: { name: string; range: string; version: string; commit: string };

  const ok = async (args: readonly string[], options?: RunOptions): Promise<string> => {
    const result = await rig.trees(args, options);
    assert.equal(result.status, 0, `trees ${args.join(' ')}: ${result.stderr}`);
    return result.stdout;
  };
  const buildApp = async (version: string): Promise<string> => {
    const files = {
      'usr/bin/hello': `#!/bin/sh\necho ${version}\n`,
      'usr/share/data': `data of ${version} `.repeat(5000),
    };
    return await built.commit({ kind: 'layer', name: 'hello', version, base, files });
  };
  const publish = async (...options: string[]): Promise<string> =>
    await ok(['release', '--to', `dir:${feed}`, '--key', rig.path('k.key'), ...options], publisher);
  /** Expects a refusal with `code` on stdout as JSON, and a client that is as it was. */
  const refused = async (args: readonly string[], code: string, options?: RunOptions): Promise<void> => {
    const untouched = await listTree(rig.store);
    const result = await rig.trees([...args, '--json'], options);
    assert.equal(result.status, 1, result.stderr);
    assert.equal(at(JSON.parse(result.stdout), 'error', 'code'), code, result.stderr);
    assert.match(result.stderr, /^error: .+: .+\nhint: .+/m);
    assert.equal(await listTree(rig.store), untouched);
  };
  /** Runs `act` and puts the feed back to what it was. */
  const andBack = async (act: () => Promise<void>): Promise<void> => {
    const kept = rig.path('kept');
    await cp(feed, kept, { recursive: true });
    try {
      await act();
    } finally {
      await rm(feed, { recursive: true });
      await cp(kept, feed, { recursive: true });
      await rm(kept, { recursive: true });
    }
  };
  const edit = async (name: string, change: (text: string) => string): Promise<void> => {
    const path = join(feed, name);
    await writeFile(path, change(await readFile(path, 'utf8')));
  };

  before(async () => {
    rig = await createRig();
    feed = rig.path('feed');
    publisher = { env: { TREES_ROOT: rig.path('publisher') } };
    built = await createBuildRepo(rig.path('publisher/var/lib/trees'));
    const files = { 'bin/sh': 'not a shell\n', 'etc/os': 'debian\n' };
    const commit = await built.commit({ kind: 'base', name: 'deb', version: '12.0.0', files });
    base = { name: 'deb', range: '^12', version: '12.0.0', commit };
    await buildApp('1.0.0');
    await ok(['key', 'generate', '-o', rig.path('k.key')]);
    await ok(['key', 'generate', '-o', rig.path('other.key')]);
    await publish();
    server = await serveDirectory(feed);
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    await rig[Symbol.asyncDispose]();
  });

  const add = (...options: string[]): string[] => ['feed', 'add', server.origin, '--name', 'f', ...options];
  const key = (): string[] => ['--key', rig.path('k.pub')];

  it('refuses a feed that must not be trusted', async () => {
    await refused(add('--key', rig.path('other.pub')), 'FEED_UNTRUSTED');
    await refused(add(), 'NOT_CONFIRMED');
    await andBack(async () => {
      await edit('index.json', (text) => text.replace('"1.0.0"', '"1.0.1"'));
      await refused(add(...key()), 'SIGNATURE_INVALID');
    });
    await andBack(async () => {
      await edit('index.json.minisig', (text) => text.replace('sequence:1', 'sequence:2'));
      await refused(add(...key()), 'SIGNATURE_INVALID');
    });
    await andBack(async () => {
      await rm(join(feed, 'index.json.minisig'));
      await refused(add(...key()), 'FEED_UNTRUSTED');
    });
    await andBack(async () => {
      await truncate(join(feed, 'index.json'), 100);
      await refused(add(...key()), 'SIGNATURE_INVALID');
    });
  });

  it('adds a feed on an explicit yes, and shows it', async () => {
    const added = await rig.trees(add('--yes'));
    assert.equal(added.status, 0, added.stderr);
    const shown = await ok(['key', 'show', rig.path('k.pub')]);
    const fingerprint = /SHA256:\S+/.exec(shown)?.[0] ?? 'none';
    assert.ok(added.stderr.includes(fingerprint), added.stderr);
    const listed = await rig.json(['feed', 'ls']);
    assert.equal(at(listed, 'feeds', 0, 'name'), 'f');
    assert.equal(at(listed, 'feeds', 0, 'url'), `${server.origin}/`);
    assert.equal(at(listed, 'feeds', 0, 'keys', 0, 'fingerprint'), fingerprint);
    assert.equal(at(listed, 'feeds', 0, 'index', 'sequence'), 1);
    const found = await rig.json(['search', 'hel']);
    assert.deepEqual([at(found, 'apps', 0, 'name'), at(found, 'apps', 0, 'version')], ['hello', '1.0.0']);
  });

  it('installs over HTTP, through broken connections', async () => {
    const bundles = (await readdir(feed)).filter((file) => file.endsWith('.zst'));
    for (const file of bundles) server.fail(file, { kind: 'cut', after: 150 });
    await ok(['install', 'hello']);
    assert.ok(server.seen.some(({ range }) => range !== undefined));
    await rig.ostree(['fsck', '--quiet', `--repo=${rig.repo}`]);
    assert.equal(at(await rig.json(['search', 'hello']), 'apps', 0, 'installed'), '1.0.0');
    await refused(['feed', 'rm', 'f'], 'IN_USE');
  });

  it('refuses to go back', async () => {
    const old = rig.path('old');
    await cp(feed, old, { recursive: true });
    await buildApp('1.1.0');
    await publish();
    await ok(['feed', 'refresh']);
    await andBack(async () => {
      await rm(feed, { recursive: true });
      await cp(old, feed, { recursive: true });
      await refused(['feed', 'refresh', 'f'], 'INDEX_REPLAYED');
      await refused(['install', 'hello'], 'INDEX_REPLAYED');
    });
    const text = await ok(['feed', 'refresh']);
    assert.match(text, /^f: no news, index 2$/m);
  });

  it('refuses bundles that were cut short, keeps what is installed, and recovers', async () => {
    await andBack(async () => {
      for (const file of (await readdir(feed)).filter((name) => name.endsWith('.zst')))
        await truncate(join(feed, file), 100);
      const before = await rig.ostree(['refs', `--repo=${rig.repo}`]);
      const result = await rig.trees(['install', 'hello', '--json']);
      assert.equal(result.status, 1);
      assert.equal(at(JSON.parse(result.stdout), 'error', 'code'), 'BUNDLE_CORRUPT');
      assert.equal(await rig.ostree(['refs', `--repo=${rig.repo}`]), before);
      assert.equal(at(await rig.json(['ls']), 'apps', 0, 'version'), '1.0.0');
      assert.deepEqual(await readdir(join(rig.store, 'downloads')), []);
    });
    await ok(['install', 'hello']);
    assert.equal(at(await rig.json(['ls']), 'apps', 0, 'version'), '1.1.0');
    await rig.ostree(['fsck', '--quiet', `--repo=${rig.repo}`]);
  });

  it('uses the index it has while the server is away', async () => {
    server.fail('index.json', ...Array.from({ length: 20 }, () => ({ kind: 'status', status: 503 }) as const));
    await refused(['feed', 'refresh', 'f'], 'FEED_UNREACHABLE');
    const result = await rig.trees(['install', 'hello', '--json']);
    server.fail('index.json');
    assert.equal(result.status, 0, result.stderr);
    assert.match(result.stderr, /503/);
  });

  it('publishes whole releases or none, however often it is killed', async () => {
    const args = ['release', '--to', `dir:${feed}`, '--key', rig.path('k.key')];
    const binary = join(projectRoot, 'dist/cli/bin.js');
    for (let round = 0; round < 6; round += 1) {
      await buildApp(`2.0.${round}`);
      const child = spawn(process.execPath, [binary, ...args], {
        env: { ...process.env, NODE_EXTRA_CA_CERTS: undefined, ...publisher.env },
        stdio: 'ignore',
      });
      const ended = new Promise((resolve) => {
        child.on('exit', resolve);
      });
      await sleep(150 + round * 150);
      child.kill('SIGKILL');
      await ended;
      await ok(['feed', 'refresh', 'f']);
    }
    await publish();
    await ok(['install', 'hello']);
    assert.equal(at(await rig.json(['ls']), 'apps', 0, 'version'), '2.0.5');
    assert.deepEqual(
      (await readdir(feed)).filter((file) => file.startsWith('.') || file.includes('tmp') || file.endsWith('.next')),
      ['.trees-publish.lock'],
    );
    await rig.ostree(['fsck', '--quiet', `--repo=${rig.repo}`]);
  });
});
