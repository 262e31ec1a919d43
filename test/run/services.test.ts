import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { descendants, eventually, isAlive } from './support/container.js';
import { linesOf, servicesBench, sh, missingForServices as skip } from './support/services.js';

const box = servicesBench();
after(() => box[Symbol.dispose]());

const forever = 'exec sleep 1000';

test('services start in order, gated on each kind of readiness, and stop in reverse', { skip }, async () => {
  const leaves = (name: string, up: string) =>
    `trap 'echo ${name} stops; exit 0' TERM; ${up}; while :; do sleep 0.02; done`;
  const running = box.services({
    last: { exec: sh(leaves('last', 'echo last up; echo ready')), requires: ['c'] },
    c: {
      exec: sh(leaves('c', 'sleep 0.1; echo c up; touch /tmp/c')),
      ready: 'health',
      health: { exec: ['test', '-e', '/tmp/c'] },
      after: ['b'],
    },
    b: { exec: sh(leaves('b', 'sleep 0.1; echo b up; echo >&5')), ready: { fd: 5 }, requires: ['a'] },
    a: { exec: sh(leaves('a', 'sleep 0.1; echo a up; helper notify READY=1')), ready: 'notify' },
  });
  await running.waitFor('ready');
  running.child.kill('SIGTERM');
  const { status, stdout } = await running.done;
  assert.equal(status, 0);
  assert.deepEqual(
    stdout
      .split('\n')
      .filter((line) => / (up|stops)$/.test(line))
      .map((line) => line.replace(/^.*\] /, '')),
    ['a up', 'b up', 'c up', 'last up', 'last stops', 'c stops', 'b stops', 'a stops'],
  );
});

test('what services wrote is read to the end, however late the launcher comes to it', { skip }, async () => {
  // More than there is room for between init and launcher.
  const names = Array.from({ length: 400 }, (_, i) => `s${i}`);
  const seen = mkdtempSync(join(box.directory, 'seen-'));
  chmodSync(seen, 0o777);
  const running = box.services(
    {
      first: { exec: ['echo', 'first'], oneshot: true },
      ...Object.fromEntries(
        names.map((name) => [name, { exec: sh(`echo ${name}; >/seen/${name}`), oneshot: true, requires: ['first'] }]),
      ),
    },
    { mounts: [{ kind: 'bind', source: seen, target: '/seen' }] },
  );
  await running.waitFor('first');
  running.child.kill('SIGSTOP');
  await eventually(() => readdirSync(seen).length === names.length, 'all have run');
  await sleep(200);
  running.child.kill('SIGCONT');
  const { status, stdout } = await running.done;
  assert.equal(status, 0);
  assert.deepEqual(
    names.filter((name) => linesOf(stdout, name).length !== 1),
    [],
  );
});

test('the main service’s exit status is the container’s, and the rest is gone at once', { skip }, async () => {
  const started = performance.now();
  const { status } = await box.services({
    web: { exec: sh('sleep 0.1; exit 42'), main: true, requires: ['db'] },
    db: { exec: sh(forever), stopTimeout: 100 },
    stubborn: { exec: sh("sh -c 'sleep 1000' & exec sleep 1000"), stopTimeout: 100 },
  }).done;
  assert.equal(status, 42);
  assert.ok(performance.now() - started < 60_000);
  const killed = await box.services({ web: { exec: sh('kill -KILL $$'), main: true } }).done;
  assert.equal(killed.status, 137);
});

test('a service that cannot be executed says so; as the main one it ends the container with 127 and 126', {
  skip,
}, async () => {
  const missing = await box.services({ web: { exec: ['/no/such'], main: true }, db: { exec: sh(forever) } }).done;
  assert.equal(missing.status, 127);
  assert.match(missing.stdout + missing.stderr, /\[web ERR\] error: cannot execute \/no\/such/);
  assert.equal((await box.services({ web: { exec: ['/etc/notexec'], main: true } }).done).status, 126);
});

test('on-failure with a maximum of 3 runs four times; the container goes on without it', { skip }, async () => {
  const { status, stdout } = await box.services({
    crash: { exec: sh('echo run; exit 1'), restart: { policy: 'on-failure', max: 3, delay: 0.02 } },
    never: { exec: sh('echo run; exit 1'), restart: 'never' },
    main: { exec: sh('sleep 1; echo still here'), main: true },
  }).done;
  assert.equal(status, 0);
  assert.deepEqual([linesOf(stdout, 'crash').length, linesOf(stdout, 'never').length], [4, 1]);
  assert.deepEqual(linesOf(stdout, 'main'), ['still here']);
});

