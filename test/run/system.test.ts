import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import type { ContainerSpec } from '../../trees/run/container.js';
import { findInit } from '../../trees/run/find-init.js';
import { type SystemRequest, withSystem } from '../../trees/run/system.js';
import { missingForContainers } from '../support/rootfs.js';
import { bench, eventually } from './support/container.js';
import { type InstanceChange, instances, launch } from './support/instance.js';

const skip = missingForContainers();
const box = bench();
const own = instances(box);
after(() => {
  own[Symbol.dispose]();
  box[Symbol.dispose]();
});

/** What `trees run` makes of a request. */
function system(request: SystemRequest, init?: 'busybox', change: Partial<ContainerSpec> = {}): InstanceChange {
  const place = {
    app: 'app',
    name: 'test',
    findInit: () => undefined,
    cgroupHost: () => assert.fail('no cgroup is needed'),
  };
  const { supervision: _own, argv: _argv, ...container } = withSystem(box.spec(change), init, request, place);
  return { container, ...(init === undefined ? {} : { tty: true, stopTimeout: 20 }) };
}

function hostScript(name: string, body: string): string {
  const path = join(box.directory, name);
  writeFileSync(path, `#!/bin/sh\n${body}\n`);
  chmodSync(path, 0o755);
  return path;
}

const log = join(box.directory, 'hooks.log');
const logged = (): string[] => (existsSync(log) ? readFileSync(log, 'utf8').trimEnd().split('\n') : []);

describe('scripts before the command', () => {
  test('run in the container as its root, before every start', { skip }, async () => {
    const persistent = box.persistent();
    const request = { initScript: '/bin/prepare', initCommand: 'echo line $(id -u) $PWD $LEVEL >>/order' };
    writeFileSync(join(box.rootfs, 'bin/prepare'), '#!/bin/sh\necho script >>/order\n');
    chmodSync(join(box.rootfs, 'bin/prepare'), 0o755);
    const change = system(request, undefined, { upper: persistent, user: 'app', env: { PATH: '/bin', LEVEL: '3' } });
    own.detach('prepared', ['sh', '-c', 'cat /order; sleep 300'], change);
    const order = join(persistent.upper, 'order');
    assert.equal(readFileSync(order, 'utf8'), 'script\nline 0 / 3\n');
    await own.ask('prepared', 'restart timeout=5000');
    assert.equal(readFileSync(order, 'utf8'), 'script\nline 0 / 3\n'.repeat(2));
    await own.ask('prepared', 'kill');
  });

  for (const [what, script, status, message] of [
    ['fails', 'exit 3', 125, /\/bin\/sh, which prepares the container, exited with status 3/],
    ['is ended by a signal', 'kill -KILL $$', 125, /was ended by signal 9/],
  ] as const) {
    test(`one that ${what} keeps the command from starting`, { skip }, () => {
      const change = system({ initCommand: script });
      const { status: got, stdout, stderr } = own.tryDetach('refused', ['sh', '-c', 'echo started'], change);
      assert.deepEqual([got === 0, stdout], [false, '']);
      assert.match(stderr, message);
      assert.ok(!existsSync(own.runDir('refused')));
      const foreground = launch([own.plan('refused', ['echo', 'started'], change)]);
      assert.deepEqual([foreground.status, foreground.stdout], [status, '']);
    });
  }

  test('one that is missing does, too', { skip }, () => {
    const change = system({ initScript: '/no/such' });
    const { status, stdout, stderr } = launch([own.plan('missing', ['echo', 'started'], change)]);
    assert.deepEqual([status, stdout], [125, '']);
    assert.match(stderr, /cannot execute \/no\/such: No such file or directory/);
  });

  test('one that is asked to end ends', { skip }, async () => {
    const change = system({ initCommand: 'echo waiting; sleep 300' });
    const running = box.start(box.spec({ argv: ['echo', 'started'], ...change.container }));
    await running.waitFor('waiting');
    running.child.kill('SIGTERM');
    const { status, stdout } = await running.done;
    assert.deepEqual([status, stdout], [143, 'waiting\n']);
  });
});

