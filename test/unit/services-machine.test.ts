import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { buildMachine, missingForMachine } from '../support/services-machine.js';

const skip = missingForMachine;
const machine = skip === false ? buildMachine() : undefined;
after(() => machine?.[Symbol.dispose]());

const exec = ['-'];
const DAY = 86_400_000;
const run = (services: object, commands: readonly string[]): string[] => machine?.run(services, commands) ?? [];

test('services start in order, each when those before it are ready, and stop in reverse order', { skip }, () => {
  const services = {
    c: { exec, after: ['b'] },
    b: { exec, ready: { fd: 3 }, requires: ['a'] },
    a: { exec, ready: 'notify' },
    d: { exec },
  };
  const lines = run(services, [
    'behave b stop=5',
    'behave c stop=7',
    'advance 10',
    'ready a',
    'advance 10',
    'ready b',
    'advance 10',
    'stop',
    'advance 100',
    'show',
  ]);
  assert.deepEqual(lines, [
    '0 start a main',
    '0 start d main',
    '10 start b main',
    '20 start c main',
    // What nothing waits for stops at once, side by side.
    '30 signal c group 15',
    '30 signal d group 15',
    '30 exit d main 143',
    '37 exit c main 143',
    '37 signal b group 15',
    '42 exit b main 143',
    '42 signal a group 15',
    '42 exit a main 143',
    '42 c stopped exit=143 restarts=0 health=none starts=1',
    '42 b stopped exit=143 restarts=0 health=none starts=1',
    '42 a stopped exit=143 restarts=0 health=none starts=1',
    '42 d stopped exit=143 restarts=0 health=none starts=1',
    '42 ended 0',
  ]);
});

test('on-failure with a maximum of 3: four runs, delays that double, then failed', { skip }, () => {
  const services = { a: { exec, restart: { policy: 'on-failure', max: 3, delay: 1, maxDelay: 3 } }, b: { exec } };
  const lines = run(services, ['behave a run=100 status=9', 'advance 60000', 'show']);
  assert.deepEqual(
    lines.filter((line) => line.includes('start a')),
    ['0 start a main', '1100 start a main', '3200 start a main', '6300 start a main'],
  );
  assert.match(lines.join('\n'), /60000 a failed exit=9 restarts=3 .* starts=4/);
  assert.match(lines.join('\n'), /60000 b running/);
});

test('the delay starts anew after a long enough run', { skip }, () => {
  const services = { a: { exec, restart: { policy: 'always', delay: 1, resetAfter: 10 } } };
  const lines = run(services, [
    'behave a run=500',
    'advance 7000',
    'behave a run=20000',
    'advance 20500',
    'behave a run=500',
    'advance 10000',
  ]);
  const starts = lines.filter((line) => line.includes('start')).map((line) => Number.parseInt(line, 10));
  assert.deepEqual(starts, [0, 1500, 4000, 8500, 29500, 32000, 36500]);
});

test('always restarts after 0, on-failure and never do not; a rest does not keep the container', { skip }, () => {
  const policy = (restart: string) => ({ exec, restart });
  const services = { a: policy('always'), f: policy('on-failure'), n: policy('never') };
  const lines = run(services, ['behave a run=10', 'behave f run=10', 'behave n run=10', 'advance 1500', 'show']);
  assert.match(
    lines.join('\n'),
    /a (running|backoff|stopping) .* starts=2\n.* f stopped .* starts=1\n.* n stopped .* starts=1/,
  );
  const alone = run({ f: policy('on-failure') }, ['behave f run=10', 'advance 100', 'show']);
  assert.equal(alone.at(-1), '10 ended 0');
  const failed = run({ n: policy('never'), f: policy('never') }, [
    'behave n run=10 status=3',
    'behave f run=20',
    'advance 100',
    'show',
  ]);
  assert.equal(failed.at(-1), '20 ended 3');
});

test('the main service’s end ends the rest, and its status counts', { skip }, () => {
  const services = { main: { exec, main: true, requires: ['db'] }, db: { exec }, side: { exec } };
  const lines = run(services, [
    'behave main run=50 status=4',
    'behave side run=20 status=1',
    'behave db stop=30',
    'advance 1000',
    'show',
  ]);
  assert.equal(lines.at(-1), '80 ended 4');
  assert.ok(lines.includes('20 exit side main 1'));
});

test('what requires a service ends with it, what only wants it does not', { skip }, () => {
  const services = {
    db: { exec, restart: 'never' },
    web: { exec, requires: ['db'] },
    stats: { exec, wants: ['db'] },
    late: { exec, after: ['web'] },
  };
  const lines = run(services, ['behave db run=100 status=1', 'advance 200', 'show']);
  assert.deepEqual(
    lines.slice(-4).map((line) => line.split(' ').slice(1, 3).join(' ')),
    ['db failed', 'web stopped', 'stats running', 'late running'],
  );
  const restarted = run({ ...services, db: { exec, restart: 'always' } }, ['behave db run=100', 'advance 500', 'show']);
  assert.match(restarted.join('\n'), /web running .* starts=1/);
});

