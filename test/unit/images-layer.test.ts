import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { extractLayer } from '../../images/layer.js';
import { applyLayer, cleanRootfs } from '../../images/rootfs.js';
import { makeRules } from '../../images/rules.js';
import { nativePath } from '../../trees/native-loader.js';
import { setXattr } from '../../trees/system/index.js';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'trees-layer-'));
  for (const name of ['upper', 'lower']) mkdirSync(join(dir, name));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

// Whiteouts can be made by anyone; attributes named trusted.* only by root, so user.* stands in for them.
const native = existsSync(nativePath('system')) ? false : 'the addon "system" is not built';
const rules = makeRules({ kind: 'layer', exclude: ['/usr/share/doc/*'], keep: ['/usr/share/doc/*/copyright'] });

function put(side: 'upper' | 'lower', path: string, content = path, mode = 0o644): void {
  const file = join(dir, side, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
  chmodSync(file, mode);
}

function whiteout(path: string): void {
  mkdirSync(dirname(join(dir, 'upper', path)), { recursive: true });
  execFileSync('mknod', [join(dir, 'upper', path), 'c', '0', '0']);
}

function extract(warnings: string[] = []): string[] {
  const warn = (message: string): void => void warnings.push(message);
  extractLayer({
    upper: join(dir, 'upper'),
    lower: join(dir, 'lower'),
    out: join(dir, 'out'),
    rules,
    epoch: 86_400 * 20_000,
    warn,
  });
  return listing(join(dir, 'out'));
}

function listing(root: string, path = ''): string[] {
  return readdirSync(join(root, path))
    .sort()
    .flatMap((name) => {
      const child = `${path}/${name}`;
      return lstatSync(join(root, child)).isDirectory() ? [`${child}/`, ...listing(root, child)] : [child];
    });
}

test('files that are new or changed are part of the layer, with the directories that lead to them', {
  skip: native,
}, () => {
  put('lower', 'etc/same', 'same');
  put('lower', 'etc/content', 'old');
  put('lower', 'etc/mode', 'mode');
  put('lower', 'usr/lib/untouched');
  put('upper', 'etc/same', 'same');
  put('upper', 'etc/content', 'new');
  put('upper', 'etc/mode', 'mode', 0o600);
  put('upper', 'opt/new/file');
  mkdirSync(join(dir, 'upper/usr/lib'), { recursive: true });
  assert.deepEqual(extract(), ['/etc/', '/etc/content', '/etc/mode', '/opt/', '/opt/new/', '/opt/new/file']);
  assert.equal(readFileSync(join(dir, 'out/etc/content'), 'utf8'), 'new');
  assert.equal(lstatSync(join(dir, 'out/etc/mode')).mode & 0o7777, 0o600);
});

test('directories have the merged mode, and are part of the layer if only that changed', { skip: native }, () => {
  put('lower', 'srv/a/keep');
  mkdirSync(join(dir, 'upper/srv/a'), { recursive: true });
  chmodSync(join(dir, 'upper/srv/a'), 0o2750);
  mkdirSync(join(dir, 'upper/empty'));
  assert.deepEqual(extract(), ['/empty/', '/srv/', '/srv/a/']);
  assert.equal(lstatSync(join(dir, 'out/srv/a')).mode & 0o7777, 0o2750);
});

test('removals become whiteouts, but only of what is there', { skip: native }, () => {
  put('lower', 'etc/gone');
  put('lower', 'usr/dir/file');
  whiteout('etc/gone');
  whiteout('etc/never-was');
  whiteout('usr/dir');
  assert.deepEqual(extract(), ['/etc/', '/etc/.wh.gone', '/usr/', '/usr/.wh.dir']);
  assert.equal(lstatSync(join(dir, 'out/etc/.wh.gone')).size, 0);
});

test('a directory that was replaced is opaque, and everything in it is part of the layer', { skip: native }, () => {
  put('lower', 'etc/conf/old');
  put('lower', 'etc/conf/same', 'same');
  put('upper', 'etc/conf/same', 'same');
  setXattr(join(dir, 'upper/etc/conf'), 'user.overlay.opaque', Buffer.from('y'));
  assert.deepEqual(extract(), ['/etc/', '/etc/conf/', '/etc/conf/.wh..wh..opq', '/etc/conf/same']);
});

test('a file may replace a directory and a directory a file, neither needs a mark', { skip: native }, () => {
  put('lower', 'a/file');
  put('lower', 'b');
  put('upper', 'a');
  put('upper', 'b/file');
  setXattr(join(dir, 'upper/b'), 'user.overlay.opaque', Buffer.from('y'));
  assert.deepEqual(extract(), ['/a', '/b/', '/b/file']);
});

test('symbolic links compare by target, hard links stay one file', { skip: native }, () => {
  for (const side of ['lower', 'upper'] as const) {
    symlinkSync('target', join(dir, side, 'same'));
    symlinkSync(side, join(dir, side, 'changed'));
  }
  put('upper', 'one');
  linkSync(join(dir, 'upper/one'), join(dir, 'upper/two'));
  assert.deepEqual(extract(), ['/changed', '/one', '/two']);
  assert.equal(readlinkSync(join(dir, 'out/changed')), 'upper');
  assert.equal(lstatSync(join(dir, 'out/one')).ino, lstatSync(join(dir, 'out/two')).ino);
});

test('traces of the build are left out; directories of logs and caches stay', { skip: native }, () => {
  for (const path of [
    'etc/.pwd.lock',
    'etc/hostname',
    'etc/machine-id',
    'etc/passwd-',
    'etc/resolv.conf',
    'run/x',
    'tmp/x',
    'usr/sbin/policy-rc.d',
    'var/cache/apt/pkgcache.bin',
    'var/cache/app/x',
    'var/cache/ldconfig/aux-cache',
    'var/lib/apt/lists/x',
    'var/lib/dpkg/status',
    'var/lib/dpkg/status-old',
    'var/log/app/x.log',
    'var/log/dpkg.log',
  ]) {
    put('upper', path);
  }
  const directories = ['/etc/', '/run/', '/tmp/', '/usr/', '/usr/sbin/', '/var/', '/var/cache/', '/var/cache/app/'];
  const rest = [
    '/var/cache/apt/',
    '/var/cache/ldconfig/',
    '/var/lib/',
    '/var/lib/apt/',
    '/var/lib/dpkg/',
    '/var/log/',
    '/var/log/app/',
  ];
  assert.deepEqual(extract(), [...directories, ...rest].sort());
});

test('what a definition excludes is left out, exceptions are kept, empty directories are not', { skip: native }, () => {
  put('upper', 'usr/share/doc/a/changelog');
  put('upper', 'usr/share/doc/a/copyright');
  put('upper', 'usr/share/doc/b/changelog');
  assert.deepEqual(extract(), [
    '/usr/',
    '/usr/share/',
    '/usr/share/doc/',
    '/usr/share/doc/a/',
    '/usr/share/doc/a/copyright',
  ]);
});

test('files that record when they were written do not differ by that', { skip: native }, () => {
  const pyc = (mtime: number): Buffer => {
    const bytes = Buffer.alloc(20, 1);
    bytes.write('\xa7\x0d\x0d\x0a', 0, 'latin1');
    bytes.writeUInt32LE(0, 4);
    bytes.writeUInt32LE(mtime, 8);
    return bytes;
  };
  mkdirSync(join(dir, 'upper/lib'));
  writeFileSync(join(dir, 'upper/lib/m.pyc'), pyc(1_700_000_000));
  put('lower', 'etc/shadow', 'root:*:19000:0:99999:7:::\n', 0o640);
  put('upper', 'etc/shadow', 'root:*:19000:0:99999:7:::\napp:!:20777::::::\n', 0o640);
  extract();
  assert.deepEqual(readFileSync(join(dir, 'out/lib/m.pyc')), pyc(0));
  assert.equal(readFileSync(join(dir, 'out/etc/shadow'), 'utf8'), 'root:*:19000:0:99999:7:::\napp:!:20000::::::\n');
});

test('sockets and pipes are left out with a warning', { skip: native }, () => {
  execFileSync('mkfifo', [join(dir, 'upper/pipe')]);
  const warnings: string[] = [];
  assert.deepEqual(extract(warnings), []);
  assert.match(warnings.join(), /^\/pipe is left out/);
});

test('what a layer cannot express is refused by path', { skip: native }, () => {
  put('upper', 'opt/.wh.x');
  assert.throws(() => extract(), /\/opt\/\.wh\.x cannot be part of a layer/);
  rmSync(join(dir, 'upper/opt'), { recursive: true });
  rmSync(join(dir, 'out'), { recursive: true });
  mkdirSync(join(dir, 'upper/moved'));
  setXattr(join(dir, 'upper/moved'), 'user.overlay.redirect', Buffer.from('/old'));
  assert.throws(() => extract(), /\/moved cannot be part of a layer: it has the attribute user\.overlay\.redirect/);
});

test('applying a layer to what was below gives what the overlay showed', { skip: native }, () => {
  for (const path of ['etc/gone', 'etc/kept', 'conf/old', 'a/file', 'b']) put('lower', path);
  whiteout('etc/gone');
  put('upper', 'etc/new');
  put('upper', 'conf/new');
  setXattr(join(dir, 'upper/conf'), 'user.overlay.opaque', Buffer.from('y'));
  put('upper', 'a', 'a file now');
  put('upper', 'b/file');
  extract();
  applyLayer(join(dir, 'out'), join(dir, 'lower'));
  assert.deepEqual(listing(join(dir, 'lower')), [
    '/a',
    '/b/',
    '/b/file',
    '/conf/',
    '/conf/new',
    '/etc/',
    '/etc/kept',
    '/etc/new',
  ]);
  assert.equal(readFileSync(join(dir, 'lower/a'), 'utf8'), 'a file now');
});

test('a base keeps nothing of the machine that made it', {
  skip: native || (process.getuid?.() !== 0 && 'needs root'),
}, () => {
  put('lower', 'etc/hostname', 'builder\n');
  put('lower', 'etc/resolv.conf', 'nameserver 192.0.2.1\n');
  put('lower', 'etc/machine-id', '0123\n');
  put('lower', 'var/log/dpkg.log');
  put('lower', 'var/cache/debconf/templates.dat');
  put('lower', 'var/cache/debconf/templates.dat-old');
  mkdirSync(join(dir, 'lower/dev'));
  execFileSync('mknod', [join(dir, 'lower/dev/null'), 'c', '1', '3']);
  const baseRules = makeRules({ kind: 'base', exclude: [], keep: [] });
  cleanRootfs(join(dir, 'lower'), { rules: baseRules, epoch: 0, warn: assert.fail });
  const wanted = [
    '/etc/hostname',
    '/etc/hosts',
    '/etc/machine-id',
    '/etc/resolv.conf',
    '/var/cache/debconf/templates.dat',
  ];
  assert.deepEqual(
    listing(join(dir, 'lower')).filter((path) => !path.endsWith('/')),
    wanted,
  );
  assert.equal(readFileSync(join(dir, 'lower/etc/hostname'), 'utf8'), 'localhost\n');
  assert.equal(readFileSync(join(dir, 'lower/etc/machine-id'), 'utf8'), '');
  assert.equal(readFileSync(join(dir, 'lower/etc/resolv.conf'), 'utf8'), '');
  assert.equal(lstatSync(join(dir, 'lower/tmp')).mode & 0o7777, 0o1777);
});
