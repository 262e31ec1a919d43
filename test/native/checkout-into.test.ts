import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { TreesError } from '../../trees/errors.js';
import { Repo } from '../../trees/ostree/index.js';
import { checkoutInto, type IntoOptions, type IntoResult } from '../../trees/store/checkout-into.js';
import { getXattr, setXattr } from '../../trees/system/index.js';
import { ostree } from '../support/ostree.js';
import { writeRawDirTree } from '../support/raw-objects.js';

const asRoot = process.geteuid?.() === 0;

let dir: string;
let repo: string;
let source: string;
let target: string;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'trees-into-'));
  repo = join(dir, 'store/repo');
  source = join(dir, 'source');
  target = join(dir, 'target');
  mkdirSync(join(dir, 'store'));
  mkdirSync(join(source, 'usr/bin'), { recursive: true });
  chmodSync(source, 0o755);
  chmodSync(join(source, 'usr'), 0o751);
  writeFileSync(join(source, 'usr/bin/tool'), 'tool');
  writeFileSync(join(source, 'usr/conf'), 'new');
  writeFileSync(join(source, 'usr/empty'), '');
  symlinkSync('usr/bin', join(source, 'bin'));
  (await Repo.create(repo, { mode: asRoot ? 'bare' : 'bare-user' })).close();
});

afterEach(() => rmSync(dir, { recursive: true, force: true }));

const inode = (path: string): number => lstatSync(path).ino;

function commit(): string {
  return ostree(repo, 'commit', '--orphan', '--branch=x', '--timestamp=@0', `--tree=dir=${source}`).trim();
}

async function into(options: Partial<IntoOptions> = {}, where = target): Promise<IntoResult> {
  const what = { store: join(dir, 'store'), repo, user: !asRoot, commit: commit() };
  return await checkoutInto(what, where, { force: false, copy: false, ...options });
}

function objectOf(path: string): string {
  const [, checksum = ''] = /^-\S+ +\d+ +\d+ +\d+ ([0-9a-f]{64})/.exec(ostree(repo, 'ls', '-C', commit(), path)) ?? [];
  return join(repo, 'objects', checksum.slice(0, 2), `${checksum.slice(2)}.file`);
}

/** Nothing that a checkout makes for itself stays behind. */
function assertNoTemporaries(where = target): void {
  const left = readdirSync(where, { recursive: true, encoding: 'utf8' }).filter((name) => /\.co-/.test(name));
  assert.deepEqual(left, []);
}

