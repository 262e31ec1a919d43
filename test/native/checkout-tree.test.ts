import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  closeSync,
  copyFileSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { nativePath } from '../../trees/native-loader.js';
import { Repo } from '../../trees/ostree/index.js';
import { runNative } from '../../trees/store/addon.js';
import { getXattr, listXattrs, setXattr } from '../../trees/system/index.js';
import { asRoot, checkout, createRepo, isError } from '../support/checkout.js';
import { ostree } from '../support/ostree.js';
import { writeRawDirMeta, writeRawDirTree } from '../support/raw-objects.js';

const needsRoot = { skip: !asRoot && 'needs root' };

let dir: string;
let everything: string;
before(() => {
  dir = mkdtempSync(join(tmpdir(), 'trees-checkout-'));
  everything = makeEverything();
});
after(() => rmSync(dir, { recursive: true, force: true }));

/** All that stat(2), readlink(2) and listxattr(2) say; `shared` names files by their inode. */
function picture(root: string, path = '.', shared = true): Record<string, unknown> {
  const full = join(root, path);
  const { mode, uid, gid, size, ino, mtimeMs } = lstatSync(full);
  const directory = (mode & 0o170000) === 0o040000;
  const symlink = (mode & 0o170000) === 0o120000;
  const linked = shared && !directory && size > 0 && !symlink;
  // What bare-user repositories note about an object is not for copies of it.
  const xattrs = (symlink ? [] : listXattrs(full))
    .filter((name) => shared || name !== 'user.ostreemeta')
    .map((name) => [name, getXattr(full, name)?.toString('hex')]);
  const entries: Record<string, unknown> = {
    [path]: {
      mode,
      uid,
      gid,
      size: directory ? 0 : size,
      ...(directory ? { mtimeMs } : {}),
      ...(linked ? { ino } : {}),
      xattrs,
      target: symlink ? readlinkSync(full) : undefined,
    },
  };
  if (directory) for (const name of readdirSync(full)) Object.assign(entries, picture(root, join(path, name), shared));
  return entries;
}

/** A tree with everything that a tree can have. */
function makeEverything(): string {
  const source = mkdtempSync(join(dir, 'source-'));
  chmodSync(source, 0o755);
  for (const path of ['usr/bin', 'tmp', 'srv/team', 'empty', 'closed'])
    mkdirSync(join(source, path), { recursive: true });
  const file = (path: string, content: string, mode: number): void => {
    writeFileSync(join(source, path), content);
    chmodSync(join(source, path), mode);
  };
  file('usr/bin/su', 'set-id', 0o4755);
  file('usr/bin/wall', 'set-gid', 0o2755);
  file('usr/bin/tool', 'x'.repeat(100_000), 0o755);
  file('usr/nothing', '', 0o640);
  file('usr/nothing-set-id', '', 0o4711);
  file('usr/secret', 'shh', 0o600);
  file('usr/namé \u{1f332}', 'unicode', 0o644);
  symlinkSync('usr/bin', join(source, 'bin'));
  symlinkSync(`../${'long/'.repeat(400)}`, join(source, 'usr/long-link'));
  symlinkSync('/absolute', join(source, 'usr/absolute'));
  chmodSync(join(source, 'tmp'), 0o1777);
  chmodSync(join(source, 'srv/team'), 0o2770);
  file('closed/inside', 'x', 0o444);
  chmodSync(join(source, 'closed'), 0o555);
  for (let i = 0; i < 700; i += 1) file(`empty/${i}`, i % 7 === 0 ? '' : `file ${i % 50}`, 0o644);
  let deep = join(source, 'deep');
  for (let i = 0; i < 60; i += 1) deep = join(deep, `d${i}`);
  mkdirSync(deep, { recursive: true });
  writeFileSync(join(deep, 'bottom'), 'here');
  if (!asRoot) return source;
  chownSync(join(source, 'srv/team'), 5, 6);
  chownSync(join(source, 'usr/secret'), 12, 34);
  setXattr(join(source, 'usr/secret'), 'user.note', Buffer.from('on a file'));
  setXattr(join(source, 'srv'), 'user.note', Buffer.from('on a directory'));
  setXattr(join(source, 'usr/nothing'), 'user.note', Buffer.from('on an empty file'));
  setXattr(
    join(source, 'usr/bin/tool'),
    'security.capability',
    Buffer.from('0100000200000400000000000000000000000000', 'hex'),
  );
  return source;
}

const commitOf = (repo: string, source: string): string =>
  ostree(repo, 'commit', '--fsync=no', '--orphan', '--branch=x', '--timestamp=@0', `--tree=dir=${source}`).trim();

