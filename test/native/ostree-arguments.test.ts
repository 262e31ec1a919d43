import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DevInoCache, MutableTree, Repo, Transaction, variant } from '../../trees/ostree/index.js';
import { Scratch, seededRepo } from '../support/ostree.js';

const SUM = 'a'.repeat(64);

/** Calls with arguments that the types forbid. */
// oxlint-disable-next-line typescript/no-explicit-any -- wrong types are the point
type Loose = any;

async function rejects(work: () => unknown, pattern: RegExp): Promise<void> {
  await assert.rejects(
    async () => {
      await work();
    },
    (error: unknown) => {
      assert.ok(error instanceof TypeError, `a TypeError, got ${String(error)}`);
      assert.match(error.message, pattern);
      return true;
    },
  );
}

test('constructors are not for callers', () => {
  const repo: Loose = Repo;
  const transaction: Loose = Transaction;
  const tree: Loose = MutableTree;
  assert.throws(() => new repo(), /Repo\.open/);
  assert.throws(() => new transaction(), /beginTransaction/);
  assert.throws(() => new tree(), /MutableTree\.create/);
});

test('Repo.create and Repo.open name the wrong argument', async () => {
  using scratch = new Scratch();
  const loose: Loose = Repo;
  const path = scratch.join('repo');
  await rejects(() => loose.open(), /Expected path to be a string, got undefined/);
  await rejects(() => loose.open(''), /path to be a non-empty string/);
  await rejects(() => loose.open('a\0b'), /path to be a string without NUL/);
  await rejects(() => loose.open('\ud800'), /path to be well-formed Unicode/);
  await rejects(() => loose.open(path, 3), /options to be an object, got 3/);
  await rejects(() => loose.open(path, { singal: 1 }), /only known keys, got "singal"/);
  await rejects(() => loose.open(path, { signal: {} }), /options\.signal to be an AbortSignal/);
  await rejects(() => loose.create(path), /options\.mode to be one of "bare"/);
  await rejects(() => loose.create(path, { mode: 'loose' }), /options\.mode .*got "loose"/);
  await rejects(() => loose.create(Symbol('x'), { mode: 'bare' }), /path to be a string, got a symbol/);
});

