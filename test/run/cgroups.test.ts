import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type CgroupHost, cgroupHost, planCgroups } from '../../trees/run/cgroup-plan.js';
import { hierarchyOf } from '../../trees/run/cgroups.js';
import { launcherPath } from '../../trees/run/exec-launcher.js';
import { type LimitName, type Limits, limitNames } from '../../trees/run/limits.js';
import type { ResourcesSpec } from '../../trees/run/resources.js';
import { runProgram } from '../support/rig.js';
import { missingForContainers } from '../support/rootfs.js';
import { bench, eventually } from './support/container.js';

/** Limits as the kernel keeps them, in whichever cgroups this machine has. */

const box = bench();
after(() => box[Symbol.dispose]());
const host = cgroupHost();
const missing = missingForContainers();

/** Why limits of some controllers cannot be tested here. */
function without(...controllers: ('memory' | 'cpu' | 'cpuset' | 'pids' | 'io')[]): string | false {
  const lacking = controllers.find((controller) => hierarchyOf(host.layout, controller) === undefined);
  return missing || (lacking === undefined ? false : `needs the ${lacking} controller`);
}

let instances = 0;

function limited(limits: Limits, machine: CgroupHost = host): ResourcesSpec {
  const name = `test-${process.pid}-${++instances}`;
  return { limits, ...planCgroups(limits, name, machine, new Set<LimitName>(limitNames)) };
}

/** Directories of the containers of this test. */
function leftovers(): string[] {
  return host.layout.hierarchies.flatMap(({ mount }) => {
    const parent = join(mount, 'trees');
    if (!existsSync(parent)) return [];
    return readdirSync(parent)
      .filter((name) => name.startsWith(`test-${process.pid}-`))
      .map((name) => join(parent, name));
  });
}

/** The same file has two names. */
const memoryFile = { 1: 'memory.limit_in_bytes', 2: 'memory.max' } as const;

function groups(resources: ResourcesSpec): string[] {
  return resources.cgroups.map(({ base, name }) => join(base, 'trees', name));
}

test('a container is in its cgroups from its first instruction on, and they are gone when it has ended', {
  skip: without('memory', 'pids'),
}, async () => {
  const resources = limited({ memory: 64 << 20, pids: 50 });
  const running = box.start(box.spec({ argv: ['sh', '-c', 'cat /proc/self/cgroup; echo up; read x'], resources }), {
    hold: true,
  });
  await running.waitFor('up');
  for (const group of groups(resources)) assert.ok(existsSync(group), group);
  const memory = resources.cgroups.find(({ controllers }) => controllers.includes('memory'));
  assert.ok(memory);
  const file = join(memory.base, 'trees', memory.name, memoryFile[memory.version]);
  assert.equal(readFileSync(file, 'utf8'), `${64 << 20}\n`);
  // Its own cgroup is the root of what it sees.
  for (const line of running.output().split('\n')) {
    if (/^\d+:[^:]*(memory|pids)[^:]*:/.test(line) || (memory.version === 2 && line.startsWith('0::'))) {
      assert.match(line, /:\/$/);
    }
  }
  running.child.stdin?.end('\n');
  assert.equal((await running.done).status, 0);
  assert.deepEqual(leftovers(), []);
});

test('too much memory: killed with 137, and the launcher says why', { skip: without('memory') }, async () => {
  const resources = limited({ memory: 32 << 20, memorySwap: 32 << 20 });
  // tail keeps a line without an end in memory.
  const outcome = await box.run(box.spec({ argv: ['sh', '-c', 'exec tail /dev/zero'], resources }));
  assert.equal(outcome.status, 137);
  assert.match(outcome.stderr, /^warning: the container reached its memory limit: the kernel killed 1 /m);
  assert.deepEqual(leftovers(), []);
});

test('within its memory it runs', { skip: without('memory') }, async () => {
  const outcome = await box.run(
    box.spec({
      argv: ['sh', '-c', 'head -c 8388608 /dev/zero | tail -c 1 | wc -c'],
      resources: limited({ memory: 64 << 20 }),
    }),
  );
  assert.deepEqual([outcome.status, outcome.stdout.trim(), outcome.stderr], [0, '1', '']);
});