describe('checkoutInto', () => {
  it('links files and symlinks into a new directory and says nothing changed the second time', async () => {
    assert.deepEqual(await into(), { placed: 4, same: 0, copied: 0, kept: [] });
    assert.equal(inode(join(target, 'usr/bin/tool')), inode(objectOf('/usr/bin/tool')));
    assert.equal(readlinkSync(join(target, 'bin')), 'usr/bin');
    assert.equal(statSync(join(target, 'usr')).mode & 0o7777, 0o751);
    assert.equal(statSync(target).mode & 0o7777, 0o755, 'a new target is the root of the tree');
    assert.deepEqual(await into(), { placed: 0, same: 4, copied: 0, kept: [] });
    assert.deepEqual(await into({ force: true }), { placed: 0, same: 4, copied: 0, kept: [] });
    assertNoTemporaries();
  });

  it('keeps what is there, and files in the way unless forced', async () => {
    mkdirSync(join(target, 'usr'), { recursive: true });
    chmodSync(join(target, 'usr'), 0o700);
    chmodSync(target, 0o711);
    writeFileSync(join(target, 'usr/conf'), 'mine');
    writeFileSync(join(target, 'usr/empty'), 'not empty');
    writeFileSync(join(target, 'usr/own'), 'mine');
    symlinkSync('elsewhere', join(target, 'bin'));
    const result = await into();
    assert.deepEqual(result.kept, ['bin', 'usr/conf', 'usr/empty']);
    assert.equal(readFileSync(join(target, 'usr/conf'), 'utf8'), 'mine');
    assert.equal(statSync(join(target, 'usr')).mode & 0o7777, 0o700, 'an existing directory keeps its mode');
    assert.equal(statSync(target).mode & 0o7777, 0o711);

    assert.equal((await into({ force: true })).placed, 3);
    assert.equal(readFileSync(join(target, 'usr/conf'), 'utf8'), 'new');
    assert.equal(readFileSync(join(target, 'usr/empty'), 'utf8'), '');
    assert.equal(readFileSync(join(target, 'usr/own'), 'utf8'), 'mine');
    assert.equal(readlinkSync(join(target, 'bin')), 'usr/bin');
    assertNoTemporaries();
  });

  it('does not write through a symlink in the target, not even one of its own making', async () => {
    const outside = join(dir, 'outside');
    mkdirSync(outside);
    mkdirSync(target);
    symlinkSync(outside, join(target, 'usr'));
    for (const copy of [false, true]) {
      await assert.rejects(into({ copy }), isError('PATH_CONFLICT', /symbolic link is where a directory belongs.*usr/));
      assert.deepEqual(readdirSync(outside), []);
    }
    await into({ force: true });
    assert.deepEqual(readdirSync(outside), []);
    assert.ok(lstatSync(join(target, 'usr')).isDirectory());
    assert.equal(readFileSync(join(target, 'usr/conf'), 'utf8'), 'new');

    // One tree brings a symlink, the next one a directory of that name.
    rmSync(join(source, 'usr'), { recursive: true });
    symlinkSync(outside, join(source, 'lib'));
    await into();
    rmSync(join(source, 'lib'));
    mkdirSync(join(source, 'lib'));
    writeFileSync(join(source, 'lib/evil'), 'x');
    await assert.rejects(into(), isError('PATH_CONFLICT', /symbolic link/));
    assert.deepEqual(readdirSync(outside), []);
  });

  it('does not follow a symlink that is where a file belongs', async () => {
    const outside = join(dir, 'victim');
    writeFileSync(outside, 'precious');
    for (const copy of [false, true]) {
      rmSync(target, { recursive: true, force: true });
      mkdirSync(join(target, 'usr'), { recursive: true });
      symlinkSync(outside, join(target, 'usr/conf'));
      symlinkSync(outside, join(target, 'usr/empty'));
      await into({ force: true, copy });
      assert.equal(readFileSync(outside, 'utf8'), 'precious');
      assert.ok(lstatSync(join(target, 'usr/conf')).isFile());
      assert.ok(lstatSync(join(target, 'usr/empty')).isFile());
    }
  });

  it('never replaces a directory by a file', async () => {
    mkdirSync(join(target, 'usr/conf'), { recursive: true });
    writeFileSync(join(target, 'usr/conf/own'), 'mine');
    await assert.rejects(
      into({ force: true }),
      isError('PATH_CONFLICT', /directory is where a file belongs.*usr\/conf/),
    );
    assert.equal(readFileSync(join(target, 'usr/conf/own'), 'utf8'), 'mine');
    assert.deepEqual((await into()).kept, ['usr/conf']);
  });

  it('copies with owners, modes and attributes where it is told to', { skip: !asRoot && 'needs root' }, async () => {
    chownSync(join(source, 'usr/bin/tool'), 12, 34);
    chmodSync(join(source, 'usr/bin/tool'), 0o4755);
    setXattr(join(source, 'usr/bin/tool'), 'user.note', Buffer.from('kept'));
    setXattr(join(source, 'usr'), 'user.dir', Buffer.from('kept, too'));
    const capability = Buffer.from('0100000200000400000000000000000000000000', 'hex');
    setXattr(join(source, 'usr/conf'), 'security.capability', capability);
    assert.equal((await into({ copy: true })).placed, 4);
    const copied = join(target, 'usr/bin/tool');
    const { mode, uid, gid, ino, nlink, mtimeMs } = statSync(copied);
    assert.notEqual(ino, inode(objectOf('/usr/bin/tool')));
    assert.deepEqual([mode & 0o7777, uid, gid, nlink, mtimeMs], [0o4755, 12, 34, 1, 0]);
    assert.equal(getXattr(copied, 'user.note')?.toString(), 'kept');
    assert.equal(getXattr(join(target, 'usr'), 'user.dir')?.toString(), 'kept, too');
    assert.deepEqual(getXattr(join(target, 'usr/conf'), 'security.capability'), capability);
    assert.equal(readlinkSync(join(target, 'bin')), 'usr/bin');
    assert.equal((await into({ copy: true })).same, 4, 'what was copied before is there as it should be');
    assertNoTemporaries();
  });

  it('makes links of copies and copies of links only with force', async () => {
    await into();
    assert.equal((await into({ copy: true })).same, 4);
    assert.equal((await into({ copy: true, force: true })).placed > 0, true);
    assert.equal(statSync(join(target, 'usr/conf')).nlink, 1);
    assert.equal((await into()).same, 4);
    assert.equal((await into({ force: true })).placed > 0, true);
    assert.equal(inode(join(target, 'usr/conf')), inode(objectOf('/usr/conf')));
    assertNoTemporaries();
  });

  it('says that another file system needs --copy, before anything is written', async (t) => {
    if (!existsSync('/dev/shm') || statSync('/dev/shm').dev === statSync(dir).dev) {
      t.skip('needs /dev/shm to be another file system than the temporary directory');
      return;
    }
    const other = mkdtempSync('/dev/shm/trees-into-');
    try {
      await assert.rejects(into({}, join(other, 'x')), isError('UNSUPPORTED', /another file system/));
      assert.equal(existsSync(join(other, 'x')), false);
      assert.equal((await into({ copy: true }, join(other, 'x'))).placed, 4);
      assert.equal(readFileSync(join(other, 'x/usr/bin/tool'), 'utf8'), 'tool');
    } finally {
      rmSync(other, { recursive: true, force: true });
    }
  });

  it('refuses to write into the store', async () => {
    await assert.rejects(into({}, join(dir, 'store/apps')), isError('USAGE', /outside of the store/));
    await assert.rejects(into({}, join(dir, 'store')), isError('USAGE', /outside of the store/));
    symlinkSync(join(dir, 'store'), join(dir, 'alias'));
    await assert.rejects(into({}, join(dir, 'alias/apps')), isError('USAGE', /outside of the store/));
  });

  it('stops when it is cancelled', async () => {
    await assert.rejects(into({ signal: AbortSignal.abort() }), isError('CANCELLED', /cancelled/));
  });
});

