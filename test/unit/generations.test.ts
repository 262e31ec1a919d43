import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { TreesError } from '../../trees/errors.js';
import { replaceSymlink } from '../../trees/store/files.js';
import {
  currentNumber,
  type Generation,
  listGenerations,
  listInstalled,
  readInstalled,
  requireInstalled,
} from '../../trees/store/generations.js';
import { type StorePaths, storePaths } from '../../trees/store/paths.js';

let root: string;
let paths: StorePaths;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'trees-generations-'));
  paths = storePaths(root);
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

function generation(name: string, number: number): Generation {
  return {
    schema: 1,
    number,
    name,
    app: name,
    version: `1.0.${number}`,
    arch: 'x86_64',
    summary: '',
    feed: 'main',
    base: { name: 'deb', version: '12.0.0', commit: 'a'.repeat(64) },
    layer: 'b'.repeat(64),
    tree: 'c'.repeat(64),
    size: 10,
    files: 1,
    installed: '2026-01-01T00:00:00.000Z',
    run: { exec: ['/bin/x'] },
  };
}

function make(name: string, number: number, content: string = JSON.stringify(generation(name, number))): void {
  mkdirSync(join(paths.generation(name, number), 'rootfs'), { recursive: true });
  writeFileSync(join(paths.generation(name, number), 'generation.json'), content);
}

describe('generations', () => {
  it('reads what is current and which others there are, in numeric order', () => {
    for (const number of [1, 2, 10]) make('x', number);
    symlinkSync('2', paths.current('x'));
    const app = readInstalled(paths, 'x');
    assert.deepEqual(app?.generations, [1, 2, 10]);
    assert.deepEqual(app.current, generation('x', 2));
  });

  it('lists apps by name, and none where there is no store', () => {
    assert.deepEqual(listInstalled(paths), []);
    for (const name of ['b', 'a']) {
      make(name, 1);
      symlinkSync('1', paths.current(name));
    }
    assert.deepEqual(
      listInstalled(paths).map((app) => app.name),
      ['a', 'b'],
    );
  });

  it('takes no leftover of a killed command for a generation', () => {
    make('x', 1);
    mkdirSync(join(paths.generation('x', 2), 'rootfs'), { recursive: true });
    mkdirSync(join(paths.app('x'), '.new-0123456789ab/rootfs'), { recursive: true });
    writeFileSync(join(paths.app('x'), '.new-0123456789ab/generation.json'), JSON.stringify(generation('x', 3)));
    assert.deepEqual(listGenerations(paths, 'x'), [1]);
    assert.equal(readInstalled(paths, 'x'), undefined, 'nothing is current');

    symlinkSync('2', paths.current('x'));
    assert.equal(readInstalled(paths, 'x'), undefined, 'a half-made generation is not installed');
    assert.deepEqual(listInstalled(paths), []);
  });

  for (const target of ['../../../etc', '/etc', '0', '01', '1/rootfs', '']) {
    it(`does not follow a current link to ${JSON.stringify(target)}`, () => {
      make('x', 1);
      if (target === '') mkdirSync(paths.current('x'));
      else symlinkSync(target, paths.current('x'));
      assert.equal(currentNumber(paths, 'x'), undefined);
    });
  }

  for (const name of ['..', '.', '', 'a/b', '../x', 'A', '.new', 'x'.repeat(65), 'a\0b']) {
    it(`has no app called ${JSON.stringify(name)}`, () => {
      assert.equal(readInstalled(paths, name), undefined);
      assert.throws(() => requireInstalled(paths, name), isError('APP_NOT_INSTALLED'));
    });
  }

  for (const content of ['', '{', '{}', JSON.stringify({ ...generation('x', 1), tree: 'nonsense' })]) {
    it(`names a damaged record: ${content.slice(0, 20)}`, () => {
      make('x', 1, content);
      symlinkSync('1', paths.current('x'));
      assert.throws(() => readInstalled(paths, 'x'), isError('STORE_CORRUPT'));
    });
  }

  it('switches current in one step', async () => {
    for (const number of [1, 2]) make('x', number);
    await replaceSymlink(paths.current('x'), '1');
    await replaceSymlink(paths.current('x'), '2');
    assert.equal(currentNumber(paths, 'x'), 2);
  });
});

function isError(code: string): (error: unknown) => boolean {
  return (error) => error instanceof TreesError && error.code === code;
}
