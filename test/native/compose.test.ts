import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import * as fc from 'fast-check';
import { Repo } from '../../trees/ostree/index.js';
import { composeTree } from '../../trees/store/compose.js';
import { type Files, writeFiles } from '../support/plain-publisher.js';
import { runProgram } from '../support/rig.js';
import { readTree } from '../support/store-fixture.js';

interface Spec {
  readonly [name: string]: string | Spec;
}

let dir: string;
let repoPath: string;
let repo: Repo;

before(async () => {
  dir = mkdtempSync(join(tmpdir(), 'trees-compose-'));
  repoPath = join(dir, 'repo');
  repo = await Repo.create(repoPath, { mode: process.geteuid?.() === 0 ? 'bare' : 'bare-user' });
});

after(async () => {
  repo.close();
  await rm(dir, { recursive: true, force: true });
});

async function ostree(...args: string[]): Promise<string> {
  const result = await runProgram('ostree', [`--repo=${repoPath}`, ...args]);
  assert.equal(result.status, 0, `ostree ${args.join(' ')}: ${result.stderr}`);
  return result.stdout.trim();
}

async function commit(files: Files): Promise<string> {
  const tree = join(dir, 'tree');
  await rm(tree, { recursive: true, force: true });
  await writeFiles(tree, files);
  return await ostree('commit', '--orphan', '--branch=x', '--timestamp=@0', `--tree=dir=${tree}`);
}

/** What `ostree checkout` makes of the base and then, with whiteouts, of each layer over it. */
async function oracle(commits: readonly string[]): Promise<Record<string, string>> {
  const target = join(dir, 'oracle');
  await rm(target, { recursive: true, force: true });
  const mode = repo.mode === 'bare' ? [] : ['-U'];
  for (const [index, checksum] of commits.entries()) {
    const union = index === 0 ? [] : ['--union', '--whiteouts'];
    await ostree('checkout', ...mode, ...union, checksum, target);
  }
  return readTree(target);
}

async function ours(commits: readonly string[]): Promise<Record<string, string>> {
  const [base = '', ...layers] = commits;
  const composed = await composeTree(repo, { base, layers });
  assert.equal(await composeTree(repo, { base, layers }), composed);
  const target = join(dir, 'ours');
  await rm(target, { recursive: true, force: true });
  await ostree('checkout', ...(repo.mode === 'bare' ? [] : ['-U']), composed, target);
  return readTree(target);
}

function flatten(spec: Spec, prefix = ''): Record<string, string> {
  const files: Record<string, string> = prefix === '' ? {} : { [prefix]: '' };
  for (const [name, value] of Object.entries(spec)) {
    if (typeof value === 'string') files[`${prefix}${name}`] = value;
    else Object.assign(files, flatten(value, `${prefix}${name}/`));
  }
  return files;
}

/**
 * libostree cannot check a file out over a directory or the other way round, so a layer that does that says first, with
 * a whiteout, that the old one goes. (That layers may do without is in the unit test.)
 */
function withWhiteouts(layer: Spec, below: Spec): Spec {
  const result: Record<string, string | Spec> = {};
  for (const [name, value] of Object.entries(layer)) {
    const old = below[name];
    if (old !== undefined && typeof old !== typeof value) result[`.wh.${name}`] = '';
    result[name] = typeof value === 'string' ? value : withWhiteouts(value, typeof old === 'object' ? old : {});
  }
  return result;
}

function specs(names: readonly string[]): fc.Arbitrary<Spec> {
  const { dir: arbitrary } = fc.letrec<{ dir: Spec; node: string | Spec }>((tie) => ({
    dir: fc.dictionary(fc.constantFrom(...names), tie('node'), { maxKeys: 4, noNullPrototype: true }),
    node: fc.oneof({ depthSize: 'medium' }, fc.constantFrom('x', 'y', ''), tie('dir')),
  }));
  return arbitrary.map(filesOnlyWhiteouts);
}

function filesOnlyWhiteouts(spec: Spec): Spec {
  return Object.fromEntries(
    Object.entries(spec).map(([name, value]) => {
      if (name.startsWith('.wh.')) return [name, ''];
      return [name, typeof value === 'string' ? value : filesOnlyWhiteouts(value)];
    }),
  );
}

describe('composeTree beside ostree checkout --union --whiteouts', () => {
  it('gives the same tree for a layer that uses everything', async () => {
    const base = await commit({
      'etc/a': '1',
      'etc/b': '2',
      'usr/lib/x/one': '1',
      'usr/lib/x/two': '2',
      'usr/lib/y/three': '3',
      bin: { link: 'usr/bin' },
      'opt/gone/deep/down': '4',
    });
    const layer = await commit({
      'etc/.wh.a': '',
      'etc/b': 'changed',
      'usr/lib/x/.wh..wh..opq': '',
      'usr/lib/x/new': '5',
      'usr/lib/.wh.y': '',
      'usr/lib/y': { link: 'x' },
      '.wh.bin': '',
      'bin/sh': 'now a directory',
      '.wh.opt': '',
      'srv/.wh.never-there': '',
    });
    const expected = await oracle([base, layer]);
    assert.equal(expected['etc/a'], undefined);
    assert.equal(expected['usr/lib/y'], '-> x');
    assert.deepEqual(await ours([base, layer]), expected);
  });

  it('gives the same tree for any base and two layers', async () => {
    const names = ['a', 'b', 'c', 'é'];
    const marks = [...names, ...names, ...names.map((name) => `.wh.${name}`), '.wh..wh..opq'];
    const property = fc.asyncProperty(specs(names), specs(marks), specs(marks), async (base, one, two) => {
      // What the second layer meets is at most what base and first layer have together.
      const layers = [withWhiteouts(one, base), withWhiteouts(withWhiteouts(two, base), one)];
      const commits = [await commit(flatten(base))];
      for (const layer of layers) commits.push(await commit(flatten(layer)));
      assert.deepEqual(await ours(commits), await oracle(commits));
    });
    await fc.assert(property, { numRuns: 40 });
    assert.equal((await runProgram('ostree', [`--repo=${repoPath}`, 'fsck', '--all'])).status, 0);
  });
});
