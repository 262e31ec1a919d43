import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { eventually } from './support/container.js';
import { linesOf, servicesBench, sh, missingForServices as skip } from './support/services.js';

const box = servicesBench();
after(() => box[Symbol.dispose]());

const forever = 'exec sleep 1000';

test('a service that fails its checks is restarted, and is healthy again with a clean slate', { skip }, async () => {
  const running = box.services({
    web: {
      exec: sh('echo start; exec sleep 1000'),
      health: { exec: sh('test ! -e /tmp/sick'), interval: 0.05, retries: 3, onFailure: 'restart' },
      restart: { policy: 'on-failure', delay: 0.02 },
      postStop: ['rm', '-f', '/tmp/sick'],
    },
    on: { exec: sh('echo unhealthy'), when: { source: 'web', each: 'unhealthy' } },
    ok: { exec: sh('echo healthy'), when: { source: 'web', each: 'healthy' } },
    breaks: { exec: sh('sleep 0.4; touch /tmp/sick; exec sleep 1000') },
  });
  await eventually(
    () => linesOf(running.output(), 'ok').length === 2,
    () => running.output(),
  );
  assert.equal(linesOf(running.output(), 'web').length, 2);
  assert.equal(linesOf(running.output(), 'on').length, 1);
  running.child.kill('SIGTERM');
  await running.done;
});

test('a check that hangs is killed with its group, and delays no other; status 255 is a failure like any', {
  skip,
}, async () => {
  const running = box.services({
    slow: {
      exec: sh(forever),
      health: { exec: sh('sleep 2001 & sleep 2002'), interval: 0.05, timeout: 0.3, retries: 2 },
    },
    odd: { exec: sh(forever), health: { exec: sh('exit 255'), interval: 0.05, retries: 2 } },
    quick: { exec: sh(forever), health: { exec: sh('echo >>/tmp/checks'), interval: 0.05 } },
    seen: { exec: sh('echo slow is unhealthy'), when: { source: 'slow', once: 'unhealthy' } },
    odder: { exec: sh('echo odd is unhealthy'), when: { source: 'odd', once: 'unhealthy' } },
    main: { exec: sh('sleep 1.5; wc -l </tmp/checks; ps | grep -c "sleep 200[12]"'), main: true },
  });
  const { stdout } = await running.done;
  assert.deepEqual(linesOf(stdout, 'seen'), ['slow is unhealthy']);
  assert.deepEqual(linesOf(stdout, 'odder'), ['odd is unhealthy']);
  const [checks, left] = linesOf(stdout, 'main').map(Number);
  assert.ok((checks ?? 0) >= 10, `${checks} checks of the quick one`);
  // One check at a time: the two sleeps of one that runs, and grep itself.
  assert.ok((left ?? 0) <= 3, `${left} processes of checks`);
});

test('checks over tcp, http and unix sockets', { skip }, async () => {
  const when = (source: string, once: string) => ({ exec: sh(`echo ${source} ${once}`), when: { source, once } });
  const health = (kind: object) => ({ ...kind, interval: 0.1, retries: 2, timeout: 2 });
  const running = box.services({
    good: { exec: ['helper', 'http', '204'], health: health({ http: 'http://127.0.0.1:8080/health?x=1' }) },
    strict: { exec: sh(forever), health: health({ http: 'http://localhost:8080', status: '200' }) },
    tcp: { exec: sh(forever), health: health({ tcp: 8080 }) },
    none: { exec: sh(forever), health: health({ tcp: '127.0.0.1:9' }) },
    unix: { exec: sh(forever), listen: ['/tmp/sock'], health: health({ unix: '/tmp/sock' }) },
    e1: when('good', 'healthy'),
    e2: when('strict', 'unhealthy'),
    e3: when('tcp', 'healthy'),
    e4: when('none', 'unhealthy'),
    e5: when('unix', 'healthy'),
  });
  for (const text of ['good healthy', 'strict unhealthy', 'tcp healthy', 'none unhealthy', 'unix healthy']) {
    await running.waitFor(text);
  }
  running.child.kill('SIGTERM');
  await running.done;
});

test('the command of a container is checked, too: restart, kill and stop', { skip }, async () => {
  const health = { exec: sh('test ! -e /tmp/sick'), interval: 0.05, retries: 2 };
  const script =
    'echo start; (setsid sleep 1000 &); sleep 0.3; touch /tmp/sick; trap "exit 9" TERM; while :; do sleep 0.02; done';
  const command = (onFailure: 'restart' | 'kill' | 'stop' | 'none', words = script) =>
    box.start(box.spec({ argv: sh(words), health: { ...health, onFailure } }));
  assert.equal((await command('kill').done).status, 137);
  assert.equal((await command('stop').done).status, 9);
  const restarted = command(
    'restart',
    `test -e /tmp/sick && { rm /tmp/sick; ps | grep -c "root *sleep 1000"; exit 4; }; ${script}`,
  );
  const { status, stdout } = await restarted.done;
  // What the first run left behind is gone before the second one.
  assert.deepEqual([status, stdout], [4, 'start\n0\n']);
  const none = command('none');
  await none.waitFor('start');
  await new Promise((resolve) => setTimeout(resolve, 600));
  none.child.kill('SIGTERM');
  assert.equal((await none.done).status, 9);
});

test('a checked command gets all signals, and its status counts', { skip }, async () => {
  const running = box.start(
    box.spec({
      argv: sh('trap "echo usr1" USR1; trap "exit 6" TERM; echo up; while :; do sleep 0.02; done'),
      health: { exec: ['true'], interval: 0.1 },
    }),
  );
  await running.waitFor('up');
  running.child.kill('SIGUSR1');
  await running.waitFor('usr1');
  running.child.kill('SIGTERM');
  assert.deepEqual((await running.done).status, 6);
});
