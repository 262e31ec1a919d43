import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { compilePlan } from '../../../trees/run/compile.js';
import type { ContainerSpec } from '../../../trees/run/container.js';
import { launcherPath } from '../../../trees/run/exec-launcher.js';
import type { ServicesSpec } from '../../../trees/run/service-spec.js';
import { makeRootfs } from '../../support/rootfs.js';
import { atLeast, atMost, bytes, type Family, type Row } from '../delta/table.js';
import { buildSpawner, milliseconds, takeTurns } from '../launch/turns.js';

const RANGE = { start: 0x7000_0000, count: 65_536 } as const;
const SERVICES = 100;
const LOG_LINES = 4_000_000;
/** Bytes before each stored line. */
const STAMP = '2016-10-06T00:17:09.669794202Z stdout F '.length;

/** Rows of the benchmark. */
export function initFamilies(directory: string, rounds: number): readonly Family[] {
  const rootfs = makeRootfs(directory);
  const spawner = buildSpawner(directory);
  const plan = (name: string, change: Partial<ContainerSpec>): string => {
    const file = join(directory, `${name}.plan`);
    const spec = { lower: [rootfs], upper: { kind: 'ephemeral' }, userns: RANGE, net: 'none' } as const;
    writeFileSync(file, compilePlan({ ...spec, argv: ['/bin/true'], env: { PATH: '/bin' }, ...change }));
    return file;
  };
  return [
    startFamily(directory, spawner, rounds),
    servicesFamily(directory, spawner, plan),
    memoryFamily(directory, plan),
    logFamily(directory, spawner, plan),
  ];
}

function compile(directory: string, name: string, sources: readonly string[]): string {
  const program = join(directory, name);
  const flags = ['-std=c17', '-D_GNU_SOURCE', '-Os', '-static', '-idirafter', '/usr/include'];
  const headers = ['-idirafter', '/usr/include/x86_64-linux-gnu'];
  const { status, stderr } = spawnSync('musl-gcc', [...flags, ...headers, '-o', program, ...sources], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`cannot compile ${name}: ${stderr}`);
  return program;
}

/** As a program of its own, around one that does nothing. */
function startFamily(directory: string, spawner: string, rounds: number): Family {
  return {
    name: 'start',
    summary: 'a program under the init, against tini and dumb-init',
    minutes: 0.2,
    measure: (tell) => {
      const source = join(directory, 'nothing.c');
      writeFileSync(source, 'int main(void) { return 0; }\n');
      const nothing = compile(directory, 'nothing', [source]);
      const init = join(dirname(launcherPath()), 'trees-init');
      for (const peer of ['tini', 'dumb-init']) {
        const own = join(directory, peer);
        symlinkSync(init, own);
        const options = peer === 'tini' ? ['-s', '--'] : ['--'];
        const times = takeTurns(
          spawner,
          { own: [own, ...options, nothing], peer: [`/usr/bin/${peer}`, ...options, nothing] },
          { rounds },
        );
        tell({
          what: `start as ${peer}`,
          ours: milliseconds(times.own),
          peer: `${milliseconds(times.peer)} ${peer}`,
          value: times.own.wall / times.peer.wall,
          unit: ' ×',
          bar: atMost(1.1),
        });
      }
    },
  };
}

type MakePlan = (name: string, change: Partial<ContainerSpec>) => string;

/** All of them start, run and end; what the container itself takes is subtracted. */
function servicesFamily(directory: string, spawner: string, plan: MakePlan): Family {
  const jobs = (count: number): ServicesSpec =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`job${i}`, { exec: ['true'], oneshot: true }]));
  return {
    name: 'services',
    summary: `${SERVICES} one-shot services side by side, against running their programs one by one`,
    minutes: 0.2,
    measure: (tell) => {
      const launcher = launcherPath();
      const log = { directory: join(directory, 'logs'), instance: 'bench', store: false };
      const busybox = join(directory, 'rootfs/bin/true');
      const times = takeTurns(
        spawner,
        {
          one: [launcher, plan('one', { services: jobs(1), log })],
          many: [launcher, plan('many', { services: jobs(SERVICES), log })],
          single: [busybox],
        },
        { rounds: 30 },
      );
      const ours = times.many.wall - times.one.wall;
      const peer = times.single.wall * (SERVICES - 1);
      tell({
        what: `${SERVICES} services, start to end`,
        ours: `${ours.toFixed(1)} ms`,
        peer: `${peer.toFixed(1)} ms one by one`,
        value: ours / peer,
        unit: ' ×',
        bar: undefined,
      });
    },
  };
}