test('methods name the wrong argument', async () => {
  using scratch = new Scratch();
  const seeded = await seededRepo(scratch);
  using repo = seeded.repo;
  const loose: Loose = repo;
  const checksums: Array<[string, unknown[]]> = [
    ['readCommit', []],
    ['readCommitBytes', []],
    ['readDirTree', []],
    ['readDirMeta', []],
    ['readFileInfo', []],
    ['readFile', []],
    ['commitSize', []],
    ['traverseCommit', []],
    ['readDetachedMetadata', []],
    ['isCommitPartial', []],
  ];
  for (const [method, rest] of checksums) {
    for (const bad of [undefined, 7, 'abc', SUM.toUpperCase(), `${SUM}0`, `${SUM.slice(1)}\0`, {}, null]) {
      await rejects(() => loose[method](bad, ...rest), /64 lowercase hexadecimal digits/);
    }
  }
  await rejects(() => loose.hasObject('blob', SUM), /type to be one of "file"/);
  await rejects(() => loose.objectSize('file', 'x'), /checksum to be 64/);
  await rejects(() => loose.resolveRev(''), /rev to be a non-empty string/);
  await rejects(() => loose.tryResolveRev(1), /rev to be a string/);
  await rejects(() => loose.listRefs(1), /prefix to be a string/);
  await rejects(() => loose.setRef('bad ref', SUM), /ref to be a ref \(Invalid/);
  await rejects(() => loose.setRef('../x', SUM), /ref to be a ref/);
  await rejects(() => loose.setRef('ok', 'x'), /checksum to be 64/);
  await rejects(() => loose.getConfig('core'), /key to be a string/);
  await rejects(() => loose.setConfig('co]re', 'k', 'v'), /section to be a key file group name/);
  await rejects(() => loose.setConfig('core', 'a=b', 'v'), /key to be a key file key/);
  await rejects(() => loose.setConfig('core', 'k', 1), /value to be a string/);
  await rejects(() => loose.setMinFreeSpace({ percent: 100 }), /limit\.percent to be a whole number from 0 to 99/);
  await rejects(() => loose.setMinFreeSpace({ size: 1, unit: 'KB' }), /limit\.unit to be one of "MB"/);
  await rejects(() => loose.setFsync('no'), /enabled to be a boolean/);
  await rejects(() => loose.setCommitPartial(SUM, 1), /partial to be a boolean/);
  await rejects(() => loose.readFile(SUM, { maxSize: -1 }), /options\.maxSize to be a whole number/);
  assert.throws(() => loose.readFileStream(SUM, { chunkSize: 0 }), /options\.chunkSize/);
  assert.throws(() => loose.walk(''), /rev to be a non-empty string/);
  await rejects(() => loose.lookupPath('main', 'etc'), /path to be an absolute path inside the tree/);
  await rejects(() => loose.lookupPath('main', '/etc/../x'), /without "\." and "\.\."/);
  await rejects(() => loose.checkout('main', ''), /destination to be a non-empty string/);
  await rejects(() => loose.checkout('main', 'x', { mode: 'root' }), /options\.mode to be one of "none", "user"/);
  await rejects(() => loose.checkout('main', 'x', { subpath: 'etc' }), /options\.subpath to be an absolute path/);
  await rejects(
    () => loose.checkout('main', 'x', { forceCopy: true, requireHardlinks: true }),
    /forceCopy to be absent/,
  );
  await rejects(() => loose.checkout('main', 'x', { overwrite: 'union-identical' }), /requireHardlinks to be true/);
  await rejects(() => loose.checkout('main', 'x', { devInoCache: true }), /options\.devInoCache to be a DevInoCache/);
  await rejects(() => loose.diff(SUM, undefined), /to to be 64/);
  await rejects(() => loose.prune({ depth: -2 }), /options\.depth/);
  await rejects(() => loose.prune({ refsOnly: 1 }), /options\.refsOnly to be a boolean/);
  await rejects(() => loose.fsck({ commits: SUM }), /options\.commits to be an array/);
  await rejects(() => loose.fsck({ onProgress: 1 }), /options\.onProgress to be a function/);
  await rejects(() => loose.lock('read'), /kind to be one of "shared", "exclusive"/);
  await rejects(() => loose.lock('shared', { timeout: -1 }), /options\.timeout to be seconds/);
  await rejects(() => loose.lock('shared', { timeout: 'soon' }), /options\.timeout to be seconds/);
  await rejects(() => loose.generateDelta({ from: SUM }), /options\.to to be 64/);
  await rejects(() => loose.generateDelta({ to: SUM, maxChunkSize: 1e9 }), /options\.maxChunkSize/);
  await rejects(() => loose.applyDelta(1), /path to be a string/);
  await rejects(() => loose.deltaInfo(''), /path to be a non-empty string/);
});

test('writers name the wrong part of what they are given', async () => {
  using scratch = new Scratch();
  const seeded = await seededRepo(scratch);
  using repo = seeded.repo;
  const loose: Loose = repo;
  await rejects(() => loose.writeDirTree(undefined), /tree to be an object/);
  await rejects(() => loose.writeDirTree({ files: [], dirs: {} }), /tree\.dirs to be an array/);
  const file = (name: unknown): Loose => ({ files: [{ name, checksum: SUM }], dirs: [] });
  for (const name of ['', '.', '..', 'a/b', 'a\0', 5])
    await rejects(() => loose.writeDirTree(file(name)), /tree\.files\[0\]\.name/);
  await rejects(
    () => loose.writeDirTree({ files: [{ name: 'a', checksum: SUM }], dirs: [{ name: 'a', tree: SUM, meta: SUM }] }),
    /name each entry once, got "a" twice/,
  );
  await rejects(() => loose.writeDirTrees({}), /trees to be an array/);
  await rejects(() => loose.writeDirTrees([new Uint8Array(1), 'x']), /trees\[1\] to be a Uint8Array/);
  await rejects(() => loose.writeDirMeta({ uid: -1, gid: 0, mode: 0o755 }), /meta\.uid/);
  await rejects(
    () => loose.writeDirMeta({ uid: 0, gid: 0, mode: 0o100755 }),
    /meta\.mode to be the mode of a directory/,
  );
  await rejects(() => loose.writeFile({ kind: 'fifo', uid: 0, gid: 0 }), /file\.kind to be one of/);
  await rejects(
    () => loose.writeFile({ kind: 'regular', uid: 0, gid: 0, mode: 0o644, content: 'text' }),
    /file\.content to be a Uint8Array/,
  );
  await rejects(
    () =>
      loose.writeFile({
        kind: 'regular',
        uid: 0,
        gid: 0,
        mode: 0o644,
        content: new Uint8Array(new SharedArrayBuffer(4)),
      }),
    /not shared between threads/,
  );
  await rejects(() => loose.writeFile({ kind: 'symlink', uid: 0, gid: 0, target: '' }), /file\.target/);
  await rejects(
    () =>
      loose.writeFile({
        kind: 'symlink',
        uid: 0,
        gid: 0,
        target: 'x',
        xattrs: [{ name: 'user.a', value: Buffer.of(1) }],
      }),
    /file\.xattrs\[0\]\.name to be a Uint8Array/,
  );
  await rejects(() => loose.writeCommit({ rootTree: SUM, rootMeta: SUM }), /input\.timestamp/);
  await rejects(() => loose.writeCommit({ rootTree: SUM, rootMeta: SUM, timestamp: 1.5 }), /input\.timestamp/);
  await rejects(
    () => loose.writeCommit({ rootTree: SUM, rootMeta: SUM, timestamp: 1, metadata: { a: 'text' } }),
    /input\.metadata\["a"\] to be a Variant/,
  );
  const commit = (options: Loose): Promise<unknown> =>
    loose.commitDirectory(scratch.path, { timestamp: 1, ...options });
  await rejects(() => commit({ exclude: '/x' }), /options\.exclude to be an array/);
  await rejects(() => commit({ exclude: ['x'] }), /options\.exclude\[0\] to be an absolute path/);
  await rejects(() => commit({ exclude: [3] }), /options\.exclude\[0\] to be a path or a RegExp/);
  await rejects(() => commit({ exclude: [/a/y] }), /without the flags/);
  await rejects(() => commit({ modeMask: 0o100000 }), /options\.modeMask/);
  await rejects(() => commit({ overrides: {} }), /options\.overrides to be a Map/);
  await rejects(() => commit({ overrides: new Map([['/x', { mode: -1 }]]) }), /options\.overrides\["\/x"\]\.mode/);
  await rejects(() => commit({ filter: true }), /options\.filter to be a function/);
  await rejects(() => commit({ xattrs: () => [], skipXattrs: true }), /options\.xattrs to be absent/);
  await rejects(() => commit({ owner: { uid: 0 } }), /options\.owner\.gid/);
  await rejects(() => commit({ ref: 'no good' }), /options\.ref to be a ref/);
});

test('a filter that returns nonsense or throws fails the commit with that very error', async () => {
  using scratch = new Scratch();
  const seeded = await seededRepo(scratch);
  using repo = seeded.repo;
  const bad: Loose = () => 'yes';
  await rejects(
    () => repo.commitDirectory(seeded.source, { timestamp: 1, filter: bad }),
    /result of options\.filter\(\/\) to be a boolean, got "yes"/,
  );
  const boom = new Error('boom');
  await assert.rejects(
    repo.commitDirectory(seeded.source, {
      timestamp: 1,
      filter: (path) => {
        if (path === '/usr') throw boom;
        return true;
      },
    }),
    (error: unknown) => error === boom,
  );
  await assert.rejects(
    repo.commitDirectory(seeded.source, {
      timestamp: 1,
      xattrs: () => {
        throw boom;
      },
    }),
    (error: unknown) => error === boom,
  );
  // The repository is none the worse.
  assert.deepEqual(await repo.fsck(), []);
  await (await repo.beginTransaction()).abort();
});

test('a foreign this is refused, whatever the method', async () => {
  using scratch = new Scratch();
  const seeded = await seededRepo(scratch);
  using repo = seeded.repo;
  const transaction = await repo.beginTransaction();
  const instances: Array<[object, string]> = [
    [repo, 'a Repo'],
    [transaction, 'a Transaction'],
    [MutableTree.create(), 'a MutableTree'],
  ];
  for (const [instance, what] of instances) {
    const prototype = Object.getPrototypeOf(instance);
    for (const [name, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
      if (name === 'constructor') continue;
      const member: Loose = descriptor.value ?? descriptor.get;
      // Right enough for argument checks that come first.
      const args = ['/a', SUM, {}];
      for (const foreign of [{}, null, 1, new DevInoCache(), what === 'a Repo' ? transaction : repo]) {
        await rejects(() => member.apply(foreign, args), /Expected this to be|MutableTree\)? to be|Expected/);
      }
    }
  }
  await transaction.abort();
});

test('use after close is refused, whatever the method', async () => {
  using scratch = new Scratch();
  const { repo, commit } = await seededRepo(scratch);
  const transaction = await repo.beginTransaction();
  const lock = await repo.lock('shared');
  const pending = repo.walk('main');
  repo.close();
  repo.close();
  assert.equal(repo.closed, true);
  assert.equal(repo.path, scratch.join('repo'));
  lock[Symbol.dispose]();
  assert.throws(() => transaction.setRef('x', commit), /Repo was closed/);
  await rejects(() => transaction.commit(), /Repo was closed/);
  await transaction.abort();
  await rejects(() => repo.readCommit(commit), /open Repo, got one that was closed/);
  await rejects(() => repo.beginTransaction(), /open Repo/);
  await rejects(() => repo.lock('shared'), /open Repo/);
  assert.throws(() => repo.walk('main'), /open Repo/);
  await rejects(async () => {
    for await (const entry of pending) assert.fail(entry.path);
  }, /open Repo/);
});

test('a transaction is used once', async () => {
  using scratch = new Scratch();
  const seeded = await seededRepo(scratch);
  using repo = seeded.repo;
  const first = await repo.beginTransaction();
  await rejects(() => repo.beginTransaction(), /without an open transaction/);
  await rejects(() => repo.prune(), /without an open transaction/);
  await rejects(() => repo.setConfig('core', 'fsync', 'false'), /without open transaction or lock/);
  assert.throws(() => first.setRef('bad ref', SUM), /ref to be a ref/);
  await first.commit();
  await rejects(() => first.commit(), /got one that has ended/);
  assert.throws(() => first.setRef('x', undefined), /got one that has ended/);
  await first.abort();
  await (await repo.beginTransaction()).abort();
});

test('mutable trees check paths and closing', async () => {
  const tree = MutableTree.create();
  const loose: Loose = tree;
  await rejects(() => loose.setFile('/', SUM), /path to be a path below the root/);
  await rejects(() => loose.setFile('a', SUM), /path to be an absolute path/);
  await rejects(() => loose.setFile('/a', 'x'), /checksum to be 64/);
  await rejects(() => loose.ensureDirectory('/a', 'x'), /meta to be 64/);
  await rejects(() => loose.remove('/a', { allowMissing: 1 }), /options\.allowMissing/);
  const statics: Loose = MutableTree;
  await rejects(() => statics.fromCommit({}, 'main'), /repo to be a Repo, got an object/);
  tree.close();
  tree.close();
  await rejects(() => tree.lookup('/'), /open MutableTree/);
});

test('variants check their type string and value', () => {
  const loose: Loose = variant;
  const bad: Array<[unknown, unknown, RegExp]> = [
    ['', 1, /value\.type to be a GVariant type/],
    ['ss', 'a', /single complete GVariant type/],
    ['{vs}', [], /GVariant type/],
    ['(s', ['a'], /GVariant type/],
    ['*', 1, /GVariant type/],
    ['s', 1, /value to be a string/],
    ['s', 'a\0', /without NUL/],
    ['y', 256, /whole number from 0 to 255/],
    ['u', -1, /whole number/],
    ['i', 1.5, /whole number/],
    ['t', 1, /bigint from 0/],
    ['t', -1n, /bigint from 0/],
    ['x', 2n ** 63n, /bigint/],
    ['b', 'true', /boolean/],
    ['ay', [1], /Uint8Array/],
    ['as', 'a', /an array/],
    ['as', ['a', 1], /value\[1\] to be a string/],
    ['(su)', ['a'], /an array of 2 values/],
    ['v', 'a', /a Variant/],
    ['a{sv}', { k: 1 }, /value\["k"\] to be a Variant/],
    ['o', 'path', /object path/],
    ['g', '(', /GVariant type/],
    [`${'a'.repeat(100)}y`, [], /GVariant type/],
  ];
  for (const [type, value, pattern] of bad) assert.throws(() => loose(type, value), pattern, String(type));
});