test('one-shots: ready when they have ended well; their failure holds up what requires them only', { skip }, () => {
  const services = {
    migrate: { exec, oneshot: true },
    web: { exec, requires: ['migrate'] },
    stats: { exec, after: ['migrate'] },
  };
  const good = run(services, ['behave migrate run=100', 'advance 500', 'show']);
  assert.ok(good.includes('100 start web main') && good.includes('100 start stats main'), good.join('\n'));
  const bad = run(services, ['behave migrate run=100 status=2', 'advance 500', 'show']);
  assert.ok(bad.includes('100 start stats main'));
  assert.match(bad.join('\n'), /migrate failed exit=2 .*\n.*web failed exit=-1 .* starts=0/);
});

test('a main service that cannot be started ends the container with 125', { skip }, () => {
  const services = { setup: { exec, oneshot: true }, web: { exec, requires: ['setup'], main: true } };
  const lines = run(services, ['behave setup run=10 status=1', 'advance 100', 'show']);
  assert.equal(lines.at(-1), '10 ended 125');
});

test('readiness that does not come in time is a failure', { skip }, () => {
  const services = {
    a: { exec, ready: 'notify', readyTimeout: 2, restart: { policy: 'on-failure', max: 1 } },
    b: { exec },
  };
  const lines = run(services, ['advance 10000', 'show']);
  assert.deepEqual(lines.slice(2, 5), ['2000 signal a group 15', '2000 exit a main 143', '3000 start a main']);
  assert.match(lines.join('\n'), /10000 a failed/);
});

test('health: soon after the start, then every interval; unhealthy after so many failures in a row', { skip }, () => {
  const health = { exec, interval: 10, timeout: 5, retries: 3 };
  const lines = run({ a: { exec, health } }, [
    'behave a check=1',
    'advance 35000',
    'show',
    'behave a check=0',
    'advance 10000',
    'show',
    'behave a check=1',
    'advance 15000',
    'behave a check=0',
    'advance 10000',
    'behave a check=1',
    'advance 15000',
    'show',
    'advance 20000',
    'show',
  ]);
  const states = lines.filter((line) => line.includes('health='));
  assert.deepEqual(
    states.map((line) => / health=(\w+)/.exec(line)?.[1]),
    ['unhealthy', 'healthy', 'healthy', 'unhealthy'],
  );
  const checks = lines.filter((line) => line.endsWith('start a check')).map((line) => Number.parseInt(line, 10));
  assert.deepEqual(checks.slice(0, 4), [50, 151, 352, 753]);
});

test('health: a check that takes too long is killed and counts once; the others go on', { skip }, () => {
  const services = {
    slow: {
      exec,
      health: { exec, interval: 1, timeout: 2, retries: 2, onFailure: 'restart' },
      restart: { policy: 'never' },
    },
    fine: { exec, health: { exec, interval: 1, timeout: 2 } },
  };
  const lines = run(services, ['behave slow checktime=100000', 'advance 6000', 'show']);
  assert.ok(lines.includes('2050 signal slow check 9'));
  assert.equal(lines.filter((line) => line.includes('start fine check')).length, 6);
  assert.match(lines.join('\n'), /4150 signal slow group 15\n[^]*5150 start slow main/);
  // A restart that the check asks for happens whatever the policy, as far as its maximum goes; state is cleared.
  const again = run(
    {
      a: {
        exec,
        health: { exec, interval: 1, retries: 2, onFailure: 'restart' },
        restart: { policy: 'on-failure', delay: 1 },
      },
    },
    ['behave a check=1', 'advance 2600', 'show', 'behave a check=0', 'advance 2000', 'show'],
  );
  assert.match(again.join('\n'), /2600 a backoff .* starts=1/);
  assert.match(again.join('\n'), /4600 a running .* health=healthy starts=2/);
});

test('health: failures in the start period do not count; kill and stop', { skip }, () => {
  const health = (onFailure: string) => ({ exec, interval: 1, retries: 1, startPeriod: 10, onFailure });
  const services = { kill: { exec, health: health('kill') }, stop: { exec, health: health('stop') }, rest: { exec } };
  const lines = run(services, [
    'behave kill check=1',
    'behave stop check=1',
    'advance 9900',
    'show',
    'advance 1600',
    'show',
  ]);
  assert.match(lines.join('\n'), /9900 kill running .*\n9900 stop running/);
  assert.match(lines.join('\n'), /11500 kill (backoff|running) exit=137 .*\n11500 stop failed exit=143/);
});