function isError(code: string, message: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof TreesError && error.code === code && message.test(error.message);
}

describe('a tree with a device node among its objects', { skip: !asRoot && 'needs root' }, () => {
  /** The link tree's last path is refused, so that everything else would have been put there before. */
  async function refused(where: string): Promise<void> {
    const object = join('objects', 'de', `${'d'.repeat(62)}.file`);
    mkdirSync(join(repo, 'objects/de'), { recursive: true });
    execFileSync('mknod', [join(repo, object), 'c', '1', '3']);
    const open = await Repo.open(repo);
    const { rootTree, rootMeta } = await open.readCommit(commit());
    const below = writeRawDirTree(repo, { files: [['null', `de${'d'.repeat(62)}`]] });
    const tree = writeRawDirTree(repo, {
      dirs: [
        ['a', rootTree, rootMeta],
        ['z', below, rootMeta],
      ],
    });
    const hostile = await open.writeCommit({ rootTree: tree, rootMeta, timestamp: 0 });
    open.close();
    const what = { store: join(dir, 'store'), repo, user: false, commit: hostile };
    await assert.rejects(checkoutInto(what, where, { force: true, copy: false }), (error) => {
      assert.ok(error instanceof TreesError && error.code === 'LAYER_INVALID', String(error));
      assert.match(error.message, /it is a device node \("\/z\/null"\)/);
      return true;
    });
  }

  it('leaves nothing behind where there was nothing', async () => {
    await refused(join(dir, 'not/there'));
    assert.equal(existsSync(join(dir, 'not')), false);
  });

  it('changes nothing in a directory that was there', async () => {
    mkdirSync(join(target, 'a/usr'), { recursive: true });
    writeFileSync(join(target, 'a/usr/conf'), 'mine');
    await refused(target);
    assert.deepEqual(readdirSync(target), ['a']);
    assert.deepEqual(readdirSync(join(target, 'a')), ['usr']);
    assert.equal(readFileSync(join(target, 'a/usr/conf'), 'utf8'), 'mine');
  });
});
