import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { type CommitDirectoryOptions, isOstreeError, MutableTree, Repo } from '../../trees/ostree/index.js';
import { basicFixture, ostree, Scratch, seededRepo, TIMESTAMP, writeTree } from '../support/ostree.js';

/** `mode uid gid path` of every line of `ostree ls -R`. */
function listing(repo: string, rev: string): string[] {
  return ostree(repo, 'ls', '-R', rev)
    .trim()
    .split('\n')
    .map((line) => line.replace(/^(\S+) (\d+) (\d+) +\d+ /, '$1 $2 $3 '));
}

async function committed(
  scratch: Scratch,
  options: Partial<CommitDirectoryOptions>,
  mode: 'bare' | 'archive' = 'archive',
): Promise<string[]> {
  const { repo, path, source } = await seededRepo(scratch, mode);
  using _ = repo;
  await repo.commitDirectory(source, { timestamp: TIMESTAMP, ref: 'out', ...options });
  assert.match(ostree(path, 'fsck'), /no errors/);
  return listing(path, 'out');
}

test('owner, mode mask, overrides and the filter apply in that order', async () => {
  using scratch = new Scratch();
  const seen: string[] = [];
  const lines = await committed(scratch, {
    owner: { uid: 5, gid: 6 },
    modeMask: 0o755,
    modeSet: 0o100,
    overrides: new Map([['/usr/bin/tool', { mode: 0o4711, uid: 7 }]]),
    filter: (path, info) => {
      seen.push(`${path} ${info.mode.toString(8)} ${info.uid}:${info.gid} ${info.size} ${info.isDir}`);
      if (path === '/usr/share/empty') return { mode: 0o600, gid: 9 };
      return true;
    },
  });
  assert.ok(lines.includes('-04711 7 6 /usr/bin/tool'), lines.join('\n'));
  assert.ok(lines.includes('-00755 5 6 /usr/bin/su'));
  assert.ok(lines.includes('-00600 5 9 /usr/share/empty'));
  assert.ok(lines.includes('l00777 5 6 /etc/link -> hostname'));
  assert.ok(lines.includes('-00744 5 6 /etc/hostname'));
  assert.ok(seen.includes('/usr/bin/tool 104711 7:6 17 false'), seen.join('\n'));
  assert.ok(seen.includes('/usr 40755 5:6 0 true'));
  assert.equal(new Set(seen).size, seen.length, 'asked once about each path');
});

test('exclusion by path and by pattern', async () => {
  using scratch = new Scratch();
  const lines = await committed(scratch, { exclude: ['/usr/bin', /^\/ETC\/l/i, /\.txt$/] });
  const paths = lines.map((line) => line.split(' ')[3]);
  assert.deepEqual(paths, ['/', '/etc', '/etc/hostname', '/usr', '/usr/share', '/usr/share/big', '/usr/share/empty']);
});

test('a filter leaves out whole directories', async () => {
  using scratch = new Scratch();
  const asked: string[] = [];
  const lines = await committed(scratch, {
    filter: (path) => {
      asked.push(path);
      return path !== '/usr';
    },
  });
  assert.deepEqual(
    lines.map((line) => line.split(' ')[3]),
    ['/', '/usr.txt', '/etc', '/etc/hostname', '/etc/link'],
  );
  assert.ok(!asked.some((path) => path.startsWith('/usr/')));
});

test('canonical permissions', async () => {
  using scratch = new Scratch();
  const lines = await committed(scratch, { canonicalPermissions: true, owner: { uid: 9, gid: 9 } });
  assert.ok(lines.includes('-00755 0 0 /usr/bin/su'));
  const { repo, path, source } = await seededRepo(scratch, 'bare-user-only', 'buo');
  using _ = repo;
  const own = await repo.commitDirectory(source, { timestamp: TIMESTAMP, ref: 'a', canonicalPermissions: true });
  const cli = ostree(
    path,
    'commit',
    '-b',
    'b',
    '--canonical-permissions',
    '--no-bindings',
    '--timestamp=@1700000000',
    source,
  ).trim();
  assert.equal(own, cli);
});