test('a service is ready with its first healthy check', { skip }, () => {
  const services = { a: { exec, ready: 'health', health: { exec } }, b: { exec, after: ['a'] } };
  const lines = run(services, ['behave a check=1', 'advance 300', 'behave a check=0', 'advance 500']);
  assert.ok(lines.includes('353 start b main'), lines.join('\n'));
});

test('when: once, each, at intervals, and not after the timeout', { skip }, () => {
  const services = {
    db: { exec, ready: 'notify' },
    once: { exec, when: { source: 'db', once: 'ready' } },
    each: { exec, when: { source: 'once', each: 'exit-success' } },
    tick: { exec, when: { interval: 1 } },
    clock: { exec, when: { source: 'db', once: 'ready', interval: 2 } },
    late: { exec, when: { source: 'db', once: 'unhealthy', timeout: 3 } },
  };
  const lines = run(services, [
    ...['once', 'each', 'tick', 'clock'].map((name) => `behave ${name} run=10`),
    'advance 500',
    'ready db',
    'advance 4000',
    'show',
  ]);
  const starts = (name: string) =>
    lines.filter((line) => line.includes(`start ${name} `)).map((line) => Number.parseInt(line, 10));
  assert.deepEqual(starts('once'), [500]);
  assert.deepEqual(starts('each'), [510]);
  assert.deepEqual(starts('tick'), [1000, 2000, 3000, 4000]);
  assert.deepEqual(starts('clock'), [2500, 4500]);
  assert.match(lines.join('\n'), /late failed .* starts=0/);
});

test('when each: events while it runs are good for one more run', { skip }, () => {
  const services = {
    src: { exec, restart: { policy: 'always', delay: 0.1, maxDelay: 0.1 } },
    job: { exec, when: { source: 'src', each: 'exit-failed' } },
  };
  const lines = run(services, ['behave src run=100 status=1', 'behave job run=450', 'advance 1000']);
  const starts = lines.filter((line) => line.includes('start job')).map((line) => Number.parseInt(line, 10));
  assert.deepEqual(starts, [100, 550, 1000]);
});

test('a job on stopping runs while its source ends', { skip }, () => {
  const services = { web: { exec }, farewell: { exec, when: { source: 'web', once: 'stopping' } } };
  const lines = run(services, [
    'behave farewell run=200',
    'behave web stop=50',
    'advance 10',
    'stop',
    'advance 1000',
    'show',
  ]);
  assert.ok(lines.includes('10 start farewell main'));
  assert.equal(lines.at(-1), '210 ended 0');
});

test('stop: hooks, patience and KILL', { skip }, () => {
  const services = {
    a: { exec, preStop: exec, postStop: exec, stopSignal: 'INT', stopTimeout: 3 },
    b: { exec, stopTimeout: 2 },
  };
  const lines = run(services, [
    'behave a hook=20 stop=40',
    'behave b stop=-1',
    'advance 10',
    'stop',
    'advance 9000',
    'show',
  ]);
  assert.deepEqual(lines.slice(2), [
    '10 start a pre-stop',
    '10 signal b group 15',
    '30 exit a hook 0',
    '30 signal a group 2',
    '70 exit a main 130',
    '70 start a post-stop',
    '90 exit a hook 0',
    '2010 signal b all 9',
    '2010 exit b main 137',
    '2010 a stopped exit=130 restarts=0 health=none starts=1',
    '2010 b stopped exit=137 restarts=0 health=none starts=1',
    '2010 ended 0',
  ]);
});

test('stop: asked again there is no patience; with a limit all is over by then', { skip }, () => {
  const services = { a: { exec }, b: { exec, requires: ['a'], postStop: exec } };
  const impatient = run(services, [
    'behave b stop=-1',
    'behave a stop=-1',
    'advance 5',
    'stop',
    'advance 50',
    'stop',
    'advance 50',
    'show',
  ]);
  assert.equal(impatient.at(-1), '56 ended 0');
  assert.ok(impatient.includes('55 start b post-stop'));
  const limited = run(services, ['behave b stop=-1', 'advance 5', 'stop 700', 'advance 5000', 'show']);
  assert.equal(limited.at(-1), '705 ended 0');
});

test('what a service leaves behind is asked to end, then killed, before it is started again', { skip }, () => {
  const services = { a: { exec, restart: { policy: 'always', delay: 0 }, stopTimeout: 1 } };
  const lines = run(services, ['behave a run=100', 'advance 50', 'remains a 1', 'behave a run=-1', 'advance 2000']);
  assert.deepEqual(lines, [
    '0 start a main',
    '100 exit a main 0',
    '100 signal a all 15',
    '1100 signal a all 9',
    '1100 start a main',
  ]);
});

