import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  type DirTree,
  isOstreeError,
  metadataString,
  OstreeError,
  Repo,
  type RepoMode,
  variant,
} from '../../trees/ostree/index.js';
import { noise, ostree, Scratch, seededRepo, TIMESTAMP } from '../support/ostree.js';

function objectBytes(repo: string, checksum: string, type: string): Buffer {
  return readFileSync(join(repo, 'objects', checksum.slice(0, 2), `${checksum.slice(2)}.${type}`));
}

const MODES: readonly RepoMode[] = ['bare', 'bare-user', 'archive'];

async function fileAt(repo: Repo, path: string): Promise<string> {
  const entry = await repo.lookupPath('main', path);
  assert.ok(entry !== undefined, path);
  return entry.checksum;
}

test('commits read as the CLI shows them', async () => {
  using scratch = new Scratch();
  const { repo, path, source, commit: parent } = await seededRepo(scratch);
  using _ = repo;
  const checksum = await repo.commitDirectory(source, {
    timestamp: TIMESTAMP + 60,
    parent,
    subject: 'Sübject',
    body: 'two\nlines',
    metadata: { 'trees.name': variant('s', 'etcd'), n: variant('t', 2n ** 60n) },
    ref: 'main',
  });
  const commit = await repo.readCommit(checksum);
  assert.deepEqual(commit, {
    checksum,
    parent,
    subject: 'Sübject',
    body: 'two\nlines',
    timestamp: TIMESTAMP + 60,
    metadata: { 'trees.name': { type: 's', value: 'etcd' }, n: { type: 't', value: 2n ** 60n } },
    rootTree: commit.rootTree,
    rootMeta: commit.rootMeta,
  });
  assert.equal(metadataString(commit.metadata, 'trees.name'), 'etcd');
  assert.equal(metadataString(commit.metadata, 'n'), undefined);
  const shown = ostree(path, 'show', 'main');
  assert.match(shown, new RegExp(`commit ${checksum}`));
  assert.match(shown, new RegExp(`Parent: +${parent}`));
  assert.match(shown, /Date: +2023-11-14 22:14:20 \+0000/);
  assert.match(shown, / {4}Sübject/);
  assert.equal(ostree(path, 'show', '--print-metadata-key=trees.name', 'main').trim(), "'etcd'");
  const listed = ostree(path, 'ls', '-dC', 'main').trim().split(/\s+/);
  assert.deepEqual([commit.rootTree, commit.rootMeta], [listed[4], listed[5]]);
});

test('the bytes of a commit hash to its checksum', async () => {
  using scratch = new Scratch();
  const { repo, commit } = await seededRepo(scratch);
  using _ = repo;
  const bytes = await repo.readCommitBytes(commit);
  assert.equal(createHash('sha256').update(bytes).digest('hex'), commit);
});

test('files read whole, in chunks and as metadata, in every mode', async () => {
  for (const mode of MODES) {
    using scratch = new Scratch();
    const { repo, path } = await seededRepo(scratch, mode);
    using _ = repo;
    const big = await fileAt(repo, '/usr/share/big');
    const link = await fileAt(repo, '/etc/link');
    const setid = await fileAt(repo, '/usr/bin/su');
    const whole = Buffer.from(await repo.readFile(big));
    assert.equal(whole.compare(Buffer.alloc(200_000, 'x')), 0);
    assert.equal(Buffer.from(await repo.readFile(await fileAt(repo, '/usr/share/empty'))).length, 0);
    const sizes: number[] = [];
    for await (const chunk of repo.readFileStream(big, { chunkSize: 65_536 })) sizes.push(chunk.length);
    assert.deepEqual(sizes, [65_536, 65_536, 65_536, 3392]);
    for await (const chunk of repo.readFileStream(big, { chunkSize: 10 })) {
      assert.equal(chunk.length, 10);
      break;
    }
    const info = await repo.readFileInfo(link);
    assert.equal(info.kind, 'symlink');
    assert.equal(info.target, 'hostname');
    assert.equal(info.size, 0);
    assert.equal((await repo.readFileInfo(setid)).mode, 0o104755);
    assert.equal((await repo.readFileInfo(big)).size, 200_000);
    assert.equal(
      ostree(path, 'cat', 'main', '/etc/hostname'),
      Buffer.from(await repo.readFile(await fileAt(repo, '/etc/hostname'))).toString(),
    );
    await assert.rejects(repo.readFile(big, { maxSize: 199_999 }), (error: unknown) =>
      isOstreeError(error, 'messageTooLarge'),
    );
    await assert.rejects(repo.readFile(link), (error: unknown) => isOstreeError(error, 'notRegularFile'));
    await assert.rejects(repo.readFile('0'.repeat(64)), (error: unknown) => isOstreeError(error, 'notFound'));
  }
});