test('extended attributes from disk, from a callback, and none', async () => {
  using scratch = new Scratch();
  const source = writeTree(scratch.join('x'), { f: 'content' });
  execFileSync('python3', [
    '-c',
    'import os, sys; os.setxattr(sys.argv[1], "user.kept", b"yes")',
    scratch.join('x', 'f'),
  ]);
  using repo = await Repo.create(scratch.join('repo'), { mode: 'archive' });
  const dump = async (options: Partial<CommitDirectoryOptions>): Promise<string> => {
    await repo.commitDirectory(source, { timestamp: 1, ref: 'x', ...options });
    return ostree(repo.path, 'ls', '-X', 'x', '/f');
  };
  assert.match(await dump({}), /b'user\.kept', \[byte 0x79, 0x65, 0x73\]/);
  assert.doesNotMatch(await dump({ skipXattrs: true }), /user\.kept/);
  const called = await dump({
    xattrs: (path, info) => [
      { name: Buffer.from(`user.${path.slice(1) || 'root'}`), value: Buffer.from(String(info.size)) },
    ],
  });
  assert.match(called, /b'user\.f', \[byte 0x37\]/);
  assert.doesNotMatch(called, /user\.kept/);
});

test('pipes and devices are refused by path, unless their directory is left out', async () => {
  for (const mode of ['bare', 'bare-user-only', 'archive'] as const) {
    using scratch = new Scratch();
    const { repo, path, source } = await seededRepo(scratch, mode);
    using _ = repo;
    execFileSync('mkfifo', [scratch.join('repo-source', 'etc', 'pipe')]);
    for (const canonicalPermissions of [false, true]) {
      await assert.rejects(repo.commitDirectory(source, { timestamp: 1, canonicalPermissions }), (error: unknown) => {
        assert.ok(isOstreeError(error, 'notSupported'), String(error));
        assert.match(error.message, /etc\/pipe: not a file, directory or symbolic link/);
        return true;
      });
      await repo.commitDirectory(source, {
        timestamp: 1,
        canonicalPermissions,
        exclude: ['/etc', '/usr/bin/su'],
        ref: 'without',
      });
    }
    assert.match(ostree(path, 'fsck'), /no errors/);
  }
});

test('generateSizes records what the CLI records', async () => {
  using scratch = new Scratch();
  const source = writeTree(scratch.join('src'), basicFixture);
  using own = await Repo.create(scratch.join('own'), { mode: 'archive' });
  ostree(scratch.join('cli'), 'init', '--mode=archive');
  const checksum = await own.commitDirectory(source, { timestamp: TIMESTAMP, generateSizes: true });
  const cli = ostree(
    scratch.join('cli'),
    'commit',
    '-b',
    'x',
    '--generate-sizes',
    '--no-bindings',
    '--timestamp=@1700000000',
    source,
  ).trim();
  assert.equal(checksum, cli);
  assert.equal((await own.readCommit(checksum)).metadata['ostree.sizes']?.type, 'aay');
});

test('consume moves the files', async () => {
  using scratch = new Scratch();
  const { repo, path, source, commit } = await seededRepo(scratch);
  using _ = repo;
  const again = await repo.commitDirectory(source, { timestamp: TIMESTAMP, subject: 'seed', consume: true });
  assert.equal(again, commit);
  assert.equal(existsSync(scratch.join('repo-source', 'etc', 'hostname')), false);
  assert.match(ostree(path, 'fsck'), /no errors/);
});

test('a directory that does not exist, a file, and a name that is not UTF-8', async () => {
  using scratch = new Scratch();
  const { repo, source } = await seededRepo(scratch);
  using _ = repo;
  await assert.rejects(repo.commitDirectory(scratch.join('nothing'), { timestamp: 1 }), (error: unknown) =>
    isOstreeError(error, 'notFound'),
  );
  await assert.rejects(
    repo.commitDirectory(scratch.join('repo-source', 'usr.txt'), { timestamp: 1 }),
    /Not a directory/,
  );
  writeFileSync(Buffer.concat([Buffer.from(`${source}/bad-`), Buffer.of(0xff)]), '');
  await assert.rejects(repo.commitDirectory(source, { timestamp: 1 }), /UTF-8/);
  await (await repo.beginTransaction()).abort();
});

test('writeDirectory merges into a mutable tree', async () => {
  using scratch = new Scratch();
  const { repo, path, source } = await seededRepo(scratch, 'archive');
  using _ = repo;
  const extra = writeTree(scratch.join('extra'), { 'etc/more': 'more', 'opt/x': 'x' });
  using tree = MutableTree.create();
  await using transaction = await repo.beginTransaction();
  await Promise.all([repo.writeDirectory(source, tree), repo.writeDirectory(extra, tree, { exclude: ['/opt'] })]);
  const { rootTree, rootMeta } = await repo.writeMutableTree(tree);
  transaction.setRef('merged', await repo.writeCommit({ rootTree, rootMeta, timestamp: 1 }));
  await transaction.commit();
  const paths = new Set(listing(path, 'merged').map((line) => line.split(' ')[3]));
  assert.ok(paths.has('/etc/more') && paths.has('/etc/hostname') && !paths.has('/opt'));
});
