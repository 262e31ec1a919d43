import assert from 'node:assert/strict';
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { addFeed } from '../../trees/feed/feeds.js';
import { type Checksum, Repo } from '../../trees/ostree/index.js';
import { listGenerations, readGeneration, readInstalled } from '../../trees/store/generations.js';
import { type InstallOptions, type InstallResult, installApp } from '../../trees/store/install.js';
import { type StorePaths, storePaths } from '../../trees/store/paths.js';
import { hasEverything } from '../../trees/store/whole.js';
import { createFeedFixture, type FeedFixture } from './feed-fixture.js';
import { ARCH, createPublisher, type Edge, type Files, type Publisher } from './plain-publisher.js';
import { runProgram } from './rig.js';

/** A publisher, its feed, and a store that trusts it. */
export interface StoreFixture extends AsyncDisposable {
  readonly feed: FeedFixture;
  readonly publisher: Publisher;
  readonly paths: StorePaths;
  /** What `--root` is. */
  readonly root: string;
  /** Publishes and makes the store know the feed. */
  publish(edges: readonly Edge[]): Promise<void>;
  options(app: string, more?: Partial<InstallOptions>): InstallOptions;
  install(app: string, more?: Partial<InstallOptions>): Promise<InstallResult>;
}

/** @param parent where its directory is made; default the system's temporary directory */
export async function createStoreFixture(parent?: string): Promise<StoreFixture> {
  const feed = await createFeedFixture(parent);
  const publisher = await createPublisher(feed);
  const root = join(feed.dir, 'root');
  const paths = storePaths(join(root, 'var/lib/trees'));
  let known = false;
  const options: StoreFixture['options'] = (app, more) => ({
    root: paths.root,
    lockTimeout: 60,
    command: `install ${app}`,
    arch: ARCH,
    app,
    ...more,
  });
  return {
    feed,
    publisher,
    paths,
    root,
    async publish(edges) {
      await publisher.publish(edges);
      if (known) return;
      known = true;
      await addFeed(paths.root, `dir:${feed.feed}`, {
        name: 'test',
        keys: [feed.key.public],
        confirm: async () => await Promise.resolve(false),
      });
    },
    options,
    install: async (app, more) => await installApp(options(app, more)),
    async [Symbol.asyncDispose]() {
      await publisher[Symbol.asyncDispose]();
      await feed[Symbol.asyncDispose]();
    },
  };
}

/** Publishes base `deb` and two versions of the app `tool` over it, of which the second removes and replaces. */
export async function publishTool(fixture: StoreFixture, extra: Files = {}) {
  const { publisher } = fixture;
  const base = await publisher.base('deb', '12.0.0', {
    'etc/hosts': 'localhost\n',
    'etc/motd': 'welcome\n',
    'usr/bin/sh': '#!shell\n',
    'usr/share/doc/a/README': 'read me\n',
    'usr/share/doc/b/README': 'read me too\n',
    bin: { link: 'usr/bin' },
    'var/empty/': '',
    ...extra,
  });
  const run = { exec: ['/usr/bin/tool'], env: { A: 'b' } };
  const on = { base: 'deb', tested: '12.0.0', range: '^12', run };
  const v1 = await publisher.layer('tool', '1.0.0', { 'usr/bin/tool': 'tool one\n', 'etc/tool.conf': 'x\n' }, on);
  const v2 = await publisher.layer(
    'tool',
    '2.0.0',
    {
      'usr/bin/tool': 'tool two\n',
      'etc/.wh.motd': '',
      // A directory becomes a file, and a file a directory.
      'usr/share/doc/a': 'now a file\n',
      'etc/hosts/main': 'now a directory\n',
      'usr/share/doc/b/.wh..wh..opq': '',
      'usr/share/doc/b/NEW': 'only this\n',
    },
    on,
  );
  return { base, v1, v2 };
}

/** Publishes what `publishTool` makes, both versions by bundles from the base. */
export async function publishTools(fixture: StoreFixture, extra?: Files) {
  const commits = await publishTool(fixture, extra);
  const { base, v1, v2 } = commits;
  await fixture.publish([
    [null, base],
    [base, v1],
    [base, v2],
  ]);
  return commits;
}

/** Every path of a tree with what it is: content of files, targets of links. */
export function readTree(root: string, path = ''): Record<string, string> {
  const tree: Record<string, string> = {};
  for (const entry of readdirSync(join(root, path), { withFileTypes: true })) {
    const entryPath = join(path, entry.name);
    const full = join(root, entryPath);
    if (entry.isDirectory()) Object.assign(tree, { [`${entryPath}/`]: 'directory' }, readTree(root, entryPath));
    else tree[entryPath] = entry.isSymbolicLink() ? `-> ${readlinkSync(full)}` : readFileSync(full, 'utf8');
  }
  return tree;
}

/**
 * Asserts what must hold of a store at any time: `ostree fsck` is clean, every ref can be listed, every generation has
 * its ref and its whole tree, made of hard links to the repository's objects.
 */
export async function assertSound(paths: StorePaths): Promise<void> {
  const fsck = await runProgram('ostree', [`--repo=${paths.repo}`, 'fsck', '--all']);
  assert.equal(fsck.status, 0, fsck.stdout + fsck.stderr);
  using repo = await Repo.open(paths.repo);
  const refs = await repo.listRefs();
  for (const [ref, commit] of refs) {
    assert.ok(await hasEverything(repo, commit), `${ref} is whole`);
  }
  for (const name of readdirSync(paths.apps)) {
    for (const number of listGenerations(paths, name)) {
      const generation = readGeneration(paths, name, number);
      assert.ok(generation !== undefined);
      assert.equal(refs.get(`tree/${name}/${number}`), generation.tree, `the ref of generation ${number} of ${name}`);
      await assertLinked(repo, paths.rootfs(name, number), generation.tree);
    }
  }
}

/** Asserts that a link tree has every path of a commit and nothing else, and shares its files with the repository. */
async function assertLinked(repo: Repo, rootfs: string, tree: Checksum): Promise<void> {
  const wanted = new Set<string>();
  for await (const entry of repo.walk(tree)) {
    const path = join(rootfs, entry.path);
    const found = lstatSync(path);
    if (entry.path !== '/') wanted.add(entry.path.slice(1) + (entry.kind === 'directory' ? '/' : ''));
    if (entry.kind === 'directory') {
      assert.ok(found.isDirectory(), path);
      continue;
    }
    const object = join(repo.path, 'objects', entry.checksum.slice(0, 2), `${entry.checksum.slice(2)}.file`);
    // A bare-user repository keeps symlinks as files of its own.
    if (found.isSymbolicLink() && repo.mode === 'bare-user') continue;
    // libostree makes empty files anew: there is nothing to share, and some are linked more often than file systems allow.
    if (found.isFile() && found.size === 0 && lstatSync(object).size === 0) continue;
    assert.equal(found.ino, lstatSync(object).ino, `${path} is a hard link to ${object}`);
  }
  assert.deepEqual(new Set(Object.keys(readTree(rootfs))), wanted);
}

/** The version that is current, and its tree. */
export function currentTree(paths: StorePaths, name: string): { version: string; tree: Record<string, string> } {
  const app = readInstalled(paths, name);
  assert.ok(app !== undefined, `${name} is installed`);
  return { version: app.current.version, tree: readTree(paths.rootfs(name, app.current.number)) };
}
