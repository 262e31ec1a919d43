// How long a container takes from launch to exit: trees-launch against bubblewrap on the same tree, running
// /bin/true. The two are interleaved, so that a busy machine slows both; medians, and their ratio.
//   node --import tsx test/perf/launch.mjs [ROUNDS]
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compilePlan } from '../../trees/run/compile.ts';
import { launcherPath } from '../../trees/run/launcher.ts';
import { makeRootfs } from '../support/rootfs.ts';

const rounds = Number(process.argv[2] ?? 300);
const directory = mkdtempSync(join(tmpdir(), 'trees-bench-'));
try {
  const rootfs = makeRootfs(directory);
  const plan = (name, change) => {
    const path = join(directory, name);
    const base = { lower: [rootfs], upper: { kind: 'ephemeral' }, net: 'none', argv: ['/bin/true'], env: {} };
    writeFileSync(path, compilePlan({ ...base, ...change }));
    return [launcherPath(), path];
  };
  const bind = ['--bind', rootfs, '/', '--proc', '/proc', '--dev', '/dev'];
  const commands = {
    'bwrap --unshare-all': ['bwrap', '--unshare-all', ...bind, '/bin/true'],
    'trees-launch, own ids': plan('ranges', { userns: { start: 0x7000_0000, count: 65_536 } }),
    'trees-launch, host ids': plan('host', { userns: 'host' }),
    'trees-launch, own ids, host net': plan('net', { userns: { start: 0x7000_0000, count: 65_536 }, net: 'host' }),
    'nothing (/bin/true)': [join(rootfs, 'bin/true')],
  };
  if (spawnSync('bwrap', ['--version']).status !== 0) throw new Error('needs bwrap (package bubblewrap)');
  const times = Object.fromEntries(Object.keys(commands).map((name) => [name, []]));
  for (let round = -5; round < rounds; round++) {
    for (const [name, [program, ...args]] of Object.entries(commands)) {
      const start = performance.now();
      const { status, stderr } = spawnSync(program, args, { env: {}, encoding: 'utf8' });
      const took = performance.now() - start;
      if (status !== 0) throw new Error(`${name}: status ${status}: ${stderr}`);
      if (round >= 0) times[name].push(took);
    }
  }
  const at = (list, part) => list.sort((a, b) => a - b)[Math.floor(list.length * part)];
  const floor = at(times['nothing (/bin/true)'], 0.5);
  const reference = at(times['bwrap --unshare-all'], 0.5) - floor;
  console.log(
    `${rounds} rounds; milliseconds with spawning; ratio to bwrap without what spawning costs (${floor.toFixed(2)} ms)`,
  );
  for (const [name, list] of Object.entries(times)) {
    const median = at(list, 0.5);
    const ratio = ((median - floor) / reference).toFixed(2);
    console.log(
      `${name.padEnd(34)} median ${median.toFixed(2)}  p10 ${at(list, 0.1).toFixed(2)}  p90 ${at(list, 0.9).toFixed(2)}  ratio ${ratio}`,
    );
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