test('a limit of processes stops a fork bomb', { skip: without('pids') }, async () => {
  const outcome = await box.run(
    box.spec({
      argv: ['sh', '-c', 'n=0; while [ $n -lt 60 ]; do sleep 60 & n=$((n+1)); done; echo forked all'],
      resources: limited({ pids: 20 }),
      stopTimeout: 0,
    }),
  );
  assert.notEqual(outcome.status, 0);
  assert.doesNotMatch(outcome.stdout, /forked all/);
  assert.match(outcome.stderr, /fork/);
  assert.deepEqual(leftovers(), []);
});

test('a share of a processor holds', { skip: without('cpu') }, async () => {
  // Time of the processor that a busy loop gets in two seconds of the clock.
  const outcome = await box.sh(
    'i=0; e=$(($(cut -d. -f1 /proc/uptime)+3)); while [ $(cut -d. -f1 /proc/uptime) -lt $e ]; do :; done; times',
    { resources: limited({ cpus: 0.2 }) },
  );
  assert.equal(outcome.status, 0, outcome.stderr);
  const seconds = [...outcome.stdout.matchAll(/(\d+)m([\d.]+)s/g)].map(([, m, s]) => Number(m) * 60 + Number(s));
  const used = seconds.reduce((sum, value) => sum + value, 0);
  assert.ok(used > 0 && used <= 3 * 0.2 * 1.6, `used ${used} s`);
});

test('only the processors it was given', { skip: without('cpuset') }, async () => {
  const outcome = await box.sh('grep Cpus_allowed_list /proc/self/status', { resources: limited({ cpusetCpus: '0' }) });
  assert.equal(outcome.stdout, 'Cpus_allowed_list:\t0\n', outcome.stderr);
  assert.deepEqual(leftovers(), []);
});

test('a limit that is not there ends the start with its name', { skip: without('memory') }, async () => {
  const resources = limited({ memory: 64 << 20 });
  const [memory] = resources.cgroups;
  assert.ok(memory);
  for (const [file, pattern] of [
    [
      'memory.nonsense',
      /^error: cannot limit the container: cannot set memory\.nonsense to 1 in .*: No such file or directory$/m,
    ],
    ['cgroup.procs', /^error: cannot limit the container: cannot set cgroup\.procs to x in .*: Invalid argument$/m],
  ] as const) {
    const value = file === 'cgroup.procs' ? 'x' : '1';
    const outcome = await box.run(
      box.spec({
        argv: ['echo', 'ran'],
        resources: { ...resources, cgroups: [{ ...memory, writes: [...memory.writes, { file, value }] }] },
      }),
    );
    assert.deepEqual([outcome.status, outcome.stdout], [125, '']);
    assert.match(outcome.stderr, pattern);
    const lenient = await box.run(
      box.spec({
        argv: ['echo', 'ran'],
        resources: {
          ...resources,
          cgroups: [{ ...memory, writes: [...memory.writes, { file, value, optional: true }] }],
        },
      }),
    );
    assert.deepEqual([lenient.status, lenient.stdout], [0, 'ran\n']);
  }
  assert.deepEqual(leftovers(), []);
});

test('200 runs, eight at a time, leave nothing behind', { skip: without('memory', 'pids') }, async () => {
  const file = box.planFile(box.spec({ argv: ['true'], resources: limited({ memory: 64 << 20, pids: 50 }) }));
  let left = 200;
  const worker = async (): Promise<void> => {
    while (left-- > 0) {
      // All have one name: the second one at a time gets another directory.
      const outcome = await runProgram(launcherPath(), [file]);
      assert.deepEqual([outcome.status, outcome.stderr], [0, '']);
    }
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  assert.deepEqual(leftovers(), []);
});

test('what a killed launcher left behind is taken over by the next one', { skip: without('memory') }, async () => {
  const resources = limited({ memory: 64 << 20 });
  const container = box.spec({ argv: ['sh', '-c', 'echo up; sleep 60'], resources });
  const running = box.start(container, { hold: true });
  await running.waitFor('up');
  running.child.kill('SIGKILL');
  await running.done;
  assert.notDeepEqual(leftovers(), []);
  const [group = ''] = groups(resources);
  await eventually(() => readFileSync(join(group, 'cgroup.procs'), 'utf8') === '', 'its processes have ended');
  const next = await box.run(box.spec({ argv: ['true'], resources }));
  assert.equal(next.status, 0, next.stderr);
  assert.deepEqual(leftovers(), []);
});
