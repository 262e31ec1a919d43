// CPU of whole commands against `node -e 0`, in turns; nothing to update, and a run that stops short of launching: node --import tsx test/perf/startup.ts [ROUNDS]
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { APP, makeStore } from '../../trees/cli/packs/warm-store.js';
import { projectRoot } from '../support/rig.js';

const rounds = Number(process.argv[2] ?? 21);
const root = mkdtempSync(join(tmpdir(), 'trees-perf-'));
makeStore(root);
const env = { ...process.env, NODE_EXTRA_CA_CERTS: undefined, TREES_ROOT: root };
const bin = join(projectRoot, 'dist', 'cli', 'bin.js');
const subjects: Readonly<Record<string, readonly string[]>> = {
  'node -e 0': ['-e', '0'],
  'trees --version': [bin, '--version'],
  'trees ls': [bin, 'ls'],
  'trees ls --json': [bin, 'ls', '--json'],
  'trees update': [bin, 'update'],
  'trees run --dry-run': [bin, 'run', '--dry-run', APP],
  'trees config': [bin, 'config'],
  'trees ls --help': [bin, 'ls', '--help'],
};

/** User and system milliseconds of one run, from bash's `time`, which takes them from wait4(2). */
function cpu(args: readonly string[]): number {
  const script = 'TIMEFORMAT="%3U %3S"; time "$0" "$@" >/dev/null 2>&1';
  const result = spawnSync('bash', ['-c', script, process.execPath, ...args], { env, cwd: root, encoding: 'utf8' });
  return result.stderr
    .trim()
    .split(' ')
    .reduce((sum, part) => sum + Number(part) * 1000, 0);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

const samples = new Map(Object.keys(subjects).map((name) => [name, new Array<number>()]));
for (let round = -1; round < rounds; round++) {
  for (const [name, args] of Object.entries(subjects)) {
    const value = cpu(args);
    if (round >= 0) samples.get(name)?.push(value);
  }
}
rmSync(root, { recursive: true });
const base = median(samples.get('node -e 0') ?? []);
console.log('CPU, median of', rounds, 'interleaved runs');
for (const [name, values] of samples) {
  const value = median(values);
  console.log(
    `${name.padEnd(20)} ${value.toFixed(1).padStart(6)} ms  ${(value / base).toFixed(2)} × node -e 0  (+${(value - base).toFixed(1)} ms)`,
  );
}