describe('checkout of a tree', () => {
  for (const mode of ['bare', 'bare-user'] as const) {
    it(`from a ${mode} repository is what ostree checkout makes`, {
      skip: mode === 'bare' && needsRoot.skip,
    }, async () => {
      const repo = await createRepo(mode, dir);
      const commit = commitOf(repo, everything);
      const user = mode === 'bare-user';
      const theirs = join(dir, `theirs-${mode}`);
      ostree(repo, 'checkout', '-H', ...(user ? ['-U'] : []), commit, theirs);
      const expected = picture(theirs);
      using open = await Repo.open(repo);
      const measured = await open.commitSize(commit);
      for (const threads of [1, 2, 8]) {
        const { path, files, size, placed, broken } = await checkout(repo, commit, { below: dir, user, threads });
        assert.deepEqual(picture(path), expected);
        assert.deepEqual({ files, size }, measured);
        assert.deepEqual([placed, broken], [files, 0]);
        rmSync(path, { recursive: true });
      }
      // A copy is the same but for being separate, and being so all over.
      const copied = await checkout(repo, commit, { below: dir, user, copy: true });
      assert.deepEqual(picture(copied.path, '.', false), picture(theirs, '.', false));
      assert.equal(lstatSync(join(copied.path, 'usr/bin/tool')).nlink, 1);
    });
  }

  it('keeps setuid bits and capabilities in root mode, and neither in user mode', needsRoot, async () => {
    for (const mode of ['bare', 'bare-user'] as const) {
      const repo = await createRepo(mode, dir);
      const user = mode === 'bare-user';
      const { path } = await checkout(repo, commitOf(repo, everything), { below: dir, user });
      const bits = (name: string): number => lstatSync(join(path, name)).mode & 0o7000;
      assert.deepEqual(
        ['usr/bin/su', 'usr/bin/wall', 'usr/nothing-set-id'].map(bits),
        user ? [0, 0, 0] : [0o4000, 0o2000, 0o4000],
      );
      const capability = getXattr(join(path, 'usr/bin/tool'), 'security.capability');
      assert.equal(capability === undefined, user);
      assert.equal(getXattr(join(path, 'srv'), 'user.note')?.toString(), user ? undefined : 'on a directory');
    }
  });

  it('works for a user who is not root, also with directories closed to him', needsRoot, async () => {
    const home = mkdtempSync(join(tmpdir(), 'trees-checkout-user-'));
    try {
      chmodSync(home, 0o755);
      const addon = join(home, 'store.node');
      copyFileSync(nativePath('store'), addon);
      const repo = await createRepo('bare-user', home);
      const commit = commitOf(repo, everything);
      execFileSync('chown', ['-R', '65534:65534', home]);
      mkdirSync(join(home, 'out'));
      chownSync(join(home, 'out'), 65534, 65534);
      const options = JSON.stringify({
        repositories: [repo],
        commit,
        user: true,
        fresh: true,
        merge: false,
        force: false,
        copy: false,
        threads: 2,
      });
      const script = `
        const native = require(${JSON.stringify(addon)});
        const directory = require('node:fs').openSync(${JSON.stringify(join(home, 'out'))}, 'r');
        native.checkout(native.newJob(), { ...${options}, directory }).then(({ files }) => console.log(files));`;
      const child = spawn(process.execPath, ['-e', script], { uid: 65534, gid: 65534, cwd: home, stdio: 'pipe' });
      let output = '';
      child.stdout.on('data', (data: Buffer) => (output += data.toString()));
      child.stderr.on('data', (data: Buffer) => (output += data.toString()));
      await new Promise((resolve) => child.on('close', resolve));
      assert.match(output, /^\d+\n$/);
      assert.equal(lstatSync(join(home, 'out/closed')).mode & 0o7777, 0o555);
      assert.equal(lstatSync(join(home, 'out/closed/inside')).uid, 65534);
    } finally {
      rmSync(home, { recursive: true, force: true });
    }
  });

  it('tells how far it is and can be cancelled in the middle', async () => {
    const repo = await createRepo('bare-user', dir);
    const empty = writeRawDirMeta(repo);
    using open = await Repo.open(repo);
    const content = await open.writeFile({
      kind: 'regular',
      content: Buffer.from('x'),
      uid: 0,
      gid: 0,
      mode: 0o644,
      xattrs: [],
    });
    const files = Array.from({ length: 20_000 }, (_, index) => [String(index).padStart(6, '0'), content] as const);
    const wide = writeRawDirTree(repo, { files });
    const dirs = Array.from({ length: 4 }, (_, index) => [`d${index}`, wide, empty] as const);
    const commit = await open.writeCommit({
      rootTree: writeRawDirTree(repo, { dirs }),
      rootMeta: empty,
      timestamp: 0,
    });
    const path = mkdtempSync(join(dir, 'cancelled-'));
    const directory = openSync(path, 'r');
    const abort = new AbortController();
    const seen: number[][] = [];
    try {
      const work = runNative(
        async (native, job) => {
          const timer = setInterval(() => {
            const progress = native.jobProgress(job);
            seen.push(progress);
            if (progress[0] > 0) abort.abort();
          }, 1);
          try {
            return await native.checkout(job, {
              repositories: [repo],
              commit,
              user: true,
              directory,
              fresh: true,
              merge: false,
              force: false,
              copy: false,
              threads: 2,
            });
          } finally {
            clearInterval(timer);
          }
        },
        { what: 'cannot check out', ioCode: 'STORE_UNUSABLE', signal: abort.signal },
      );
      await assert.rejects(work, isError('CANCELLED', /cancelled/));
    } finally {
      closeSync(directory);
    }
    const [done = 0, total] = seen.at(-1) ?? [];
    assert.equal(total, 80_004);
    assert.ok(done > 0 && done < 80_004, `${done} were done`);
  });

  it('says which object is missing, and where it belongs', async () => {
    const repo = await createRepo('bare-user', dir);
    const commit = commitOf(repo, everything);
    const [, gone = ''] = /([0-9a-f]{64}) \/usr\/secret/.exec(ostree(repo, 'ls', '-C', commit, '/usr/secret')) ?? [];
    rmSync(join(repo, 'objects', gone.slice(0, 2), `${gone.slice(2)}.file`));
    await assert.rejects(
      checkout(repo, commit, { below: dir, user: true }),
      isError('STORE_CORRUPT', new RegExp(`${gone}\\.file cannot be used: it is missing \\("/usr/secret"\\)`)),
    );
  });
});

