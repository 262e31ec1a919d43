import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Repo } from '../../trees/ostree/index.js';
import { checkoutInto } from '../../trees/store/checkout-into.js';
import { syncfs } from '../../trees/system/index.js';
import { noise } from '../support/delta-fixture.js';
import { mount, reasonToSkipMounts } from '../support/mount.js';
import { ostree } from '../support/ostree.js';

const SIZE = 24 * 1024 * 1024;
const skip = reasonToSkipMounts || reasonToSkipReflinks();

/** XFS takes 300 MB at least; the file is sparse. */
function makeFileSystem(file: string): void {
  writeFileSync(file, '');
  truncateSync(file, 400 * 1024 * 1024);
  const { status, stderr } = spawnSync('mkfs.xfs', ['-q', '-m', 'reflink=1', file], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
}

function reasonToSkipReflinks(): string | false {
  if (spawnSync('mkfs.xfs', ['-V']).status !== 0) return 'needs mkfs.xfs (xfsprogs), for a file system with reflinks';
  if (!readFileSync('/proc/filesystems', 'utf8').includes('\txfs\n')) return 'needs a kernel with XFS';
  return spawnSync('losetup', ['--find']).status === 0 ? false : 'needs a loop device';
}

describe('checkoutInto with copies on a file system with reflinks', { skip }, () => {
  it('shares blocks with the objects, and a change does not reach them', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'trees-reflink-'));
    try {
      makeFileSystem(join(dir, 'image'));
      const disk = join(dir, 'disk');
      await using _mounted = await mount(disk, ['-o', 'loop', join(dir, 'image')]);
      const repo = join(disk, 'store/repo');
      mkdirSync(join(disk, 'store'));
      mkdirSync(join(dir, 'source'));
      const content = noise(SIZE, 7);
      writeFileSync(join(dir, 'source/large'), content);
      (await Repo.create(repo, { mode: 'bare' })).close();
      const commit = ostree(repo, 'commit', '--orphan', '--branch=x', `--tree=dir=${join(dir, 'source')}`).trim();
      await syncfs(disk);
      const free = (): number => {
        const { bfree, bsize } = statfsSync(disk);
        return bfree * bsize;
      };
      const before = free();
      const target = join(disk, 'target');
      const what = { store: join(disk, 'store'), repo, user: false, commit };
      const { placed } = await checkoutInto(what, target, { force: false, copy: true });
      await syncfs(disk);
      assert.equal(placed, 1);
      assert.ok(before - free() < SIZE / 4, `${before - free()} bytes were taken for a copy of ${SIZE}`);
      assert.equal(statSync(join(target, 'large')).nlink, 1);
      assert.deepEqual(readFileSync(join(target, 'large')), content);
      writeFileSync(join(target, 'large'), 'changed');
      ostree(repo, 'fsck');
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
});