/** Resident memory of process 1 that has nothing to do. */
function memoryFamily(directory: string, plan: MakePlan): Family {
  const sleepers = (count: number): ServicesSpec =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`idle${i}`, { exec: ['sleep', '600'] }]));
  const measured = (name: string, change: Partial<ContainerSpec>): number => {
    const runDir = join(directory, 'run', name);
    const supervision = { name, app: 'bench', generation: 1, runDir };
    const log = { directory: join(directory, 'logs', name), instance: name };
    const file = plan(name, { ...change, supervision, log });
    const { status, stderr } = spawnSync(launcherPath(), ['--detach', file], {
      encoding: 'utf8',
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    if (status !== 0) throw new Error(`${name} did not start: ${stderr}`);
    const pid = (key: string): number =>
      Number(new RegExp(`^${key}=(\\d+)$`, 'm').exec(readFileSync(join(runDir, 'state'), 'utf8'))?.[1]);
    try {
      const text = readFileSync(`/proc/${pid('init')}/status`, 'utf8');
      return Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1]) * 1024;
    } finally {
      process.kill(pid('monitor'), 'SIGTERM');
    }
  };
  const row = (what: string, value: number, limit: number): Row => ({
    what,
    ours: bytes(value),
    peer: '1 process',
    value: value / 1e6,
    unit: ' MB',
    bar: atMost(limit),
  });
  return {
    name: 'memory',
    summary: 'resident memory of an idle init',
    minutes: 0.1,
    measure: (tell) => {
      tell(row('memory of the init, one command', measured('single', { argv: ['sleep', '600'] }), 1));
      tell(row('memory of the init, 20 services', measured('twenty', { services: sleepers(20) }), 2));
    },
  };
}

/** An instance in the background that writes as fast as it can; against a plain copy of the same bytes to a file. */
function logFamily(directory: string, spawner: string, plan: MakePlan): Family {
  return {
    name: 'log',
    summary: 'storing the output of an instance, against cat to a file',
    minutes: 0.5,
    measure: (tell) => {
      const place = mkdtempSync('/dev/shm/trees-bench-');
      try {
        const input = join(place, 'input');
        const line =
          'a line of a log as long as they are: 2026-01-02 03:04:05 INFO request served in 12 ms, status 200\n';
        writeFileSync(input, line.repeat(LOG_LINES));
        // The tree has no cat that reads and writes as the host's does.
        compile(join(directory, 'rootfs/bin'), 'writer', [join(import.meta.dirname, 'writer.c')]);
        const runDir = join(directory, 'run/writer');
        const file = plan('writer', {
          argv: ['/bin/writer', '/input'],
          mounts: [{ kind: 'bind', source: input, target: '/input', readOnly: true }],
          supervision: { name: 'writer', app: 'bench', generation: 1, runDir },
          log: { directory: join(place, 'logs'), instance: 'writer', maxSize: 0 },
        });
        const fresh = `rm -rf ${place}/logs ${place}/output`;
        // The lock is the monitor's as long as it lives.
        const run = `${launcherPath()} --detach ${file} && exec flock -s ${runDir}/lock true`;
        const { own, peer } = takeTurns(
          spawner,
          {
            own: ['/bin/sh', '-c', `${fresh}; ${run}`],
            peer: ['/bin/sh', '-c', `${fresh}; cat ${input} | cat >${place}/output`],
          },
          { rounds: 9, warm: 1 },
        );
        const size = statSync(input).size;
        spawnSync('/bin/sh', ['-c', `${fresh}; ${run}`]);
        const stored = statSync(join(place, 'logs/main.log')).size;
        if (stored !== size + LOG_LINES * STAMP) throw new Error(`stored ${stored} bytes of ${size}`);
        const speed = (wall: number): string => `${(size / 1e3 / wall).toFixed(0)} MB/s`;
        tell({
          what: 'stored output, throughput',
          ours: speed(own.wall),
          peer: `${speed(peer.wall)} cat`,
          value: peer.wall / own.wall,
          unit: ' ×',
          bar: atLeast(0.5),
        });
      } finally {
        rmSync(place, { recursive: true, force: true });
      }
    },
  };
}