describe('links beyond what the file system allows', () => {
  it('are made to a copy of that one object', needsRoot, async (t) => {
    const image = join(dir, 'small.img');
    const mount = join(dir, 'small');
    mkdirSync(mount);
    writeFileSync(image, '');
    truncateSync(image, 96 * 1024 * 1024);
    try {
      execFileSync('mkfs.ext4', ['-q', '-N', '20000', image], { stdio: 'pipe' });
      execFileSync('mount', ['-o', 'loop', image, mount], { stdio: 'pipe' });
    } catch (error) {
      t.skip(`needs mkfs.ext4 and loop devices: ${String(error)}`);
      return;
    }
    try {
      const repo = await createRepo('bare', mount);
      const source = mkdtempSync(join(dir, 'links-'));
      for (const name of ['a', 'b', 'c', 'd', 'e']) writeFileSync(join(source, name), 'the same');
      writeFileSync(join(source, 'other'), 'another');
      chmodSync(join(source, 'a'), 0o644);
      const commit = commitOf(repo, source);
      const [, checksum = ''] = /([0-9a-f]{64}) \/a/.exec(ostree(repo, 'ls', '-C', commit, '/a')) ?? [];
      const object = join(repo, 'objects', checksum.slice(0, 2), `${checksum.slice(2)}.file`);
      // ext4 takes 65,000.
      const others = join(mount, 'others');
      mkdirSync(others);
      for (let i = lstatSync(object).nlink; i < 64_998; i += 1) linkSync(object, join(others, String(i)));

      const { broken, placed, path: out } = await checkout(repo, commit, { below: mount, threads: 1 });
      assert.deepEqual([placed, broken], [6, 1]);
      const inodes = ['a', 'b', 'c', 'd', 'e'].map((name) => lstatSync(join(out, name)).ino);
      assert.equal(lstatSync(object).nlink, 65_000);
      assert.equal(inodes.filter((ino) => ino === lstatSync(object).ino).length, 2);
      assert.equal(new Set(inodes).size, 2, 'one copy, linked by the others');
      for (const name of ['a', 'b', 'c', 'd', 'e']) {
        const { mode, mtimeMs } = lstatSync(join(out, name));
        assert.deepEqual([mode & 0o7777, mtimeMs], [0o644, 0]);
        assert.equal(readFileSync(join(out, name), 'utf8'), 'the same');
      }
      assert.notEqual(lstatSync(join(out, 'other')).nlink, 1, 'only what has to be is copied');
    } finally {
      execFileSync('umount', [mount]);
    }
  });
});