describe('hooks on the host', () => {
  const prestart = [hostScript('pre', `read state; echo "pre $1 $state" >>${log}`), 'first'];
  const poststop = [hostScript('post', `read state; echo "post $state" >>${log}; echo said`)];

  test('run once each around every run, with the state as JSON', { skip }, async () => {
    writeFileSync(log, '');
    own.detach('hooked', ['sleep', '300'], system({ prestart: [prestart], poststop: [poststop] }));
    const init = Number(own.state('hooked')['init']);
    await own.ask('hooked', 'restart timeout=0');
    await own.ask('hooked', 'kill');
    await own.waitForState('hooked', 'status', 'exited');
    const lines = logged();
    assert.deepEqual(
      lines.map((line) => line.split(' ')[0]),
      ['pre', 'post', 'pre', 'post'],
    );
    const state: unknown = JSON.parse(lines[0]?.replace('pre first ', '') ?? '');
    assert.deepEqual(state, {
      ociVersion: '1.0.2',
      id: 'hooked',
      status: 'created',
      pid: init,
      bundle: own.runDir('hooked'),
      annotations: { 'trees.app': 'app', 'trees.generation': '1' },
    });
    assert.match(lines[1] ?? '', /"status":"stopped","pid":0/);
  });

  test('find a container with all its namespaces, so that they can give it a network', { skip }, () => {
    const found = join(box.directory, 'namespaces');
    const body = `pid=$(sed 's/.*"pid":\\([0-9]*\\).*/\\1/'); cd /proc/$pid/ns
for kind in user pid mnt ipc uts net; do [ "$(readlink $kind)" = "$(readlink /proc/self/ns/$kind)" ] || echo $kind; done >${found}
nsenter -t $pid -n ip link add given type veth peer name other`;
    const change = system({ prestart: [[hostScript('namespaces', body)]] });
    const { status, stdout, stderr } = launch([own.plan('network', ['ls', '/sys/class/net'], change)]);
    assert.deepEqual([status, stderr], [0, '']);
    assert.equal(readFileSync(found, 'utf8'), 'user\npid\nmnt\nipc\nuts\nnet\n');
    assert.match(stdout, /^given$/m);
  });

  test('the last one runs after a crash, and in the foreground says nothing on standard output', { skip }, () => {
    writeFileSync(log, '');
    const change = system({ prestart: [prestart], poststop: [poststop] });
    const { status, stdout, stderr } = launch([own.plan('crash', ['sh', '-c', 'kill -SEGV $$'], change)]);
    assert.deepEqual([status, stdout, stderr], [139, '', 'said\n']);
    assert.equal(logged().length, 2);
  });

  test('one that fails keeps the container from starting, and what was begun is ended', { skip }, () => {
    writeFileSync(log, '');
    const bad = hostScript('bad', 'exit 4');
    const change = system({ prestart: [prestart, [bad]], poststop: [poststop] });
    const { status, stdout, stderr } = launch([own.plan('bad', ['echo', 'started'], change)]);
    assert.deepEqual([status, stdout], [125, '']);
    assert.match(stderr, /cannot start the container: the hook .*\/bad exited with status 4/);
    assert.deepEqual(
      logged().map((line) => line.split(' ')[0]),
      ['pre', 'post'],
    );
  });

  test('one that is missing is named', { skip }, () => {
    const { status, stderr } = launch([own.plan('none', ['true'], system({ prestart: [['/no/such/hook']] }))]);
    assert.equal(status, 125);
    assert.match(stderr, /cannot execute the hook \/no\/such\/hook: No such file or directory/);
  });
});

describe('a tree’s own init as process 1', () => {
  mkdirSync(join(box.rootfs, 'sbin'), { recursive: true });
  if (skip === false) {
    for (const name of ['init', 'poweroff', 'reboot']) symlinkSync('../bin/busybox', join(box.rootfs, 'sbin', name));
    writeFileSync(
      join(box.rootfs, 'etc/inittab'),
      '::sysinit:/bin/sh -c "echo booting $container; echo boot >>/boots"\n::respawn:/bin/sleep 300\n' +
        '::shutdown:/bin/sh -c "echo going down"\n',
    );
  }
  const start = (name: string): string => {
    const persistent = box.persistent();
    const env = { PATH: '/sbin:/bin', container: 'trees' };
    own.detach(name, ['/sbin/init'], system({}, 'busybox', { upper: persistent, env }));
    return join(persistent.upper, 'boots');
  };

  test('is found, and what kind it is', { skip }, () => {
    assert.deepEqual(findInit(box.rootfs, 'sbin-init'), { program: '/sbin/init', kind: 'busybox' });
    assert.equal(findInit(box.rootfs, 'systemd'), undefined);
  });

  test('boots, is process 1, and ends in its own way when it is stopped', { skip }, async () => {
    const boots = start('busy');
    await eventually(
      () => existsSync(boots),
      () => 'boots',
    );
    const init = own.state('busy')['init'];
    assert.equal(readFileSync(`/proc/${init}/comm`, 'utf8'), 'init\n');
    assert.equal(await own.ask('busy', 'stop'), 'exit=0\nok\n');
    assert.equal(own.state('busy')['status'], 'exited');
  });

  test('starts again when it reboots, and is done when it powers off', { skip }, async () => {
    const boots = start('again');
    const count = (): number => (existsSync(boots) ? readFileSync(boots, 'utf8').trimEnd().split('\n').length : 0);
    await eventually(
      () => count() === 1,
      () => `${count()} boots`,
    );
    const inside = (...words: string[]): ReturnType<typeof launch> =>
      launch(['--exec', own.runDir('again'), '--', ...words]);
    inside('/sbin/reboot'); // may be ended by what it began
    await eventually(
      () => count() === 2,
      () => `${count()} boots`,
    );
    await own.waitForState('again', 'status', 'running');
    inside('/sbin/poweroff');
    await own.waitForState('again', 'status', 'exited');
    assert.equal(own.state('again')['exit'], '0');
    assert.equal(count(), 2);
  });
});
