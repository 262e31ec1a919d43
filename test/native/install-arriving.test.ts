import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { basename, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { addFeed } from '../../trees/feed/feeds.js';
import type { BundleEntry } from '../../trees/feed/schema.js';
import type { Checksum } from '../../trees/ostree/types.js';
import { installApp } from '../../trees/store/install.js';
import type { StorePaths } from '../../trees/store/paths.js';
import { noise } from '../support/delta-fixture.js';
import type { Edge } from '../support/plain-publisher.js';
import { assertSound, createStoreFixture, currentTree, publishTool } from '../support/store-fixture.js';

/** Serves a directory; of one file everything but the last byte, until told to go on. */
async function createServerThatHolds(t: TestContext, directory: string) {
  const requests: Array<{ file: string; range: string | undefined }> = [];
  const held = new Set<string>();
  async function answer({ url = '/', headers }: IncomingMessage, response: ServerResponse): Promise<void> {
    const file = basename(decodeURIComponent(url));
    requests.push({ file, range: headers.range });
    const path = join(directory, file);
    const bytes = statSync(path, { throwIfNoEntry: false })?.isFile() === true ? readFileSync(path) : undefined;
    if (bytes === undefined) {
      response.writeHead(404).end();
      return;
    }
    const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '') ?? [];
    const start = Number(first ?? 0);
    const end = last === undefined || last === '' ? bytes.length : Number(last) + 1;
    const range = first === undefined ? {} : { 'content-range': `bytes ${start}-${end - 1}/${bytes.length}` };
    response.writeHead(first === undefined ? 200 : 206, { 'content-length': end - start, ...range });
    // Not the tail, which is asked for by itself.
    if (held.has(file) && start === 0) {
      response.write(bytes.subarray(start, end - 1));
      while (held.has(file)) await sleep(5);
      response.end(bytes.subarray(end - 1, end));
      return;
    }
    response.end(bytes.subarray(start, end));
  }
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  t.after(() => {
    held.clear();
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return { origin: `http://127.0.0.1:${address.port}/`, requests, held };
}

const LARGE = { 'usr/lib/large': noise(300_000, 3).toString('latin1') };

interface Commits {
  readonly base: Checksum;
  readonly layer: Checksum;
  /** An earlier base. */
  readonly older: Checksum;
}

const onBase = ({ base, layer }: Commits): Edge[] => [
  [null, base],
  [base, layer],
];

async function fixture(t: TestContext, edges: (commits: Commits) => readonly Edge[] = onBase) {
  const store = await createStoreFixture();
  t.after(async () => await store[Symbol.asyncDispose]());
  const older = await store.publisher.base('deb', '11.0.0', LARGE);
  const { base, v1 } = await publishTool(store, LARGE);
  const index = await store.publisher.publish(edges({ base, layer: v1, older }));
  const server = await createServerThatHolds(t, store.feed.feed);
  const { root } = store.paths;
  await addFeed(root, server.origin, {
    name: 'test',
    keys: [store.feed.key.public],
    confirm: async () => await Promise.resolve(false),
  });
  const bundleTo = (commit: Checksum, from?: Checksum): BundleEntry => {
    const found = index.bundles.find((bundle) => bundle.to === commit && (bundle.from ?? undefined) === from);
    assert.ok(found !== undefined);
    return found;
  };
  const { feed, paths } = store;
  const installTool = async () => await installApp(store.options('tool@1'));
  const damage = ({ file }: BundleEntry): void => {
    const path = join(feed.feed, file);
    const bytes = readFileSync(path);
    const at = Math.floor(bytes.length / 5);
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    writeFileSync(path, bytes);
  };
  const commits = { base, layer: v1, older };
  const isOn = edges === onBase;
  return {
    feed,
    paths,
    server,
    installTool,
    damage,
    bundleTo,
    commits,
    base: bundleTo(base),
    layer: bundleTo(v1, isOn ? base : undefined),
  };
}

async function until(isSo: () => boolean, working: Promise<unknown>): Promise<void> {
  let done = false;
  const ended = (): void => {
    done = true;
  };
  working.then(ended, ended);
  while (!isSo()) {
    assert.equal(done, false, 'it ended before');
    await sleep(10);
  }
}

const hasCommit = ({ repo }: StorePaths, commit: Checksum): boolean =>
  existsSync(join(repo, 'objects', commit.slice(0, 2), `${commit.slice(2)}.commit`));

function stagedFiles(repo: string): string[] {
  return readdirSync(join(repo, 'tmp'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.file'));
}

test('objects are written while the server still sends', async (t) => {
  const { base, layer, installTool, paths, server } = await fixture(t);
  server.held.add(base.file);
  const installing = installTool();
  const repo = paths.repo;
  await until(() => existsSync(join(repo, 'tmp')) && stagedFiles(repo).length > 0, installing);
  await until(() => server.requests.some(({ file }) => file === layer.file), installing);
  assert.equal(hasCommit(paths, layer.to), false, 'it builds on what is not there yet');
  server.held.delete(base.file);
  const { bundles, fallback } = await installing;
  assert.deepEqual(bundles, [base.file, layer.file]);
  assert.deepEqual(fallback, []);
  assert.equal(currentTree(paths, 'tool').tree['usr/bin/tool'], 'tool one\n');
  assert.deepEqual(readdirSync(paths.downloads), []);
  await assertSound(paths);
});

test('what an earlier run left is applied without being fetched again', async (t) => {
  const { base, feed, installTool, paths, server } = await fixture(t);
  const bytes = readFileSync(join(feed.feed, base.file));
  mkdirSync(paths.downloads, { recursive: true });
  writeFileSync(join(paths.downloads, `${base.sha256}.partial`), bytes.subarray(0, 100_000));
  await installTool();
  const ranges = server.requests.filter(({ file }) => file === base.file).map(({ range }) => range);
  assert.ok(ranges.includes('bytes=100000-') || ranges.includes(`bytes=100000-${bytes.length - 1}`), ranges.join(', '));
  assert.equal(ranges.includes(undefined), false, 'never the whole file');
  await assertSound(paths);
});

test('what an earlier run left and is damaged is fetched again, and applied then', async (t) => {
  const { base, feed, installTool, paths } = await fixture(t);
  const bytes = readFileSync(join(feed.feed, base.file)).subarray(0, 100_000);
  for (const at of [5000, 50_000]) bytes[at] = (bytes[at] ?? 0) ^ 255;
  mkdirSync(paths.downloads, { recursive: true });
  writeFileSync(join(paths.downloads, `${base.sha256}.partial`), bytes);
  const { fallback } = await installTool();
  assert.deepEqual(fallback, []);
  assert.equal(currentTree(paths, 'tool').tree['usr/bin/tool'], 'tool one\n');
  await assertSound(paths);
});

test('bytes that are not the published ones leave the store as it was', async (t) => {
  const { base, feed, installTool, paths, server } = await fixture(t);
  const path = join(feed.feed, base.file);
  const bytes = readFileSync(path);
  bytes[60_000] = (bytes[60_000] ?? 0) ^ 1;
  writeFileSync(path, bytes);
  await assert.rejects(installTool(), { code: 'BUNDLE_CORRUPT', message: /SHA-256/ });
  assert.ok(server.requests.length > 0);
  // What came of the layer meanwhile may stay.
  assert.deepEqual(
    readdirSync(paths.downloads).filter((name) => name.startsWith(base.sha256)),
    [],
  );
  assert.deepEqual(stagedFiles(paths.repo), []);
  assert.deepEqual(
    readdirSync(join(paths.repo, 'objects'), { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.includes('.'),
    ),
    [],
  );
});

const onNothing = ({ base, layer }: Commits): Edge[] => [
  [null, base],
  [null, layer],
];

test('a layer that does not build on the base is applied while that is still arriving', async (t) => {
  const { base, installTool, layer, paths, server } = await fixture(t, onNothing);
  server.held.add(base.file);
  const installing = installTool();
  await until(() => hasCommit(paths, layer.to), installing);
  assert.equal(hasCommit(paths, base.to), false);
  server.held.delete(base.file);
  const { bundles, fallback, fetched } = await installing;
  assert.deepEqual(bundles, [base.file, layer.file]);
  assert.deepEqual(fallback, []);
  assert.equal(fetched, base.size + layer.size);
  assert.equal(currentTree(paths, 'tool').tree['usr/bin/tool'], 'tool one\n');
  await assertSound(paths);
});

test('a base that fails is fetched in another way, and the layer that was applied meanwhile stays', async (t) => {
  const { base, bundleTo, commits, damage, installTool, layer, paths, server } = await fixture(t, (all) => [
    ...onNothing(all),
    [null, all.older],
    [all.older, all.base],
  ]);
  damage(base);
  server.held.add(base.file);
  const installing = installTool();
  await until(() => hasCommit(paths, layer.to), installing);
  server.held.delete(base.file);
  const { bundles, fallback } = await installing;
  const others = [bundleTo(commits.older).file, bundleTo(commits.base, commits.older).file];
  assert.deepEqual(bundles, [layer.file, ...others]);
  assert.deepEqual(
    fallback.map(({ file, code }) => [file, code]),
    [[base.file, 'BUNDLE_CORRUPT']],
  );
  assert.equal(server.requests.filter(({ file }) => file === layer.file).length, 2, 'its end, and all of it');
  await assertSound(paths);
});

test('a layer that fails while the base arrives is fetched in another way', async (t) => {
  const { base, bundleTo, commits, damage, installTool, layer, paths, server } = await fixture(t, (all) => [
    ...onNothing(all),
    [all.base, all.layer],
  ]);
  // The cheaper of the two is the one to be damaged.
  const other = bundleTo(commits.layer, commits.base);
  const [first, second] = layer.size <= other.size ? [layer, other] : [other, layer];
  damage(first);
  server.held.add(base.file);
  const installing = installTool();
  await until(() => server.requests.some(({ file }) => file === first.file), installing);
  server.held.delete(base.file);
  const { bundles, fallback } = await installing;
  assert.deepEqual(bundles, [base.file, second.file]);
  assert.deepEqual(
    fallback.map(({ file, code }) => [file, code]),
    [[first.file, 'BUNDLE_CORRUPT']],
  );
  await assertSound(paths);
});