test('stop takes as long as the slowest service, not the sum and not the grace', { skip }, async () => {
  const slow = { exec: sh("trap 'sleep 0.6; exit 0' TERM; echo up; while :; do sleep 0.02; done"), stopTimeout: 100 };
  const running = box.services({
    s1: slow,
    s2: slow,
    s3: slow,
    s4: slow,
    quick: { exec: sh(forever), stopTimeout: 100 },
  });
  await eventually(() => (running.output().match(/ up/g) ?? []).length === 4, 'all are up');
  const started = performance.now();
  running.child.kill('SIGTERM');
  await running.done;
  const took = performance.now() - started;
  // Four in a row would take 2.4 seconds.
  assert.ok(took >= 600 && took < 1800, `took ${took} ms`);
});

test('what ignores the stop signal is killed after its own grace; a second signal shortens it', { skip }, async () => {
  const stubborn = (stopTimeout: number) => ({
    exec: sh('trap "" TERM; echo up; while :; do sleep 0.02; done'),
    stopTimeout,
  });
  const first = box.services({ a: stubborn(0.4), b: { exec: sh(forever), stopTimeout: 100 } });
  await first.waitFor('up');
  const started = performance.now();
  first.child.kill('SIGTERM');
  await first.done;
  assert.ok(performance.now() - started >= 400);
  const second = box.services({ a: stubborn(1000) });
  await second.waitFor('up');
  second.child.kill('SIGTERM');
  await new Promise((resolve) => setTimeout(resolve, 150));
  second.child.kill('SIGTERM');
  assert.equal((await second.done).status, 0);
});

test('hooks: before the stop signal, and after the end however it came about', { skip }, async () => {
  const { stdout } = await box.services({
    a: {
      exec: sh("trap 'echo main stops; exit 0' TERM; while :; do sleep 0.02; done"),
      preStop: sh('echo pre $MAINPID'),
      postStop: sh('echo post $EXIT_STATUS'),
    },
    crash: { exec: sh('exit 3'), restart: 'never', postStop: sh('echo post $EXIT_STATUS') },
    main: { exec: sh('sleep 0.5'), main: true },
  }).done;
  assert.deepEqual(linesOf(stdout, 'crash'), ['post 3']);
  const [pre = '', ...rest] = linesOf(stdout, 'a');
  assert.match(pre, /^pre \d+$/);
  assert.deepEqual(rest, ['main stops', 'post 0']);
});

test('nothing of a stopped service survives, wherever it has gone', { skip }, async () => {
  // A daemon in a session of its own, also one of another user, is found by what it was started with.
  const running = box.services({
    app: {
      exec: sh('helper daemon /tmp/daemon; (setsid sleep 1001 &); sleep 1002 & echo up; sleep 0.3; exit 1'),
      user: 'app',
      restart: { policy: 'on-failure', delay: 1000 },
    },
    main: { exec: sh('sleep 0.9; ps; echo end'), main: true },
    keeps: { exec: sh('sleep 1003 & exec sleep 1004') },
  });
  const { stdout } = await running.done;
  const ps = linesOf(stdout, 'main').join('\n');
  assert.match(ps, /sleep 1003[^]*end/);
  assert.doesNotMatch(ps, /sleep 100[12]|helper daemon/);
});

test('a daemon with a pid file takes the place of the process that was started', { skip }, async () => {
  const running = box.services({
    daemon: { exec: ['helper', 'daemon', '/tmp/pid'], pidFile: '/tmp/pid', restart: { policy: 'always', delay: 0.05 } },
    main: { exec: sh('sleep 0.5; kill -KILL $(cat /tmp/pid); sleep 0.5; cat /proc/$(cat /tmp/pid)/comm'), main: true },
  });
  const { stdout } = await running.done;
  assert.deepEqual(linesOf(stdout, 'main'), ['helper']);
});

test('each service has its own session, environment, user, directory and limits; no descriptors but its own', {
  skip,
}, async () => {
  const { stdout } = await box.services(
    {
      a: {
        exec: sh(
          'echo $A $B $TREES_SERVICE $HOME; id -un; pwd; ulimit -n; ls /proc/self/fd | tr "\\n" " "; cut -d" " -f5,6 /proc/$$/stat; echo $$',
        ),
        env: { A: 'own' },
        user: 'app',
        workdir: '/tmp',
        rlimits: { nofile: { soft: 77, hard: 88 } },
      },
    },
    { env: { PATH: '/bin', A: 'app', B: 'shared' } },
  ).done;
  const [env, user, directory, limit, ...rest] = linesOf(stdout, 'a');
  assert.deepEqual([env, user, directory, limit], ['own shared a /home/app', 'app', '/tmp', '77']);
  const [files = '', pid = ''] = rest;
  const match = /^0 1 2 3 (\d+) (\d+)$/.exec(files);
  assert.deepEqual([match?.[1], match?.[2]], [pid, pid]);
});

