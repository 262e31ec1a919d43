import assert from 'node:assert/strict';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { copyContent, findTreeDirectory } from '../../trees/run/volume-content.js';

const directory = mkdtempSync(join(tmpdir(), 'trees-volume-'));
after(() => rmSync(directory, { recursive: true }));
const tree = join(directory, 'tree');
const outside = join(directory, 'outside');
mkdirSync(join(tree, 'srv/data'), { recursive: true });
mkdirSync(join(tree, 'run'));
mkdirSync(outside);
symlinkSync('/run', join(tree, 'absolute'));
symlinkSync('../../../../../../run', join(tree, 'srv/up'));
symlinkSync(outside, join(tree, 'out'));
symlinkSync('/proc/self/cwd', join(tree, 'magic'));
symlinkSync('loop', join(tree, 'loop'));
writeFileSync(join(tree, 'file'), '');

test('paths of a tree are found inside of it, whatever its links say', () => {
  assert.equal(findTreeDirectory(tree, '/srv/data'), join(tree, 'srv/data'));
  assert.equal(findTreeDirectory(tree, '/srv/./data/../data'), join(tree, 'srv/data'));
  assert.equal(findTreeDirectory(tree, '/absolute'), join(tree, 'run'));
  assert.equal(findTreeDirectory(tree, '/srv/up'), join(tree, 'run'));
  assert.equal(findTreeDirectory(tree, '/../../..'), tree);
  for (const path of ['/out', '/magic', '/loop', '/file', '/file/x', '/none']) {
    assert.equal(findTreeDirectory(tree, path), undefined, path);
  }
});

test('files, directories and links are copied with modes and times; links are not followed', () => {
  const from = join(directory, 'from');
  const to = join(directory, 'to');
  mkdirSync(join(from, 'sub'), { recursive: true });
  mkdirSync(to);
  writeFileSync(join(from, 'sub/file'), 'content', { mode: 0o640 });
  utimesSync(join(from, 'sub/file'), 1000, 2000);
  symlinkSync('/etc/passwd', join(from, 'link'));
  copyContent(from, to);
  assert.deepEqual(readdirSync(to).sort(), ['link', 'sub']);
  assert.equal(readFileSync(join(to, 'sub/file'), 'utf8'), 'content');
  const { mode, mtimeMs } = statSync(join(to, 'sub/file'));
  assert.deepEqual([mode & 0o7777, mtimeMs], [0o640, 2_000_000]);
});
