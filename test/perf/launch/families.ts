import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cgroupHost, planCgroups } from '../../../trees/run/cgroup-plan.js';
import { compilePlan } from '../../../trees/run/compile.js';
import type { ContainerSpec } from '../../../trees/run/container.js';
import { launcherPath } from '../../../trees/run/exec-launcher.js';
import type { Limits } from '../../../trees/run/limits.js';
import { layOutApp } from '../../support/laid-out-app.js';
import { projectRoot } from '../../support/rig.js';
import { makeRootfs } from '../../support/rootfs.js';
import { atMost, type Family, type Row } from '../delta/table.js';
import { withoutUnified, writeBundle } from './crun.js';
import { crowdFamily, idleFamily, joinFamily } from './instances.js';
import { buildSpawner, milliseconds, type Times, type TurnOptions, takeTurns } from './turns.js';

const RANGE = { start: 0x7000_0000, count: 65_536 } as const;
/** Of a start after a pause: caches are cold, and version 1 of control groups waits for a grace period. */
const GAP_MS = 150;

/** Rows of the benchmark. */
export function launchFamilies(directory: string, rounds: number): readonly Family[] {
  const rootfs = makeRootfs(directory);
  const spawner = buildSpawner(directory);
  const limits: Limits = { memory: 64 << 20, pids: 100 };
  const spec = (change: Partial<ContainerSpec>): ContainerSpec => ({
    lower: [rootfs],
    upper: { kind: 'ephemeral' },
    userns: RANGE,
    net: 'none',
    hostname: 'bench',
    argv: ['/bin/true'],
    env: { PATH: '/bin' },
    ...change,
  });
  const plan = (name: string, change: Partial<ContainerSpec>): string[] => {
    const file = join(directory, `${name}.plan`);
    writeFileSync(file, compilePlan(spec(change)));
    return [launcherPath(), file];
  };
  const bare = plan('bare', {
    security: { seccomp: 'unconfined', keyring: false, nestedUserns: true },
    protectKernel: false,
    noNewPrivileges: true,
  });
  const all = plan('all', {});
  const bwrap = [
    '/usr/bin/bwrap',
    '--unshare-all',
    '--bind',
    rootfs,
    '/',
    '--proc',
    '/proc',
    '--dev',
    '/dev',
    '/bin/true',
  ];

  const compare = <Name extends string>(commands: Readonly<Record<Name, readonly string[]>>, options: TurnOptions) =>
    takeTurns(spawner, commands, options);
  const both = (family: string, summary: string, measure: (gap: number, tell: (row: Row) => void) => void): Family => ({
    name: family,
    summary,
    minutes: 1,
    measure: (tell) => {
      measure(0, tell);
      measure(GAP_MS, tell);
    },
  });
  const after = (gap: number): string => (gap === 0 ? '' : ', after a pause');
  const roundsFor = (gap: number): number => (gap === 0 ? rounds : Math.max(20, Math.round(rounds / 5)));

  return [
    both('bwrap', 'namespaces, tree, /proc and /dev; all defaults; against bubblewrap', (gap, tell) => {
      const times = compare({ bare, all, bwrap }, { rounds: roundsFor(gap), gap });
      tell(against(`namespaces and tree${after(gap)}`, times.bare, times.bwrap, 'bwrap', 0.75));
      tell(against(`all defaults${after(gap)}`, times.all, times.bwrap, 'bwrap', 1));
    }),
    both('limits', 'all defaults with limits of memory and processes, against crun', (gap, tell) => {
      const bundle = writeBundle(join(directory, `bundle-${gap}`), rootfs, ['/bin/true']);
      const limited = plan(`limited-${gap}`, {
        resources: {
          limits,
          ...planCgroups(limits, `bench-${process.pid}`, cgroupHost(), new Set(['memory', 'pids'])),
        },
      });
      const crun = [
        '/usr/bin/crun',
        '--root',
        join(directory, 'crun'),
        'run',
        '--bundle',
        bundle,
        `bench-${process.pid}`,
      ];
      const times = compare({ limited, crun }, { rounds: roundsFor(gap), gap, wrapper: withoutUnified });
      tell(against(`memory and process limits${after(gap)}`, times.limited, times.crun, 'crun', 0.7));
    }),
    {
      name: 'command',
      summary: 'trees run APP -- true and trees exec against node -e 0',
      minutes: 1,
      measure: (tell) => {
        const prefix = join(directory, 'prefix');
        const store = join(prefix, 'var/lib/trees');
        layOutApp(store, 'tool', { exec: ['/bin/true'] }, 1);
        mkdirSync(join(directory, 'home'));
        const bin = join(projectRoot, 'dist/cli/bin.js');
        const env = { PATH: process.env['PATH'], HOME: join(directory, 'home'), TREES_ROOT: prefix };
        const commands = {
          trees: [process.execPath, bin, 'run', 'tool', '--', 'true'],
          plain: [process.execPath, bin, 'run', 'tool'],
          exec: [process.execPath, bin, 'exec', 'idle', '--', 'true'],
          node: [process.execPath, '-e', '0'],
        };
        const idle = ['run', '-d', '--name', 'idle', 'tool', '--', 'sleep', '600'];
        execFileSync(process.execPath, [bin, ...idle], { env, stdio: 'ignore' });
        try {
          const times = compare(commands, { rounds: Math.max(15, Math.round(rounds / 8)), warm: 2, env });
          tell(over('trees run APP -- true: CPU', times.trees, times.node));
          tell(over('trees run APP: CPU', times.plain, times.node));
          tell(over('trees exec INSTANCE -- true: CPU', times.exec, times.node));
        } finally {
          execFileSync(process.execPath, [bin, 'kill', 'idle'], { env, stdio: 'ignore' });
        }
      },
    },
    joinFamily({ directory, rootfs, spawner, rounds, spec }),
    idleFamily({ directory, spec }),
    crowdFamily({ directory, spec }),
  ];
}

function against(what: string, ours: Times, peer: Times, name: string, bar: number): Row {
  return {
    what,
    ours: milliseconds(ours),
    peer: `${milliseconds(peer)} ${name}`,
    value: ours.wall / peer.wall,
    unit: ' ×',
    bar: atMost(bar),
  };
}

function over(what: string, ours: Times, node: Times): Row {
  return {
    what,
    ours: `${ours.cpu.toFixed(1)} ms CPU`,
    peer: `${node.cpu.toFixed(1)} ms CPU node -e 0`,
    value: ours.cpu - node.cpu,
    unit: ' ms',
    bar: atMost(12),
  };
}
