import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
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
import { checkoutInto } from '../../trees/store/checkout-into.js';
import { getXattr, setXattr } from '../../trees/system/index.js';

let dir: string;
let rootfs: string;
let target: string;
const options = () => ({ force: false, copy: false, store: join(dir, 'store') });

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'trees-into-'));
  rootfs = join(dir, 'store/apps/x/1/rootfs');
  target = join(dir, 'target');
  mkdirSync(join(rootfs, 'usr/bin'), { recursive: true });
  chmodSync(join(rootfs, 'usr'), 0o751);
  writeFileSync(join(rootfs, 'usr/bin/tool'), 'tool');
  writeFileSync(join(rootfs, 'usr/conf'), 'new');
  symlinkSync('usr/bin', join(rootfs, 'bin'));
});

afterEach(() => rmSync(dir, { recursive: true, force: true }));

const inode = (path: string): number => lstatSync(path).ino;

describe('checkoutInto', () => {
  it('links files and symlinks into a new directory and says nothing changed the second time', () => {
    const first = checkoutInto(rootfs, target, options());
    assert.deepEqual(first, { placed: 3, same: 0, kept: [] });
    assert.equal(inode(join(target, 'usr/bin/tool')), inode(join(rootfs, 'usr/bin/tool')));
    assert.equal(inode(join(target, 'bin')), inode(join(rootfs, 'bin')));
    assert.equal(statSync(join(target, 'usr')).mode & 0o7777, 0o751);
    assert.deepEqual(checkoutInto(rootfs, target, options()), { placed: 0, same: 3, kept: [] });
  });

  it('keeps what is there, and files in the way unless forced', () => {
    mkdirSync(join(target, 'usr'), { recursive: true, mode: 0o700 });
    writeFileSync(join(target, 'usr/conf'), 'mine');
    writeFileSync(join(target, 'usr/own'), 'mine');
    const result = checkoutInto(rootfs, target, options());
    assert.deepEqual(result.kept, ['usr/conf']);
    assert.equal(readFileSync(join(target, 'usr/conf'), 'utf8'), 'mine');
    assert.equal(statSync(join(target, 'usr')).mode & 0o7777, 0o700, 'an existing directory keeps its mode');

    checkoutInto(rootfs, target, { ...options(), force: true });
    assert.equal(readFileSync(join(target, 'usr/conf'), 'utf8'), 'new');
    assert.equal(readFileSync(join(target, 'usr/own'), 'utf8'), 'mine');
  });

  it('does not write through a symlink in the target', () => {
    const outside = join(dir, 'outside');
    mkdirSync(outside);
    mkdirSync(target);
    symlinkSync(outside, join(target, 'usr'));
    assert.throws(() => checkoutInto(rootfs, target, options()), isError('PATH_CONFLICT', /symbolic link/));
    assert.equal(existsSync(join(outside, 'bin')), false);

    checkoutInto(rootfs, target, { ...options(), force: true });
    assert.equal(existsSync(join(outside, 'bin')), false);
    assert.ok(lstatSync(join(target, 'usr')).isDirectory());
    assert.equal(readFileSync(join(target, 'usr/conf'), 'utf8'), 'new');
  });

  it('does not follow a symlink that is where a file belongs', () => {
    const outside = join(dir, 'victim');
    writeFileSync(outside, 'precious');
    mkdirSync(join(target, 'usr'), { recursive: true });
    symlinkSync(outside, join(target, 'usr/conf'));
    for (const copy of [false, true]) checkoutInto(rootfs, target, { ...options(), force: true, copy });
    assert.equal(readFileSync(outside, 'utf8'), 'precious');
    assert.ok(lstatSync(join(target, 'usr/conf')).isFile());
  });

  it('never replaces a directory by a file', () => {
    mkdirSync(join(target, 'usr/conf'), { recursive: true });
    writeFileSync(join(target, 'usr/conf/own'), 'mine');
    assert.throws(
      () => checkoutInto(rootfs, target, { ...options(), force: true }),
      isError('PATH_CONFLICT', /directory is where a file belongs/),
    );
    assert.equal(readFileSync(join(target, 'usr/conf/own'), 'utf8'), 'mine');
  });

  it('copies with modes and attributes where it is told to', () => {
    chmodSync(join(rootfs, 'usr/bin/tool'), 0o4755);
    setXattr(join(rootfs, 'usr/bin/tool'), 'user.note', Buffer.from('kept'));
    checkoutInto(rootfs, target, { ...options(), copy: true });
    const copied = join(target, 'usr/bin/tool');
    assert.notEqual(inode(copied), inode(join(rootfs, 'usr/bin/tool')));
    assert.equal(statSync(copied).mode & 0o7777, 0o4755);
    assert.equal(getXattr(copied, 'user.note')?.toString(), 'kept');
    assert.equal(readlinkSync(join(target, 'bin')), 'usr/bin');
  });

  it('says that another file system needs --copy, before anything is written', (t) => {
    if (!existsSync('/dev/shm') || statSync('/dev/shm').dev === statSync(dir).dev) {
      t.skip('needs /dev/shm to be another file system than the temporary directory');
      return;
    }
    const other = mkdtempSync('/dev/shm/trees-into-');
    try {
      assert.throws(
        () => checkoutInto(rootfs, join(other, 'x'), options()),
        isError('UNSUPPORTED', /another file system/),
      );
      assert.equal(existsSync(join(other, 'x')), false);
      assert.equal(checkoutInto(rootfs, join(other, 'x'), { ...options(), copy: true }).placed, 3);
    } finally {
      rmSync(other, { recursive: true, force: true });
    }
  });

  it('refuses to write into the store', () => {
    assert.throws(
      () => checkoutInto(rootfs, join(dir, 'store/apps'), options()),
      isError('USAGE', /outside of the store/),
    );
    assert.throws(() => checkoutInto(rootfs, rootfs, options()), isError('USAGE', /outside of the store/));
  });
});

function isError(code: string, message: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof TreesError && error.code === code && message.test(error.message);
}
