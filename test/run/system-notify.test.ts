import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { launcherPath } from '../../trees/run/exec-launcher.js';
import { eventually } from './support/container.js';
import { hearDatagrams, missingForDatagrams } from './support/datagrams.js';
import { type Instances, instances, launch } from './support/instance.js';
import { servicesBench, missingForServices as skip } from './support/services.js';

/** What an init of the tree's own says about itself by sd_notify. */

const SOCKET = '/run/host/notify';
const box = servicesBench();
const own = instances(box);
after(() => {
  own[Symbol.dispose]();
  box[Symbol.dispose]();
});

/** A system whose process 1 says what it is told to. */
const system = (): Parameters<Instances['plan']>[2] & object => ({
  container: {
    upper: box.persistent(),
    system: { init: 'other', notify: true, hooks: [] },
    noInit: true,
    mounts: [{ kind: 'tmpfs', target: '/run', mode: 0o755 }],
  },
});
const ARGV = ['helper', 'system', '/run/lines'];

function start(name: string): void {
  own.detach(name, ARGV, system());
}

const inside = (name: string, script: string): ReturnType<typeof launch> =>
  launch(['--exec', own.runDir(name), '--', 'sh', '-c', script]);

/** Has process 1 send something, or end. */
function say(name: string, line: string): void {
  const script = `while ! test -p /run/lines; do usleep 1000; done; echo '${line}' >/run/lines`;
  const { status, stderr } = inside(name, script);
  assert.equal(status, 0, stderr);
}

/** Returns when the launcher has read what process 1 has sent until now. */
async function heard(name: string, text: string): Promise<void> {
  say(name, `STATUS=${text}`);
  await own.waitForState(name, 'status-text', text);
}

const how = (name: string): (string | undefined)[] => ['status', 'ready'].map((key) => own.state(name)[key]);

test('a system is ready when its process 1 says so, and not before', { skip }, async () => {
  start('one');
  assert.deepEqual(how('one'), ['running', '0']);
  say('one', 'STATUS=Starting 50% of it.');
  await own.waitForState('one', 'status-text', 'Starting 50  of it.');
  assert.deepEqual(how('one'), ['running', '0']);
  say('one', 'STATUS=Startup finished.;READY=1;X_UNKNOWN=1');
  await own.waitForState('one', 'ready', '1');
  assert.deepEqual(own.state('one')['status-text'], 'Startup finished.');
  assert.match(await own.ask('one', 'status'), /^ready=1\nstatus-text=Startup%20finished\.$/m);

  await own.ask('one', 'restart timeout=0');
  assert.deepEqual([...how('one'), own.state('one')['status-text']], ['running', '0', undefined]);
  say('one', 'READY=1');
  await own.waitForState('one', 'ready', '1');
  await own.ask('one', 'kill');
});

test('it is stopping when it says so, and its status is that of its process', { skip }, async () => {
  const change = system();
  own.detach('ends', ARGV, change);
  say('ends', 'READY=1');
  await own.waitForState('ends', 'ready', '1');
  say('ends', 'STOPPING=1;STATUS=Shutting down.');
  await own.waitForState('ends', 'status-text', 'Shutting down.');
  assert.deepEqual(how('ends'), ['stopping', '0']);
  say('ends', 'READY=1');
  await heard('ends', 'on its way');
  assert.deepEqual(how('ends'), ['stopping', '0']);
  inside('ends', "echo 'exit 7' >/run/lines"); // may be ended with the container
  await own.waitForState('ends', 'status', 'exited');
  assert.equal(own.state('ends')['exit'], '7');
  const { upper } = change.container ?? {};
  assert.ok(upper?.kind === 'persistent' && existsSync(upper.upper));
  assert.ok(!existsSync(join(upper.upper, 'run')), 'nothing of the socket is left');
});

test('nobody else can say it: other processes, other users; their flood keeps nobody from anything', {
  skip,
}, async () => {
  start('liars');
  const variable = inside('liars', 'echo "<$NOTIFY_SOCKET>"; stat -c "%a %u %F" ' + SOCKET);
  assert.equal(variable.stdout, '<>\n600 0 socket\n');
  // `notify` and `flood` return when what they have sent was read.
  assert.equal(inside('liars', `NOTIFY_SOCKET=${SOCKET} helper notify READY=1`).status, 0);
  assert.equal(inside('liars', `NOTIFY_SOCKET=${SOCKET} helper notify STOPPING=1`).status, 0);
  const user = ['--user=1000', `--env=NOTIFY_SOCKET=${SOCKET}`, '--', 'helper', 'notify', 'READY=1'];
  assert.equal(launch(['--exec', own.runDir('liars'), ...user]).status, 8, 'it may not send');
  assert.deepEqual(how('liars'), ['running', '0']);

  const flood = inside('liars', `NOTIFY_SOCKET=${SOCKET} helper flood 150`);
  assert.equal(flood.status, 0, flood.stderr);
  assert.deepEqual([...how('liars'), own.state('liars')['status-text']], ['running', '0', undefined]);
  const endless = `export NOTIFY_SOCKET=${SOCKET}; while :; do helper flood 50; done`;
  const flooding = spawn(launcherPath(), ['--exec', own.runDir('liars'), '--', 'sh', '-c', endless]);
  const ended = new Promise((resolve) => flooding.once('close', resolve));
  assert.match(await own.ask('liars', 'status'), /^ready=0$/m);
  say('liars', 'READY=1');
  await own.waitForState('liars', 'ready', '1');
  await own.ask('liars', 'kill');
  await ended;
});

test('what makes no sense is no message', { skip }, async () => {
  start('odd');
  for (const line of ['READY=2', 'READY=1 ', ' READY=1', 'READY', 'READY=11', ';;', '=', 'long 5000', 'long 60000']) {
    say('odd', line);
  }
  await heard('odd', 'all of it');
  assert.deepEqual(how('odd'), ['running', '0']);
  const name = 'é'.repeat(300);
  say('odd', `STATUS=${name}`);
  await eventually(
    () => (own.state('odd')['status-text'] ?? '').startsWith('ééé'),
    () => JSON.stringify(own.state('odd')),
  );
  assert.ok(Buffer.byteLength(own.state('odd')['status-text'] ?? '') < 260);
  say('odd', 'STATUS=');
  await own.waitForState('odd', 'ready', '0');
  say('odd', 'long 4096');
  await own.waitForState('odd', 'ready', '1');
  assert.equal(own.state('odd')['status-text'], undefined);
  await own.ask('odd', 'kill');
});

test('the service manager of the machine hears of it when it is ready, too', {
  skip: skip || missingForDatagrams,
}, async () => {
  const address = join(box.directory, 'manager');
  using manager = await hearDatagrams(address);
  const plan = own.plan('managed', ARGV, system());
  assert.equal(launch(['--detach', plan], { env: { NOTIFY_SOCKET: address } }).status, 0);
  await heard('managed', 'booting');
  assert.equal(manager.heard(), '');
  say('managed', 'READY=1');
  await eventually(() => manager.heard() !== '', 'it is told');
  assert.equal(manager.heard(), `READY=1\nMAINPID=${own.state('managed')['monitor']}\n`);
  say('managed', 'STOPPING=1');
  await eventually(() => manager.heard().endsWith('STOPPING=1\n'), 'it is told of the end');
  await own.ask('managed', 'kill');
  assert.equal(manager.heard().match(/STOPPING/g)?.length, 1);
});
