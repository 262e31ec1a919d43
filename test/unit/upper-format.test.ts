import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { extractLayer } from '../../images/layer.js';
import { makeRules } from '../../images/rules.js';
import { nativePath } from '../../trees/native-loader.js';
import { openMergedRoot } from '../../trees/run/merged-directory.js';
import type { SafeDirectory } from '../../trees/run/safe-directory.js';
import { diffUpper } from '../../trees/run/upper-diff.js';
import { upperFormat, upperKind } from '../../trees/run/upper-format.js';
import { setXattr } from '../../trees/system/index.js';

const skip = existsSync(nativePath('system')) ? false : 'the addon "system" is not built';
let dir: string;
let upper: string;
let lower: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'trees-upper-'));
  [upper, lower] = [join(dir, 'upper'), join(dir, 'lower')];
  for (const path of [upper, lower]) mkdirSync(path);
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function put(side: string, path: string, content = ''): void {
  mkdirSync(dirname(join(side, path)), { recursive: true });
  writeFileSync(join(side, path), content);
}

const byFuse = (): void => writeFileSync(join(dir, '.fuse-overlayfs'), '1\n');
const changes = (): string[] => diffUpper(upper, lower).map(({ change, path }) => `${change} ${path}`);

function names(root: SafeDirectory, path = ''): string[] {
  return root.names().flatMap((name) => {
    using child = root.enter(name);
    return child === undefined ? [`${path}/${name}`] : [`${path}/${name}/`, ...names(child, `${path}/${name}`)];
  });
}

function merged(): string[] {
  using root = openMergedRoot({ upper, lower, mounts: new Map(), format: upperFormat(upper) });
  return names(root);
}

/** What fuse-overlayfs 1.10 leaves, with and without device nodes: see its `create_whiteout` and `set_fd_opaque`. */
function likeFuse(): void {
  byFuse();
  for (const path of ['etc/marker', 'etc/device', 'home/app/file', 'srv/old', 'srv/kept', 'var/a'])
    put(lower, path, 'l');
  put(upper, 'etc/.wh.marker');
  execFileSync('mknod', [join(upper, 'etc/device'), 'c', '0', '0']);
  put(upper, '.wh.home');
  put(upper, 'srv/.wh..wh..opq');
  execFileSync('mknod', [join(upper, 'srv/.wh..opq'), 'c', '0', '0']);
  put(upper, 'srv/kept', 'new');
  mkdirSync(join(upper, 'var'));
  setXattr(join(upper, 'var'), 'user.fuseoverlayfs.opaque', Buffer.from('y'));
}

test('an empty mark, or none: the kernel’s', () => {
  assert.equal(upperKind(upper), 'kernel');
  writeFileSync(join(dir, '.fuse-overlayfs'), '');
  assert.equal(upperKind(upper), 'kernel');
  byFuse();
  assert.equal(upperKind(upper), 'fuse-overlayfs');
});

test('of the kernel’s such names are files like any other', { skip }, () => {
  put(lower, 'x', 'l');
  put(upper, '.wh.x', 'mine');
  assert.deepEqual(changes(), ['A /.wh.x']);
  assert.deepEqual(merged(), ['/.wh.x', '/x']);
});

test('differences and the merged tree', { skip }, () => {
  likeFuse();
  assert.deepEqual(changes(), [
    'C /etc/',
    'D /etc/device',
    'D /etc/marker',
    'D /home',
    'C /srv/',
    'D /srv/old',
    'C /srv/kept',
    'C /var/',
    'D /var/a',
  ]);
  assert.deepEqual(merged(), ['/etc/', '/srv/', '/srv/kept', '/var/']);
});

test('what is made in the place of something removed shows, and shows nothing of that', { skip }, () => {
  likeFuse();
  {
    using root = openMergedRoot({ upper, lower, mounts: new Map(), format: upperFormat(upper) });
    root.make('home', (path) => mkdirSync(path));
    using etc = root.enter('etc');
    etc?.make('marker', (path) => writeFileSync(path, 'again'));
    etc?.make('device', (path) => writeFileSync(path, 'again'));
    assert.throws(() => root.make('.wh.x', (path) => mkdirSync(path)), { code: 'UNSUPPORTED' });
  }
  assert.deepEqual(merged(), ['/etc/', '/etc/device', '/etc/marker', '/home/', '/srv/', '/srv/kept', '/var/']);
  assert.equal(readFileSync(join(upper, 'etc/marker'), 'utf8'), 'again');
  assert.deepEqual(readdirSync(join(upper, 'home')), ['.wh..wh..opq']);
});

test('a layer of it', { skip }, () => {
  likeFuse();
  put(upper, 'new', 'n');
  setXattr(join(upper, 'new'), 'user.fuseoverlayfs.origin', Buffer.from('x'));
  const out = join(dir, 'out');
  const rules = makeRules({ kind: 'layer', exclude: [], keep: [] });
  const format = upperFormat(upper);
  extractLayer({ upper, format, lower, out, rules, epoch: 86_400 * 20_000, warn: assert.fail });
  const found = execFileSync('find', ['.', '-type', 'f'], { cwd: out, encoding: 'utf8' }).trim().split('\n').sort();
  assert.deepEqual(found, [
    './.wh.home',
    './etc/.wh.device',
    './etc/.wh.marker',
    './new',
    './srv/.wh..wh..opq',
    './srv/kept',
    './var/.wh..wh..opq',
  ]);
});
