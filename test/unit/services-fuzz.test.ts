import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

const project = join(import.meta.dirname, '..', '..');
const init = join(project, 'trees/init');
const launcher = join(project, 'trees/launcher');
const directory = mkdtempSync(join(tmpdir(), 'trees-fuzz-'));
after(() => rmSync(directory, { recursive: true, force: true }));

const skip = spawnSync('clang', ['--version']).status === 0 ? false : 'clang is missing';
const sources = (from: string, prefix: string): string[] =>
  readdirSync(from)
    .filter((name) => name.startsWith(prefix) && name.endsWith('.c'))
    .map((name) => join(from, name));

for (const [name, parts, runs] of [
  ['machine-fuzz', [...sources(init, 'services'), ...sources(launcher, 'plan')], 30_000],
  ['notify-fuzz', [join(launcher, 'notify.c')], 30_000],
] as const) {
  test(`${name}: nothing but what is promised, whatever happens`, { skip }, (t) => {
    const program = join(directory, name);
    const flags = ['-std=c17', '-D_GNU_SOURCE', '-g', '-O1', '-fno-sanitize-recover=undefined'];
    const fuzzing = [
      '-fsanitize=fuzzer,address,undefined',
      join(name === 'notify-fuzz' ? launcher : init, 'fuzz', `${name}.c`),
      ...parts,
    ];
    const built = spawnSync('clang', [...flags, ...fuzzing, '-o', program], { encoding: 'utf8' });
    if (/fuzzer|libclang_rt/.test(built.stderr) && built.status !== 0) {
      t.skip('needs libFuzzer (package libclang-rt-14-dev)');
      return;
    }
    assert.equal(built.status, 0, built.stderr);
    const run = spawnSync(program, [`-runs=${runs}`, '-max_len=300', '-seed=1', '-verbosity=0'], {
      encoding: 'utf8',
      cwd: directory,
      timeout: 300_000,
    });
    assert.equal(run.status, 0, run.stderr.slice(-4000));
  });
}