test('streams close their file, read to the end or not', async () => {
  using scratch = new Scratch();
  const { repo } = await seededRepo(scratch);
  using _ = repo;
  const big = await fileAt(repo, '/usr/share/big');
  const before = readdirSync('/proc/self/fd').length;
  for (let round = 0; round < 20; round += 1) {
    for await (const chunk of repo.readFileStream(big, { chunkSize: 1000 })) {
      if (round % 2 === 0 && chunk.length > 0) break;
    }
  }
  assert.ok(readdirSync('/proc/self/fd').length <= before + 1);
});

test('directories read and write back to the same checksum', async () => {
  using scratch = new Scratch();
  const { repo, path } = await seededRepo(scratch);
  using _ = repo;
  for await (const entry of repo.walk('main')) {
    if (entry.kind !== 'directory' || entry.meta === undefined) continue;
    const tree = await repo.readDirTree(entry.checksum);
    const meta = await repo.readDirMeta(entry.meta);
    // In any order.
    const shuffled: DirTree = { files: tree.files.toReversed(), dirs: tree.dirs.toReversed() };
    assert.equal(await repo.writeDirTree(shuffled), entry.checksum);
    assert.deepEqual(await repo.writeDirTrees([objectBytes(path, entry.checksum, 'dirtree')]), [entry.checksum]);
    assert.equal(await repo.writeDirMeta(meta), entry.meta);
    assert.equal(await repo.writeDirMeta({ ...meta, mode: meta.mode & 0o7777 }), entry.meta);
  }
});

test('serialized directories are refused when they are not in order', async () => {
  using scratch = new Scratch();
  const { repo, path } = await seededRepo(scratch);
  using _ = repo;
  const { rootTree } = await repo.readCommit(await repo.resolveRev('main'));
  const good = objectBytes(path, rootTree, 'dirtree');
  await assert.rejects(repo.writeDirTrees([good, good.subarray(1)]), /normal form/);
  const slashed = Buffer.from(good);
  const name = (await repo.readDirTree(rootTree)).files[0]?.name ?? '';
  slashed.write('/', slashed.indexOf(`${name}\0`));
  await assert.rejects(repo.writeDirTrees([slashed]), /Invalid \/ in filename/);
  assert.deepEqual(await repo.writeDirTrees([]), []);
});

test('extended attributes survive, sorted, with their names as written on disk', async () => {
  using scratch = new Scratch();
  const { repo, path } = await seededRepo(scratch, 'archive');
  using _ = repo;
  const xattrs = [
    { name: Buffer.from('user.z'), value: Buffer.from('last') },
    { name: Buffer.from('user.a'), value: Buffer.of(0, 1, 255) },
  ];
  const meta = await repo.writeDirMeta({ uid: 1, gid: 70_000, mode: 0o40750, xattrs });
  const read = await repo.readDirMeta(meta);
  assert.deepEqual(
    read.xattrs.map((item) => [Buffer.from(item.name).toString(), [...item.value]]),
    [
      ['user.a', [0, 1, 255]],
      ['user.z', [...Buffer.from('last')]],
    ],
  );
  assert.deepEqual([read.uid, read.gid, read.mode], [1, 70_000, 0o40750]);
  assert.equal(await repo.writeDirMeta(read), meta);
  const file = await repo.writeFile({
    kind: 'regular',
    content: Buffer.from('x'),
    uid: 0,
    gid: 0,
    mode: 0o600,
    xattrs,
  });
  const tree = await repo.writeDirTree({ files: [{ name: 'f', checksum: file }], dirs: [] });
  await repo.writeCommit({ rootTree: tree, rootMeta: meta, timestamp: 1 }).then((sum) => repo.setRef('xattrs', sum));
  const listed = ostree(path, 'ls', '-RX', 'xattrs');
  assert.match(listed, /d00750 1 70000 .*b'user\.a', \[byte 0x00, 0x01, 0xff\].*b'user\.z'/);
  assert.match(listed, /-00600 0 0 +1 .*b'user\.a'.* \/f/);
  assert.match(ostree(path, 'fsck'), /no errors/);
  await assert.rejects(
    repo.writeDirMeta({ uid: 0, gid: 0, mode: 0o755, xattrs: [...xattrs, ...xattrs] }),
    /name each attribute once, got "user\.a" twice/,
  );
});

