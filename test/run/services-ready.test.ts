import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { eventually } from './support/container.js';
import { linesOf, servicesBench, sh, missingForServices as skip } from './support/services.js';

const box = servicesBench();
after(() => box[Symbol.dispose]());

test('only processes of a service can say that it is ready', { skip }, async () => {
  const running = box.services({
    web: { exec: sh('echo $NOTIFY_SOCKET >/tmp/name; exec sleep 1000'), ready: 'notify', readyTimeout: 100 },
    liar: { exec: sh('sleep 0.2; NOTIFY_SOCKET=$(cat /tmp/name) helper notify READY=1; echo lied; exec sleep 1000') },
    after: { exec: sh('echo started'), after: ['web'] },
  });
  await running.waitFor('lied');
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.deepEqual(linesOf(running.output(), 'after'), []);
  running.child.kill('SIGTERM');
  await running.done;
  // A child of its own, in a session of its own, may.
  const child = box.services({
    web: { exec: sh('setsid sh -c "helper notify READY=1; sleep 1000" & exec sleep 1000'), ready: 'notify' },
    after: { exec: sh('echo started'), after: ['web'], main: true },
  });
  assert.deepEqual(linesOf((await child.done).stdout, 'after'), ['started']);
});

test('a flood of notifications does not keep PID 1 from its work, and readiness gets through', { skip }, async () => {
  const running = box.services({
    noisy: { exec: sh('helper flood 150; echo flooded; exec sleep 1000'), ready: 'notify' },
    after: { exec: sh('echo started'), after: ['noisy'], main: true },
    crash: { exec: sh('echo run; exit 1'), restart: { policy: 'on-failure', delay: 0.02, maxDelay: 0.02 } },
  });
  const { stdout } = await running.done;
  assert.deepEqual(linesOf(stdout, 'after'), ['started']);
  assert.ok(linesOf(stdout, 'crash').length > 5);
});

test('readiness that does not come in time is a failure; a closed descriptor is none', { skip }, async () => {
  const running = box.services({
    late: {
      exec: sh('echo run; exec sleep 1000'),
      ready: 'notify',
      readyTimeout: 0.2,
      restart: { policy: 'on-failure', max: 1, delay: 0.05 },
    },
    closes: { exec: sh('exec 4>&-; echo closed; exec sleep 1000'), ready: { fd: 4 }, readyTimeout: 100 },
    never: { exec: sh('echo wrong'), after: ['closes'] },
    main: { exec: sh('echo late failed'), requires: [], after: ['late'], main: true },
  });
  const { stdout } = await running.done;
  assert.equal(linesOf(stdout, 'late').length, 2);
  assert.deepEqual(linesOf(stdout, 'never'), []);
  assert.deepEqual(linesOf(stdout, 'closes'), ['closed']);
});

test('a service that closes its outputs lives on', { skip }, async () => {
  const running = box.services({
    quiet: { exec: sh('exec >&- 2>&-; sleep 0.3; touch /tmp/alive; exec sleep 1000') },
    main: { exec: sh('while ! test -e /tmp/alive; do sleep 0.05; done; echo alive'), main: true },
  });
  assert.deepEqual(linesOf((await running.done).stdout, 'main'), ['alive']);
});

test('one-shots are done before what requires them starts; their failure keeps it from starting', {
  skip,
}, async () => {
  const services = (status: number) => ({
    migrate: { exec: sh(`sleep 0.2; echo done; exit ${status}`), oneshot: true },
    web: { exec: sh('echo up'), requires: ['migrate'], main: true },
  });
  const good = await box.services(services(0)).done;
  assert.deepEqual([good.status, good.stdout], [0, '[migrate OUT] done\n[web OUT] up\n']);
  const bad = await box.services(services(3)).done;
  assert.deepEqual([bad.status, linesOf(bad.stdout, 'web')], [125, []]);
});

test('events: once, each, at intervals, not after the timeout, and on stopping', { skip }, async () => {
  const running = box.services({
    db: { exec: sh('sleep 0.1; helper notify READY=1; exec sleep 1000'), ready: 'notify' },
    once: { exec: sh('echo ran'), when: { source: 'db', once: 'ready' } },
    chain: { exec: sh('echo ran'), when: { source: 'once', each: 'exit-success' } },
    tick: { exec: sh('echo tick'), when: { interval: 0.1 } },
    late: { exec: sh('echo wrong'), when: { source: 'db', once: 'unhealthy', timeout: 0.2 } },
    bye: { exec: sh('sleep 0.1; echo farewell'), when: { source: 'db', once: 'stopping' } },
  });
  await eventually(
    () => linesOf(running.output(), 'tick').length >= 4,
    () => running.output(),
  );
  running.child.kill('SIGTERM');
  const { stdout } = await running.done;
  assert.deepEqual(linesOf(stdout, 'once'), ['ran']);
  assert.deepEqual(linesOf(stdout, 'chain'), ['ran']);
  assert.deepEqual(linesOf(stdout, 'late'), []);
  assert.deepEqual(linesOf(stdout, 'bye'), ['farewell']);
});

test('watched files: written, replaced, and in a directory', { skip }, async () => {
  const running = box.services({
    web: {
      exec: sh("trap 'echo reload' HUP; echo up; while :; do sleep 0.02; done"),
      reloadSignal: 'HUP',
      watch: [{ path: '/tmp/conf', delay: 0.05 }],
    },
    dir: { exec: sh('echo start; exec sleep 1000'), watch: [{ path: '/tmp/dir', delay: 0.05 }] },
    job: { exec: sh('echo changed'), when: { source: 'web', each: 'changed' } },
    main: {
      exec: sh(
        'mkdir /tmp/dir; sleep 0.3; echo 1 >/tmp/conf; sleep 0.3; echo 2 >/tmp/new; mv /tmp/new /tmp/conf; sleep 0.3; echo 3 >/tmp/conf; touch /tmp/dir/x; sleep 0.4',
      ),
      main: true,
    },
  });
  const { stdout } = await running.done;
  assert.deepEqual(linesOf(stdout, 'web'), ['up', 'reload', 'reload', 'reload']);
  assert.equal(linesOf(stdout, 'job').length, 3);
  assert.ok(linesOf(stdout, 'dir').length >= 2);
});