test('HUP reloads what can be reloaded; other signals are the main service’s', { skip }, async () => {
  const running = box.services({
    a: { exec: sh("trap 'echo reloaded' USR1; echo up; while :; do sleep 0.02; done"), reloadSignal: 'USR1' },
    b: { exec: sh(forever), reload: sh('echo reload of $MAINPID') },
    main: { exec: sh("trap 'exit 5' USR2; echo up; while :; do sleep 0.02; done"), main: true },
  });
  await eventually(() => (running.output().match(/ up/g) ?? []).length === 2, 'both are up');
  running.child.kill('SIGHUP');
  await running.waitFor('reloaded');
  await running.waitFor('reload of');
  running.child.kill('SIGUSR2');
  assert.equal((await running.done).status, 5);
});

test('five hundred services start and stop; PID 1 stays small', { skip }, async () => {
  const services = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`s${i}`, { exec: ['sleep', '1000'] }]));
  const running = box.services({
    ...services,
    last: { exec: sh('echo all up; exec sleep 1000'), after: Object.keys(services) },
  });
  await running.waitFor('all up');
  const [init = 0] = descendants(running.pid);
  const rss = Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${init}/status`, 'utf8'))?.[1]);
  assert.ok(rss <= 2048, `RSS of the init with 501 services is ${rss} kB`);
  running.child.kill('SIGTERM');
  assert.equal((await running.done).status, 0);
  assert.equal(isAlive(init), false);
});

test('twenty services: at most 1 MB; idle, PID 1 does not wake up', { skip }, async () => {
  const services = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`s${i}`, { exec: ['sleep', '1000'] }]));
  const running = box.services({
    ...services,
    last: { exec: sh('echo all up; exec sleep 1000'), after: Object.keys(services) },
  });
  await running.waitFor('all up');
  const [init = 0] = descendants(running.pid);
  const read = (): string => readFileSync(`/proc/${init}/status`, 'utf8');
  await new Promise((resolve) => setTimeout(resolve, 200));
  const switches = (): string | undefined => /^voluntary_ctxt_switches:\s+(\d+)/m.exec(read())?.[1];
  const before = switches();
  await new Promise((resolve) => setTimeout(resolve, 1500));
  assert.equal(switches(), before);
  const rss = Number(/VmRSS:\s+(\d+) kB/.exec(read())?.[1]);
  assert.ok(rss <= 1024, `RSS of the init is ${rss} kB`);
  running.child.kill('SIGTERM');
  await running.done;
});

test('thousands of restarts and orphans leave no memory and no descriptors behind', { skip }, async () => {
  const running = box.services({
    crash: { exec: ['false'], restart: { policy: 'always', delay: 0, maxDelay: 0 }, ready: { fd: 3 } },
    sick: { exec: ['sleep', '1000'], health: { exec: ['true'], interval: 0.005 } },
    orphans: {
      exec: sh('helper orphans 1000; echo warm; sleep 1; helper orphans 10000; echo reaped; exec sleep 1000'),
    },
  });
  // By then it has done everything that it does, some of it hundreds of times.
  await running.waitFor('warm');
  const [init = 0] = descendants(running.pid);
  // Some are open for a moment, whenever one looks.
  const files = (): number[] => Array.from({ length: 20 }, () => readdirSync(`/proc/${init}/fd`).length);
  const rss = (): number => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${init}/status`, 'utf8'))?.[1]);
  const before = { rss: rss(), files: Math.max(...files()) };
  await running.waitFor('reaped');
  await eventually(() => {
    const zombies = descendants(init).filter((pid) => !isAlive(pid));
    return zombies.length <= 2;
  }, 'all orphans have been reaped');
  const now = { rss: rss(), files: Math.min(...files()) };
  assert.ok(now.rss <= before.rss + 64, `RSS went from ${before.rss} to ${now.rss} kB`);
  assert.ok(now.files <= before.files, `descriptors went from ${before.files} to ${now.files}`);
  running.child.kill('SIGTERM');
  await running.done;
});

test('a service that forks like mad is gone when it is stopped, and the others do not notice', { skip }, async () => {
  const running = box.services({
    forks: { exec: sh('ulimit -u 300; exec helper forks'), user: '4242', stopTimeout: 0.2 },
    main: { exec: sh('sleep 1; echo fine'), main: true },
  });
  const { status, stdout } = await running.done;
  assert.deepEqual([status, linesOf(stdout, 'main')], [0, ['fine']]);
});
