import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createBundle } from '../../trees/delta/index.js';
import { packageRoot } from '../../trees/native-loader.js';
import { initRepo, noise, ostree, temporaryDirectory } from '../support/delta-fixture.js';

const BIN = join(packageRoot(), 'dist/cli/bin.js');
const MIB = 1 << 20;
/** Prints the peak of the process's resident memory, in kilobytes, when it ends. */
const METER = `data:text/javascript,process.on('exit',()=>{process.stderr.write('peak='+process.resourceUsage().maxRSS)})`;

test('memory stays flat, with many large files and with a huge one', {
  skip: !existsSync(BIN) && 'dist is not built',
}, async (t) => {
  const directory = temporaryDirectory(t);
  const tree = join(directory, 'tree');
  mkdirSync(tree);
  const pieces = Array.from({ length: 16 }, (_, seed) => noise(MIB, seed + 1));
  // Several parts of 32 MiB at once, and one that must go through a file.
  for (let i = 0; i < 16; i++) writeFileSync(join(tree, `file${i}`), repeat(pieces, i, 10));
  writeFileSync(join(tree, 'huge'), repeat(pieces, 3, 120));
  const repo = initRepo(join(directory, 'repo'));
  const commit = ostree('commit', `--repo=${repo}`, '--branch=app', `--tree=dir=${tree}`).trim();
  const path = join(directory, 'app.zst');
  await createBundle({ repoPath: repo, to: commit, output: path, quick: true, level: 1 });
  const mine = initRepo(join(directory, 'mine'));
  const { stderr } = runMeasured('bundle', 'apply', '--quiet', '--repo', mine, '--ref', 'app', path);
  assert.equal(ostree('rev-parse', `--repo=${mine}`, 'app').trim(), commit);
  const peak = Number(/peak=(\d+)/.exec(stderr)?.[1]);
  t.diagnostic(`peak ${Math.round(peak / 1024)} MiB`);
  assert.ok(peak > 0 && peak < 200_000, `${peak} kB for 280 MiB of content`);
});

function repeat(pieces: readonly Buffer[], first: number, count: number): Buffer {
  const chosen = Array.from({ length: count }, (_, i) => pieces[(first + i * 7) % pieces.length] ?? Buffer.alloc(0));
  return Buffer.concat(chosen);
}

function runMeasured(...args: string[]): { stderr: string } {
  // What the test runner tells its children would make the program one of its tests.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const options = { encoding: 'utf8', env, shell: false } as const;
  const script = '"$@" 2>&1 >/dev/null';
  const command = [process.execPath, '--import', METER, BIN, ...args];
  return { stderr: execFileSync('sh', ['-c', script, 'sh', ...command], options) };
}
