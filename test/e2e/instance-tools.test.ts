import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { cleanupCgroups } from '../../trees/run/cgroup-cleanup.js';
import { cgroupHost } from '../../trees/run/cgroup-plan.js';
import { hierarchyOf } from '../../trees/run/cgroups.js';
import { eventually } from '../run/support/container.js';
import { at } from '../support/json.js';
import { layOutApp } from '../support/laid-out-app.js';
import { createRig, type Rig } from '../support/rig.js';
import { missingForContainers } from '../support/rootfs.js';

/** exec, pause, stats, top and set, as a user has them. */

const host = cgroupHost();
const lacking = (['memory', 'pids', 'cpu'] as const).find((name) => hierarchyOf(host.layout, name) === undefined);
const skip = missingForContainers() || (lacking === undefined ? false : `needs the ${lacking} controller`);
let rig: Rig;
/** Cgroups and processes are the machine's, so the name is this test's alone. */
const name = `tools-${process.pid}`;

before(async () => {
  if (skip !== false) return;
  rig = await createRig();
  mkdirSync(rig.store, { recursive: true });
  layOutApp(rig.store, 'tool', {
    exec: ['sh', '-c', 'trap "exit 0" TERM; i=0; while :; do i=$((i+1)); echo $i > /tmp/count; sleep 0.02; done'],
    env: { FROM_APP: 'yes' },
    limits: { pids: 200 },
  });
});

after(async () => {
  if (skip !== false) return;
  await rig.trees(['kill', '--all']);
  await rig[Symbol.asyncDispose]();
});

async function ok(...words: string[]): Promise<string> {
  const { status, stdout, stderr } = await rig.trees(words);
  assert.equal(status, 0, `${words.join(' ')}: ${stderr}`);
  return stdout;
}

async function failing(status: number, pattern: RegExp, ...words: string[]): Promise<void> {
  const result = await rig.trees(words);
  assert.deepEqual([result.status, result.stdout], [status, ''], words.join(' '));
  assert.match(result.stderr, pattern);
}

function state(): string {
  return readFileSync(join(rig.root, 'run/trees', name, 'state'), 'utf8');
}

/** Directory of the instance's cgroup with a controller. */
function group(controller: 'memory' | 'pids' | 'cpu'): string {
  const version = hierarchyOf(host.layout, controller)?.version;
  const path = new RegExp(`^cgroup=${version === 2 ? '' : controller}:(.*)$`, 'm').exec(state())?.[1];
  assert.ok(path, state());
  return path;
}

const count = async (): Promise<number> => Number(await ok('exec', name, '--', 'cat', '/tmp/count'));

test('exec: status, user, directory, variables, standard streams', { skip }, async () => {
  await ok('run', '-d', '--name', name, 'tool');
  const script = 'id -u; pwd; echo $FROM_APP $MINE; cat; echo err >&2; exit 42';
  const result = await rig.trees(['exec', '-u', 'app', '-w', '/tmp', '-e', 'MINE=1', name, '--', 'sh', '-c', script], {
    input: 'typed\n',
  });
  assert.deepEqual(result, { status: 42, signal: null, stdout: '1000\n/tmp\nyes 1\ntyped\n', stderr: 'err\n' });
  await failing(127, /^error: cannot execute \/no\/such: /, 'exec', name, '--', '/no/such');
  await failing(126, /^error: cannot execute \/etc\/notexec: /, 'exec', name, '--', '/etc/notexec');
  await failing(125, /Expected a command after --/, 'exec', name);
  await failing(125, /cannot find the user 0x0/, 'exec', '-u', '0x0', name, '--', 'true');
  await failing(125, /there is no instance of that name/, 'exec', 'nowhere', '--', 'true');
  await failing(125, /unknown|Unknown/, 'exec', '--bogus', name, '--', 'true');
});

test('top: processes with their numbers in here and out there', { skip }, async () => {
  await ok('exec', '-d', '-u', 'app', name, '--', 'sleep', '1000');
  const list = at(await rig.json(['top', name]), 'processes');
  assert.ok(Array.isArray(list));
  const process = (key: string, value: unknown): unknown => list.find((entry: unknown) => at(entry, key) === value);
  const first = process('pid', 1);
  assert.equal(at(first, 'command'), 'trees-init');
  assert.ok(state().includes(`\ninit=${String(at(first, 'hostPid'))}\n`));
  assert.equal(at(process('command', 'sleep 1000'), 'user'), 'app');
  assert.match(await ok('top', name), /^app +\d+ +\d+ +1 +S .*sleep 1000$/m);
});

test('pause stops everything, exec says so, unpause lets it go on, stop lets it end', { skip }, async () => {
  assert.equal(await ok('pause', name), `${name}\n`);
  assert.match(state(), /^status=paused$/m);
  await failing(1, /it is paused already/, 'pause', name);
  await failing(125, /it is paused/, 'exec', name, '--', 'true');
  const init = Number(/^init=(\d+)$/m.exec(state())?.[1]);
  const file = `/proc/${init}/root/tmp/count`;
  const before = readFileSync(file, 'utf8');
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.equal(readFileSync(file, 'utf8'), before);
  await ok('unpause', name);
  const after = await count();
  await eventually(() => Number(readFileSync(file, 'utf8')) > after, 'it counts again');
  await failing(1, /it is not paused/, 'unpause', name);
});