test('requests: stop takes what requires it along, start brings what it requires, restart both', { skip }, () => {
  const services = { db: { exec }, web: { exec, requires: ['db'], reloadSignal: 'HUP' }, other: { exec } };
  const lines = run(services, [
    'advance 1',
    'ask stop db',
    'advance 1',
    'show',
    'ask start web',
    'advance 1',
    'ask restart db',
    'advance 1',
    'ask reload web',
    'ask reload db',
  ]);
  assert.deepEqual(lines.slice(3), [
    '1 signal web group 15',
    '1 exit web main 143',
    '1 signal db group 15',
    '1 exit db main 143',
    '2 db stopped exit=143 restarts=0 health=none starts=1',
    '2 web stopped exit=143 restarts=0 health=none starts=1',
    '2 other running exit=-1 restarts=0 health=none starts=1',
    '2 start db main',
    '2 start web main',
    '3 signal web group 15',
    '3 exit web main 143',
    '3 signal db group 15',
    '3 exit db main 143',
    '3 start db main',
    '3 start web main',
    '4 signal web main 1',
    '4 cannot reload db',
  ]);
});

test('requests: start does not wait for the delay of a restart, and forgets earlier failures', { skip }, () => {
  const services = { a: { exec, restart: { policy: 'on-failure', delay: 10, max: 1 } }, b: { exec } };
  const lines = run(services, ['behave a run=5 status=1', 'advance 100', 'ask start a', 'advance 10000', 'show']);
  const starts = lines.filter((line) => line.includes('start a')).map((line) => Number.parseInt(line, 10));
  assert.deepEqual(starts, [0, 100]);
  assert.match(lines.join('\n'), /10100 a backoff .* restarts=2/);
});

test('lazy services wait for a connection, again after they have ended', { skip }, () => {
  const services = { a: { exec, listen: [80], lazy: true, restart: 'never' } };
  const lines = run(services, [
    'behave a run=10',
    'advance 100',
    'connect a',
    'advance 100',
    'show',
    'connect a',
    'advance 1',
    'stop',
    'advance 1',
    'show',
  ]);
  assert.deepEqual(
    lines.filter((line) => line.includes('start a')),
    ['100 start a main', '200 start a main'],
  );
  assert.match(lines.join('\n'), /200 a waiting .* starts=1/);
  assert.match(lines.at(-1) ?? '', /ended/);
});

test('watches: files and other services', { skip }, () => {
  const services = {
    conf: { exec, watch: [{ path: '/etc/x' }], restart: { policy: 'always', delay: 0 } },
    web: { exec, reloadSignal: 'HUP', watch: [{ service: 'conf' }, { service: 'conf', on: 'exit', do: 'restart' }] },
    job: { exec, when: { source: 'conf', each: 'changed' } },
  };
  const lines = run(services, [
    'behave job run=1',
    'advance 10',
    'file conf none',
    'advance 10',
    'exit conf main 0',
    'advance 10',
  ]);
  assert.ok(lines.includes('10 signal web main 1'));
  assert.ok(lines.includes('10 start job main'));
  assert.ok(lines.includes('20 signal web group 15'));
  assert.equal(lines.filter((line) => line.includes('start web')).length, 2);
});

test('idle services need no wakeups, and a day of them is over at once', { skip }, () => {
  const lines = run({ a: { exec, ready: 'notify' }, b: { exec } }, ['ready a', 'next', `advance ${DAY}`, 'next']);
  assert.deepEqual(lines.slice(2), ['0 next never', `${DAY} next never`]);
});

test('a day of crashes: as many starts as the delays allow, and nothing piles up', { skip }, () => {
  const services = {
    crash: { exec, restart: { policy: 'always', delay: 1, maxDelay: 60, resetAfter: 60 } },
    short: { exec, restart: { policy: 'on-failure', delay: 0.5, maxDelay: 0.5 } },
    sick: { exec, health: { exec, interval: 5, retries: 2, onFailure: 'restart' } },
  };
  const lines = run(services, [
    'quiet 1',
    'behave crash run=5 status=1',
    'behave short run=500 status=1',
    'behave sick check=1',
    `advance ${DAY}`,
    'show',
  ]);
  const starts = lines.map((line) => Number(/starts=(\d+)/.exec(line)?.[1]));
  // 1, 2, 4 … 32 seconds, then one start every 60.005.
  assert.equal(starts[0], 7 + Math.floor((DAY - 63_035) / 60_005));
  assert.equal(starts[1], DAY / 1000);
  assert.ok((starts[2] ?? 0) > 1000);
});
