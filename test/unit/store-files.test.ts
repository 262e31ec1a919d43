import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { discardTree, removeIfEmpty, removeTree } from '../../trees/store/files.js';

let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'trees-files-'));
});

afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe('removeTree', () => {
  it('removes directories that nobody may enter, and follows no symlink', async () => {
    const outside = join(dir, 'outside');
    mkdirSync(outside, { mode: 0o750 });
    writeFileSync(join(outside, 'precious'), '');
    const tree = join(dir, 'tree');
    mkdirSync(join(tree, 'a/b'), { recursive: true });
    writeFileSync(join(tree, 'a/b/file'), '');
    symlinkSync(outside, join(tree, 'a/link'));
    chmodSync(join(tree, 'a/b'), 0o000);
    chmodSync(join(tree, 'a'), 0o500);
    await removeTree(tree);
    assert.equal(existsSync(tree), false);
    assert.deepEqual(readdirSync(outside), ['precious']);
    assert.equal(statSync(outside).mode & 0o777, 0o750);
  });

  it('has nothing to do where there is nothing', async () => {
    await removeTree(join(dir, 'none'));
    await discardTree(join(dir, 'none'));
    await removeIfEmpty(join(dir, 'none'));
  });
});