test('set: at once, remembered, and taken away again', { skip }, async () => {
  assert.equal(readFileSync(join(group('pids'), 'pids.max'), 'utf8'), '200\n');
  const text = await ok('set', name, '--memory', '64m', '--pids-limit', '50', '--cpus', '0.5');
  assert.equal(text, `${name}: memory 67108864, cpus 0.5, pids-limit 50\n`);
  const memory = host.layout.hierarchies.some(({ version }) => version === 1) ? 'memory.limit_in_bytes' : 'memory.max';
  const limitOf = (file: string): string =>
    readFileSync(join(group(file.startsWith('pids') ? 'pids' : 'memory'), file), 'utf8');
  assert.equal(limitOf(memory), '67108864\n');
  assert.equal(limitOf('pids.max'), '50\n');
  // Up and down, past the limit of memory and swap together.
  for (const size of ['512m', '32m']) await ok('set', name, '--memory', size);
  assert.equal(limitOf(memory), `${32 << 20}\n`);
  await failing(1, /^error: cannot set memory/, 'set', name, '--memory', '4k');
  await ok('set', name, '--memory', '48m');
  const measured = await rig.json(['stats', name]);
  assert.equal(at(measured, 'instances', 0, 'memoryLimit'), 48 << 20);
  assert.equal(at(measured, 'instances', 0, 'pidsLimit'), 50);
  await ok('stop', name);
  assert.deepEqual(cgroups(), []);
  await ok('start', name);
  assert.equal(limitOf(memory), `${48 << 20}\n`);
  await ok('set', name, '--memory', '0', '--pids-limit', '-1');
  assert.equal(limitOf('pids.max'), 'max\n');
  assert.doesNotMatch(limitOf(memory), new RegExp(`^${48 << 20}$`));
  await failing(2, /Expected a limit to set/, 'set', name);
});

function cgroups(): string[] {
  return host.layout.hierarchies.flatMap(({ mount }) => {
    try {
      readFileSync(join(mount, 'trees', name, 'cgroup.procs'));
      return [mount];
    } catch {
      return [];
    }
  });
}

test('stats: numbers that can be', { skip }, async () => {
  const row = at(await rig.json(['stats']), 'instances', 0);
  const number = (key: string): number => Number(at(row, key));
  assert.equal(at(row, 'name'), name);
  assert.ok(number('pids') >= 2 && number('memory') > 10_000 && number('cpu') > 0, JSON.stringify(row));
  assert.match(await ok('stats', '--no-stream'), new RegExp(`^${name} +[\\d.]+ % `, 'm'));
});

test('a paused instance can be stopped, and killed; nothing of it is left', { skip }, async () => {
  await ok('pause', name);
  await ok('stop', name);
  assert.deepEqual(cgroups(), []);
  await ok('start', name);
  await ok('pause', name);
  await ok('kill', name);
  await ok('wait', name);
  assert.deepEqual(cgroups(), []);
});

test('out of memory: told on standard error and in the state', { skip }, async () => {
  const result = await rig.trees([
    'run',
    '--rm',
    '--memory',
    '32m',
    '--memory-swap',
    '32m',
    'tool',
    '--',
    'tail',
    '/dev/zero',
  ]);
  assert.equal(result.status, 137);
  assert.match(result.stderr, /warning: the container reached its memory limit/);
  await ok(
    'run',
    '-d',
    '--name',
    name,
    '--replace',
    '--memory',
    '32m',
    '--memory-swap',
    '32m',
    'tool',
    '--',
    'tail',
    '/dev/zero',
  );
  await eventually(() => /^status=exited$/m.test(state()), 'it has ended');
  assert.match(state(), /^oom=1$/m);
  assert.match(state(), /^exit=137$/m);
});

test('limits that make no sense, or cannot be, are refused before anything starts', { skip }, async () => {
  const run = (...options: string[]): string[] => ['run', '--rm', ...options, 'tool', '--', 'echo', 'ran'];
  await failing(125, /Expected --memory to be a positive number/, ...run('--memory', '5x'));
  await failing(125, /Expected --cpus/, ...run('--cpus', '0.001'));
  await failing(125, /Expected --io-weight to be a whole number from 10 to 1000/, ...run('--blkio-weight', '5'));
  await failing(125, /memory and swap together .* are less/, ...run('--memory', '2m', '--memory-swap', '1m'));
  await failing(125, /cannot give it processor 4000/, ...run('--cpuset-cpus', '0,4000'));
  await failing(125, /Expected --cpuset-cpus to be a list/, ...run('--cpuset-cpus', '3-1'));
});

test('what the app declares and the machine cannot do is a warning', { skip }, async () => {
  layOutApp(rig.store, 'greedy', { exec: ['echo', 'ran'], limits: { cpusetCpus: '0,4000', pids: 20 } });
  const result = await rig.trees(['run', '--rm', 'greedy']);
  assert.deepEqual([result.status, result.stdout], [0, 'ran\n']);
  assert.match(result.stderr, /^warning: without the limit cpuset-cpus that the app declares: .* processor 4000/m);
});

test('what a killed launcher left is found', { skip }, async () => {
  await ok('run', '-d', '--name', name, '--replace', 'tool');
  const monitor = Number(/^monitor=(\d+)$/m.exec(state())?.[1]);
  assert.deepEqual(
    cleanupCgroups().filter((path) => path.endsWith(`/${name}`)),
    [],
  );
  process.kill(monitor, 'SIGKILL');
  await eventually(() => {
    cleanupCgroups();
    return cgroups().length === 0;
  }, 'its cgroups are removed');
});
