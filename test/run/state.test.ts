import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import {
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { launcherPath } from '../../trees/run/exec-launcher.js';
import { tryFlock } from '../../trees/system/index.js';
import { missingForContainers } from '../support/rootfs.js';
import { bench, eventually, isAlive } from './support/container.js';
import { hearDatagrams, missingForDatagrams } from './support/datagrams.js';
import { instances, launch, startOf } from './support/instance.js';

const skip = missingForContainers();
const box = bench();
const own = instances(box);
after(() => {
  own[Symbol.dispose]();
  box[Symbol.dispose]();
});

function isLocked(name: string): boolean {
  const fd = openSync(join(own.runDir(name), 'lock'), 'r');
  try {
    return !tryFlock(fd, 'shared');
  } finally {
    closeSync(fd);
  }
}

/** In the foreground, as a child. */
function foreground(name: string, argv: readonly string[]) {
  const child = spawn(launcherPath(), [own.plan(name, argv)], { stdio: ['ignore', 'pipe', 'inherit'] });
  return { child, done: new Promise<number | null>((resolve) => child.once('close', resolve)) };
}

test('while it runs: a private directory, who runs, since when, by which plan', { skip }, async () => {
  const plan = own.plan('kept', ['sleep', '300'], { app: 'tool', generation: 7 });
  const before = BigInt(Date.now()) * 1_000_000n;
  const child = spawn(launcherPath(), [plan], { stdio: 'ignore' });
  const done = new Promise((resolve) => child.once('close', resolve));
  await own.waitForState('kept', 'status', 'running');
  const directory = own.runDir('kept');
  assert.equal(statSync(directory).mode & 0o7777, 0o700);
  for (const name of readdirSync(directory)) assert.equal(statSync(join(directory, name)).mode & 0o7777, 0o600, name);
  assert.deepEqual(readdirSync(directory).sort(), ['control', 'lock', 'plan', 'state']);
  assert.deepEqual(readFileSync(join(directory, 'plan')), readFileSync(plan));

  const { 'instance-id': id, started, monitor, init, ...rest } = own.state('kept');
  assert.match(id ?? '', /^[0-9a-f]{12}$/);
  assert.ok(BigInt(started ?? 0) >= before && BigInt(started ?? 0) <= BigInt(Date.now() + 1000) * 1_000_000n);
  assert.equal(Number(monitor), child.pid);
  assert.deepEqual(rest, {
    version: '1',
    name: 'kept',
    app: 'tool',
    generation: '7',
    boot: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
    status: 'running',
    'monitor-start': startOf(Number(monitor)),
    'init-start': startOf(Number(init)),
    oom: '0',
    restarts: '0',
    tty: '0',
    detached: '0',
    plan: join(directory, 'plan'),
    health: 'none',
    ready: '1',
  });
  assert.ok(isLocked('kept'));
  child.kill('SIGTERM');
  await done;
  assert.ok(!isLocked('kept'));
  const ended = own.state('kept');
  assert.deepEqual([ended['status'], ended['exit'], ended['init']], ['exited', '143', undefined]);
  assert.ok(BigInt(ended['finished'] ?? 0) >= BigInt(started ?? 0));
  assert.deepEqual(readdirSync(directory).sort(), ['lock', 'plan', 'state']);
});

test('one at a time by that name; the other one is not disturbed', { skip }, async () => {
  own.detach('single', ['sleep', '300']);
  const before = own.state('single');
  const second = own.tryDetach('single', ['true']);
  assert.equal(second.status, 125);
  assert.match(second.stderr, /the instance single is running already/);
  assert.equal(launch([own.plan('single', ['true'])]).status, 125);
  assert.deepEqual(own.state('single'), before);
  assert.match(await own.ask('single', 'status'), /status=running\n/);
  await own.ask('single', 'kill');
});

test('looking whether it runs does not keep it from starting', { skip }, async () => {
  own.detach('looked-at', ['true']);
  await own.waitForState('looked-at', 'status', 'exited');
  const fd = openSync(join(own.runDir('looked-at'), 'lock'), 'r');
  await eventually(() => tryFlock(fd, 'shared'), 'the monitor has let go');
  setTimeout(() => closeSync(fd), 50);
  const { child, done } = foreground('looked-at', ['sh', '-c', 'exit 3']);
  assert.equal(await done, 3);
  assert.notEqual(child.pid, undefined);
});

test('kill -9 of the launcher: the container is gone, the lock free, the name usable', { skip }, async () => {
  const { child, done } = foreground('shot', ['sleep', '300']);
  await own.waitForState('shot', 'status', 'running');
  const init = Number(own.state('shot')['init']);
  child.kill('SIGKILL');
  await done;
  await eventually(() => !isAlive(init), 'the container is gone');
  assert.ok(!isLocked('shot'));
  assert.equal(launch([own.plan('shot', ['sh', '-c', 'exit 4'])]).status, 4);
  assert.equal(own.state('shot')['exit'], '4');
});

test('a start that fails leaves nothing; what was there before stays, with the reason', { skip }, async () => {
  const broken = own.plan('broken', ['/no/such']);
  for (const flags of [[], ['--detach']]) {
    assert.equal(launch([...flags, broken]).status, 127);
    assert.ok(!existsSync(own.runDir('broken')));
  }
  own.detach('broken', ['sh', '-c', 'exit 2']);
  await own.waitForState('broken', 'status', 'exited');
  writeFileSync(join(own.runDir('broken'), 'spec.json'), '{}');
  assert.equal(launch([own.plan('broken', ['true'], { container: { workdir: '/none' } })]).status, 125);
  assert.equal(own.state('broken')['status'], 'failed');
  assert.ok(existsSync(join(own.runDir('broken'), 'spec.json')));
  assert.ok(!existsSync(join(own.runDir('broken'), 'control')));
});

test('remove: nothing is left, however it ends', { skip }, async () => {
  own.detach('removed', ['sleep', '300'], { remove: true });
  writeFileSync(join(own.runDir('removed'), 'spec.json'), '{}');
  await own.ask('removed', 'stop');
  assert.ok(!existsSync(own.runDir('removed')));
  assert.equal(launch([own.plan('removed', ['sh', '-c', 'exit 1'], { remove: true })]).status, 1);
  assert.ok(!existsSync(own.runDir('removed')));
});

test('a directory of somebody else’s, or behind a symbolic link, is refused', { skip }, () => {
  mkdirSync(join(own.runDir('x'), '..'), { recursive: true });
  mkdirSync(own.runDir('foreign'));
  chownSync(own.runDir('foreign'), 65_534, 65_534);
  const foreign = own.tryDetach('foreign', ['true']);
  assert.equal(foreign.status, 125);
  assert.match(foreign.stderr, /belongs to user 65534/);
  symlinkSync(box.directory, own.runDir('linked'));
  const linked = own.tryDetach('linked', ['true']);
  assert.equal(linked.status, 125);
  assert.ok(!existsSync(join(box.directory, 'lock')));
});

test('the service manager hears when it is ready', {
  skip: skip || missingForDatagrams,
}, async () => {
  const address = join(box.directory, 'notify');
  using receiver = await hearDatagrams(address);
  const env = { NOTIFY_SOCKET: address };
  const plan = own.plan('notifying', ['sleep', '300']);
  assert.equal(launch(['--detach', '--sdnotify=ignore', plan], { env }).status, 0);
  await own.ask('notifying', 'kill');
  assert.equal(launch(['--detach', '--sdnotify=conmon', plan], { env }).status, 0);
  await eventually(() => receiver.heard().includes('READY=1'), 'it is told');
  assert.equal(receiver.heard(), `READY=1\nMAINPID=${own.state('notifying')['monitor']}\n`);
  await own.ask('notifying', 'stop');
  await eventually(() => receiver.heard().endsWith('STOPPING=1\n'), 'it is told of the end');
});
