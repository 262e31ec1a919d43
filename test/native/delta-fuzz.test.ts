import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { projectRoot, runProgram } from '../support/rig.js';

const directory = join(projectRoot, 'trees/delta/native/fuzz');
const targets = readdirSync(directory)
  .filter((name) => name.endsWith('.cc'))
  .map((name) => name.slice(0, -'.cc'.length));
const missing = spawnSync('clang++', ['--version']).status !== 0;

describe('the fuzz targets', { skip: missing && 'needs clang++, for libFuzzer', timeout: 900_000 }, () => {
  it('find nothing in their corpora, nor in a moment of looking further', async (t) => {
    const { status, stderr } = await runProgram('sh', [join(directory, 'run'), '--replay', '2', ...targets], {
      timeout: 800_000,
    });
    assert.equal(status, 0, stderr.slice(-5000));
    for (const target of targets) {
      assert.ok(readdirSync(join(directory, 'corpus', target)).length > 0, `${target} has a corpus`);
      assert.match(stderr, new RegExp(`== ${target}\n`));
    }
    t.diagnostic(`runs: ${[...stderr.matchAll(/^Done (\d+) runs/gm)].map(([, runs]) => runs).join(' ')}`);
  });
});
