// CPU of a whole `trees ls` against `node -e 0`, interleaved: node --import tsx test/perf/startup.ts [ROUNDS]
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { projectRoot } from '../support/rig.js';

const rounds = Number(process.argv[2] ?? 21);
const root = mkdtempSync(join(tmpdir(), 'trees-perf-'));
const env = { ...process.env, NODE_EXTRA_CA_CERTS: undefined, TREES_ROOT: root };
const bin = join(projectRoot, 'dist', 'cli', 'bin.js');
const subjects: Readonly<Record<string, readonly string[]>> = {
  'node -e 0': ['-e', '0'],
  'trees ls': [bin, 'ls'],
  'trees ls --json': [bin, 'ls', '--json'],
  'trees config': [bin, 'config'],
  'trees ls --help': [bin, 'ls', '--help'],
};

/** User and system milliseconds of one run. */
function cpu(args: readonly string[]): number {
  const script = 'times; "$0" "$@" >/dev/null; times';
  const result = spawnSync('sh', ['-c', script, process.execPath, ...args], { env, cwd: root, encoding: 'utf8' });
  const lines = result.stdout.trim().split('\n');
  const milliseconds = (line: string | undefined): number =>
    (line ?? '').split(' ').reduce((sum, part) => {
      const match = /^(\d+)m([\d.]+)s$/.exec(part);
      return match === null ? sum : sum + Number(match[1]) * 60_000 + Number(match[2]) * 1000;
    }, 0);
  return milliseconds(lines[3]) - milliseconds(lines[1]);
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
    `${name.padEnd(18)} ${value.toFixed(1).padStart(6)} ms  ${(value / base).toFixed(2)} × node -e 0  (+${(value - base).toFixed(1)} ms)`,
  );
}
