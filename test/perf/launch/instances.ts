import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { compilePlan } from '../../../trees/run/compile.js';
import type { ContainerSpec } from '../../../trees/run/container.js';
import { launcherPath } from '../../../trees/run/exec-launcher.js';
import { atMost, bytes, type Family } from '../delta/table.js';
import { withoutUnified, writeBundle } from './crun.js';
import { milliseconds, takeTurns } from './turns.js';

/** Rows about instances that go on running. */

interface Bench {
  readonly directory: string;
  readonly spec: (change: Partial<ContainerSpec>) => ContainerSpec;
}

interface Instance extends Disposable {
  readonly runDir: string;
  pid(key: 'init' | 'monitor'): number;
}

function start({ directory, spec }: Bench, name: string): Instance {
  const runDir = join(directory, 'run', name);
  const plan = join(directory, `${name}.plan`);
  const supervision = { name, app: 'bench', generation: 1, runDir };
  writeFileSync(plan, compilePlan(spec({ argv: ['sleep', '600'], supervision })));
  const { status, stderr } = spawnSync(launcherPath(), ['--detach', plan], {
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  if (status !== 0) throw new Error(`${name} did not start: ${stderr}`);
  const pid: Instance['pid'] = (key) =>
    Number(new RegExp(`^${key}=(\\d+)$`, 'm').exec(readFileSync(join(runDir, 'state'), 'utf8'))?.[1]);
  return { runDir, pid, [Symbol.dispose]: () => void process.kill(pid('monitor'), 'SIGTERM') };
}

/** `exec` of a running container against crun's. */
export function joinFamily(
  bench: Bench & { readonly rootfs: string; readonly spawner: string; readonly rounds: number },
): Family {
  return {
    name: 'exec',
    summary: 'a command in a running container, against crun exec',
    minutes: 1,
    measure: (tell) => {
      using instance = start(bench, 'joined');
      const bundle = writeBundle(join(bench.directory, 'bundle-exec'), bench.rootfs, ['/bin/sleep', '600']);
      const crun = ['/usr/bin/crun', '--root', join(bench.directory, 'crun-exec')];
      const name = `bench-exec-${process.pid}`;
      const inRunc = (...args: string[]) => {
        const [program = '', ...words] = [...withoutUnified, ...crun, ...args];
        return spawnSync(program, words, { stdio: 'ignore' }).status;
      };
      if (inRunc('run', '--detach', '--bundle', bundle, name) !== 0) throw new Error('crun did not start');
      try {
        const times = takeTurns(
          bench.spawner,
          {
            trees: [launcherPath(), '--exec', instance.runDir, '--', '/bin/true'],
            crun: [...crun, 'exec', name, '/bin/true'],
          },
          { rounds: bench.rounds, wrapper: withoutUnified },
        );
        const value = times.trees.wall / times.crun.wall;
        const peer = `${milliseconds(times.crun)} crun`;
        tell({ what: 'exec', ours: milliseconds(times.trees), peer, value, unit: ' ×', bar: atMost(0.8) });
      } finally {
        inRunc('delete', '--force', name);
      }
    },
  };
}

/** Memory of an idle instance. */
export function idleFamily(bench: Bench): Family {
  return {
    name: 'idle',
    summary: 'memory of monitor and init of an idle instance',
    minutes: 1,
    measure: async (tell) => {
      using instance = start(bench, 'idle');
      await sleep(500);
      const resident = (key: 'init' | 'monitor'): number =>
        Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${instance.pid(key)}/status`, 'utf8'))?.[1]) * 1024;
      const [monitor, init] = [resident('monitor'), resident('init')];
      const value = (monitor + init) / 1e6;
      const ours = `${bytes(monitor)} + ${bytes(init)}`;
      tell({ what: 'resident memory, monitor and init', ours, peer: '', value, unit: ' MB', bar: atMost(2.5) });
    },
  };
}

const CROWD = 200;

/** Many instances at once. */
export function crowdFamily(bench: Bench): Family {
  return {
    name: 'crowd',
    summary: `${CROWD} instances at once: all start, all stop, nothing is left`,
    minutes: 1,
    measure: async (tell) => {
      const names = Array.from({ length: CROWD }, (_, index) => `crowd-${index}`);
      const mounts = (): number => readFileSync('/proc/self/mountinfo', 'utf8').split('\n').length;
      const before = mounts();
      const began = performance.now();
      const started = await Promise.all(names.map((name) => startDetached(bench, name)));
      const startTime = performance.now() - began;
      const stopping = performance.now();
      const pids = names.map((name) => monitorOf(bench, name));
      for (const pid of pids) process.kill(pid, 'SIGTERM');
      while (pids.some((pid) => existsSync(`/proc/${pid}`))) await sleep(10);
      const stopTime = performance.now() - stopping;
      const failed = started.filter((status) => status !== 0).length;
      const left = leftOver(bench) + Math.max(0, mounts() - before);
      const ours = `started in ${(startTime / 1000).toFixed(1)} s, stopped in ${(stopTime / 1000).toFixed(1)} s`;
      tell({ what: `${CROWD} instances: not started`, ours, peer: '', value: failed, unit: '', bar: atMost(0) });
      tell({ what: `${CROWD} instances: left over`, ours: '', peer: '', value: left, unit: '', bar: atMost(0) });
    },
  };
}

async function startDetached({ directory, spec }: Bench, name: string): Promise<number | null> {
  const plan = join(directory, `${name}.plan`);
  const supervision = { name, app: 'bench', generation: 1, runDir: join(directory, 'run', name) };
  writeFileSync(plan, compilePlan(spec({ argv: ['sleep', '600'], supervision })));
  const child = spawn(launcherPath(), ['--detach', plan], { stdio: 'ignore' });
  return await new Promise((resolve) => child.once('exit', resolve));
}

function monitorOf({ directory }: Bench, name: string): number {
  return Number(/^monitor=(\d+)$/m.exec(readFileSync(join(directory, 'run', name, 'state'), 'utf8'))?.[1]);
}

/** Processes that still have one of the plans open or mapped. */
function leftOver({ directory }: Bench): number {
  const plans = join(directory, 'run/crowd-');
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/maps`, 'utf8').includes(plans);
    } catch {
      return false;
    }
  }).length;
}
