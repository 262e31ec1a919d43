import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { buildMachine, missingForMachine } from '../support/services-machine.js';

const skip = missingForMachine;
const machine = skip === false ? buildMachine() : undefined;
after(() => machine?.[Symbol.dispose]());

const exec = ['-'];
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