test('written objects are what the CLI would have written', async () => {
  using scratch = new Scratch();
  const { repo, path, source, commit } = await seededRepo(scratch);
  using _ = repo;
  const own = await repo.writeFile({
    kind: 'regular',
    content: Buffer.from('box\n'),
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    mode: 0o644,
  });
  assert.equal(own, await fileAt(repo, '/etc/hostname'));
  const link = await repo.writeFile({
    kind: 'symlink',
    target: 'hostname',
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
  });
  assert.equal(link, await fileAt(repo, '/etc/link'));
  const cli = ostree(
    path,
    'commit',
    '-b',
    'cli',
    '--no-bindings',
    '--timestamp=@1700000000',
    '-s',
    'seed',
    source,
  ).trim();
  assert.equal(cli, commit, 'the same input gives the same commit');
});

test('large content, and content that changes while it is written', async () => {
  using scratch = new Scratch();
  const { repo } = await seededRepo(scratch);
  using _ = repo;
  const content = noise(1_000_000);
  const writing = repo.writeFile({ kind: 'regular', content, uid: 0, gid: 0, mode: 0o644 });
  const copy = Buffer.from(content);
  content.fill(0);
  const checksum = await writing;
  assert.equal(Buffer.from(await repo.readFile(checksum)).compare(copy), 0);
  assert.equal(await repo.fsckObject('file', checksum), undefined);
});

test('a commit of objects that do not exist is refused', async () => {
  using scratch = new Scratch();
  const { repo, commit } = await seededRepo(scratch);
  using _ = repo;
  const { rootTree, rootMeta } = await repo.readCommit(commit);
  const absent = 'd'.repeat(64);
  for (const input of [
    { rootTree: absent, rootMeta },
    { rootTree, rootMeta: absent },
  ]) {
    await assert.rejects(repo.writeCommit({ ...input, timestamp: 1 }), (error: unknown) => {
      assert.ok(isOstreeError(error, 'notFound'));
      assert.match(error.message, /no such object d+\.dir/);
      return true;
    });
  }
  const empty = await repo.writeCommit({ rootTree, rootMeta, timestamp: 0 });
  assert.deepEqual((await repo.readCommit(empty)).subject, '');
});

test('detached metadata', async () => {
  using scratch = new Scratch();
  const { repo, path, commit } = await seededRepo(scratch);
  using _ = repo;
  assert.equal(await repo.readDetachedMetadata(commit), undefined);
  const signature = noise(64);
  await repo.writeDetachedMetadata(commit, { 'ostree.sign.ed25519': variant('aay', [signature]) });
  const read = await repo.readDetachedMetadata(commit);
  assert.deepEqual(read, { 'ostree.sign.ed25519': { type: 'aay', value: [new Uint8Array(signature)] } });
  assert.match(ostree(path, 'show', '--print-detached-metadata-key=ostree.sign.ed25519', commit), /^\[\[byte 0x/);
  await repo.writeDetachedMetadata(commit, undefined);
  assert.equal(await repo.readDetachedMetadata(commit), undefined);
  // In a transaction it becomes visible with the rest.
  const transaction = await repo.beginTransaction();
  await repo.writeDetachedMetadata(commit, { a: variant('s', 'b') });
  using other = await Repo.open(path);
  assert.equal(await other.readDetachedMetadata(commit), undefined);
  await transaction.commit();
  assert.deepEqual(await other.readDetachedMetadata(commit), { a: { type: 's', value: 'b' } });
});

test('object lists, sizes, presence and deletion', async () => {
  using scratch = new Scratch();
  const { repo, path, commit } = await seededRepo(scratch);
  using _ = repo;
  const objects = await repo.listObjects();
  const onDisk = readdirSync(scratch.join('repo', 'objects'), { recursive: true }).filter((name) =>
    /\.(file|dir|commit)/.test(String(name)),
  );
  assert.equal(objects.length, onDisk.length);
  assert.ok(objects.some((object) => object.type === 'commit' && object.checksum === commit));
  const big = await fileAt(repo, '/usr/share/big');
  assert.equal(await repo.objectSize('file', big), 200_000);
  assert.equal(await repo.hasObject('file', big), true);
  assert.equal(await repo.hasObject('dirtree', big), false);
  await assert.rejects(repo.objectSize('file', 'e'.repeat(64)), OstreeError);
  await repo.deleteObject('file', big);
  assert.equal(await repo.hasObject('file', big), false);
  await assert.rejects(repo.deleteObject('file', big), OstreeError);
  assert.throws(() => ostree(path, 'fsck'));
});
