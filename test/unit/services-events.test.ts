import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { buildMachine, missingForMachine } from '../support/services-machine.js';

const skip = missingForMachine;
const machine = skip === false ? buildMachine() : undefined;
after(() => machine?.[Symbol.dispose]());

const exec = ['-'];
const DAY = 86_400_000;
const run = (services: object, commands: readonly string[]): string[] => machine?.run(services, commands) ?? [];

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
