import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { missingForContainers } from '../support/rootfs.js';
import { bench, eventually, isAlive } from './support/container.js';
import { attachClient, instances, launch } from './support/instance.js';

const skip = missingForContainers();
const box = bench();
const own = instances(box);
after(() => {
  own[Symbol.dispose]();
  box[Symbol.dispose]();
});

/** A directory that is /mnt inside, where runs leave their marks. */
function marks(name: string) {
  const directory = join(box.directory, `marks-${name}`);
  mkdirSync(directory);
  const file = join(directory, 'runs');
  writeFileSync(file, '');
  return {
    directory,
    container: { mounts: [{ kind: 'bind', source: directory, target: '/mnt' }] } as const,
    /** Seconds since the machine was started, of each run. */
    times: (): number[] => readFileSync(file, 'utf8').split('\n').filter(Boolean).map(Number),
  };
}

/** Notes the time of the run, with hundredths of a second. */
const mark = 'read -r up rest < /proc/uptime; echo $up >> /mnt/runs';

test('on-failure:3 is exactly four runs, each after a longer pause', { skip }, async () => {
  const { container, times } = marks('failing');
  own.detach('failing', ['sh', '-c', `${mark}; exit 5`], {
    container,
    restart: { policy: 'on-failure', max: 3, delay: 0.2 },
  });
  const monitor = own.state('failing')['monitor'];
  assert.equal(await own.ask('failing', 'wait'), 'exit=5\nok\n');
  const runs = times();
  assert.equal(runs.length, 4);
  const pauses = runs.slice(1).map((time, index) => time - (runs[index] ?? 0));
  // Never shorter than asked for: 0.2, 0.4, 0.8 seconds, less what the clock cannot show.
  assert.ok(
    pauses.every((pause, index) => pause >= 0.2 * 2 ** index - 0.02),
    String(pauses),
  );
  const { status, exit, restarts, monitor: last } = own.state('failing');
  assert.deepEqual([status, exit, restarts, last], ['exited', '5', '3', monitor]);
});

test('in the foreground as well, with the status of the last run', { skip }, () => {
  const plan = own.plan('foreground', ['sh', '-c', 'echo run; exit 6'], {
    restart: { policy: 'on-failure', max: 2, delay: 0.01 },
  });
  assert.deepEqual(launch([plan]), { status: 6, stdout: 'run\nrun\nrun\n', stderr: '' });
  const stateless = box.planFile(
    box.spec({
      argv: ['sh', '-c', 'echo run; exit 6'],
      supervision: { name: '', app: 'app', generation: 1, restart: { policy: 'always', max: 1, delay: 0.01 } },
    }),
  );
  assert.deepEqual(launch([stateless]), { status: 6, stdout: 'run\nrun\n', stderr: '' });
});

test('success ends on-failure, and no means no', { skip }, async () => {
  const good = marks('good');
  own.detach('good', ['sh', '-c', `${mark}; exit 0`], {
    container: good.container,
    restart: { policy: 'on-failure', delay: 0.01 },
  });
  await own.waitForState('good', 'status', 'exited');
  assert.equal(good.times().length, 1);
  const never = marks('never');
  own.detach('never', ['sh', '-c', `${mark}; exit 3`], { container: never.container });
  await own.waitForState('never', 'status', 'exited');
  assert.equal(never.times().length, 1);
});

test('always starts again after success, until it is stopped', { skip }, async () => {
  for (const policy of ['always', 'unless-stopped'] as const) {
    const { container, times } = marks(policy);
    own.detach(policy, ['sh', '-c', `${mark}; exit 0`], {
      container,
      restart: { policy, delay: 0.01, maxDelay: 0.05 },
    });
    await eventually(() => times().length >= 4, 'it runs again and again');
    const { monitor } = own.state(policy);
    assert.equal(await own.ask(policy, 'stop timeout=5000'), 'exit=0\nok\n');
    assert.equal(own.state(policy)['status'], 'exited');
    await eventually(() => !isAlive(Number(monitor)), 'the monitor has ended');
    const count = times().length;
    await sleep(200);
    assert.equal(times().length, count);
  }
});

test('a pause of nothing does not keep a processor busy', { skip }, async () => {
  const { container, times } = marks('busy');
  own.detach('busy', ['sh', '-c', `${mark}; exit 1`], {
    container,
    restart: { policy: 'always', delay: 0, maxDelay: 0 },
  });
  await sleep(500);
  // Pauses of at least 10 ms: no more than 50 in half a second, however fast the machine.
  assert.ok(times().length <= 51, `${times().length} runs`);
  await own.ask('busy', 'stop');
});

test('running for long enough resets pause and count', { skip }, async () => {
  const { container, times } = marks('stable');
  // Every run is stable: with one restart in a row allowed, it goes on all the same.
  own.detach('stable', ['sh', '-c', `${mark}; sleep 0.3; exit 1`], {
    container,
    restart: { policy: 'on-failure', max: 1, delay: 0.01, resetAfter: 0.2 },
  });
  await eventually(() => times().length >= 5, 'five runs');
  await own.ask('stable', 'stop');
});

test('stop ends a pause at once', { skip }, async () => {
  own.detach('pausing', ['sh', '-c', 'exit 9'], { restart: { policy: 'always', delay: 3600, maxDelay: 3600 } });
  await own.waitForState('pausing', 'status', 'restarting');
  assert.equal(await own.ask('pausing', 'stop'), 'exit=9\nok\n');
  assert.equal(own.state('pausing')['exit'], '9');
});

test('what a user kills stays ended; what dies by itself does not', { skip }, async () => {
  const restart = { policy: 'always', delay: 0.01 } as const;
  own.detach('killed', ['sleep', '300'], { restart });
  assert.equal(await own.ask('killed', 'kill signal=9'), 'ok\n');
  await own.waitForState('killed', 'status', 'exited');
  assert.equal(own.state('killed')['exit'], '137');

  own.detach('dying', ['sleep', '300'], { restart });
  const { init, monitor } = own.state('dying');
  process.kill(Number(init), 'SIGKILL');
  await own.waitForState('dying', 'restarts', '1');
  await own.waitForState('dying', 'status', 'running');
  const after1 = own.state('dying');
  assert.equal(after1['monitor'], monitor);
  assert.notEqual(after1['init'], init);
  assert.equal(await own.ask('dying', 'kill'), 'ok\n');
});

test('restart: the same monitor and id, another container; who is attached and who waits stays', { skip }, async () => {
  own.detach('again', ['sh', '-c', 'echo $(cat /proc/sys/kernel/random/uuid); exec sleep 300'], { stdin: true });
  const before = own.state('again');
  const attached = attachClient(own.runDir('again'));
  await eventually(() => attached.stdout().split('\n').length === 2, 'a line of the first run');
  const waiting = own.ask('again', 'wait');
  assert.equal(await own.ask('again', 'restart timeout=5000'), 'ok\n');
  await eventually(() => attached.stdout().split('\n').length === 3, 'a line of the second run');
  const now = own.state('again');
  for (const key of ['monitor', 'monitor-start', 'instance-id']) assert.equal(now[key], before[key], key);
  assert.notEqual(now['init'], before['init']);
  assert.equal(now['status'], 'running');
  assert.equal(await own.ask('again', 'stop'), 'exit=143\nok\n');
  assert.equal(await waiting, 'exit=143\nok\n');
  assert.equal(await attached.done, 143);
});

test('restart with another plan moves to it; one that makes no sense changes nothing', { skip }, async () => {
  own.detach('moving', ['sh', '-c', 'echo old; exec sleep 300']);
  const next = own.plan('moving', ['sh', '-c', 'echo new; exec sleep 300'], { generation: 2 });
  const other = own.plan('other', ['true']);
  const { init } = own.state('moving');
  assert.match(await own.ask('moving', `restart plan=${encodeURIComponent(other)}`), /^error .*another instance/);
  assert.match(await own.ask('moving', 'restart plan=/dev/null'), /^error /);
  assert.match(await own.ask('moving', 'restart plan=/no/such'), /^error cannot open the plan\n$/);
  assert.equal(own.state('moving')['init'], init);
  assert.equal(await own.ask('moving', `restart plan=${encodeURIComponent(next)}`), 'ok\n');
  assert.equal(own.state('moving')['generation'], '2');
  assert.deepEqual(readFileSync(own.state('moving')['plan'] ?? ''), readFileSync(next));
  const attached = attachClient(own.runDir('moving'), ['--no-stdin']);
  await attached.see('new');
  await own.ask('moving', 'kill');
});

test('a start that fails while restarting is tried again like a failure', { skip }, async () => {
  const { directory, container } = marks('hidden');
  own.detach('hidden', ['sh', '-c', 'exec sleep 300'], { container, restart: { policy: 'on-failure', delay: 0.1 } });
  const { init, monitor } = own.state('hidden');
  renameSync(directory, `${directory}.away`);
  process.kill(Number(init), 'SIGKILL');
  await eventually(() => Number(own.state('hidden')['restarts']) >= 3, 'it is tried again');
  await own.waitForState('hidden', 'status', 'restarting');
  assert.match(own.state('hidden')['error'] ?? '', /cannot mount .*marks-hidden/);
  renameSync(`${directory}.away`, directory);
  await own.waitForState('hidden', 'status', 'running');
  assert.equal(own.state('hidden')['error'], undefined);
  assert.equal(own.state('hidden')['monitor'], monitor);
  assert.equal(await own.ask('hidden', 'stop'), 'exit=143\nok\n');
});

test('a restart that cannot start ends the instance where no policy tries again, and says why', { skip }, async () => {
  const { directory, container } = marks('lost');
  own.detach('lost', ['sleep', '300'], { container });
  renameSync(directory, `${directory}.away`);
  assert.match(await own.ask('lost', 'restart'), /^error /);
  await own.waitForState('lost', 'status', 'failed');
  assert.match(own.state('lost')['error'] ?? '', /cannot mount .*marks-lost/);
  assert.equal(own.state('lost')['exit'], '125');
});
