import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { launcherPath } from '../../trees/run/exec-launcher.js';
import { missingForContainers } from '../support/rootfs.js';
import { bench, descendants, eventually, isAlive } from './support/container.js';
import { attachClient, instances } from './support/instance.js';

const skip = missingForContainers();
const box = bench();
const own = instances(box);
after(() => {
  own[Symbol.dispose]();
  box[Symbol.dispose]();
});

/** Starts it and waits until it says `up`. */
async function up(name: string, script: string, change: Parameters<typeof own.detach>[2] = {}): Promise<void> {
  own.detach(name, ['sh', '-c', script], change);
  const client = attachClient(own.runDir(name), ['--no-stdin', '--sig-proxy=false']);
  await client.see('up\n');
  client.child.kill('SIGKILL');
}

const deaf = 'trap "" TERM; echo up; while :; do sleep 0.05; done';

test('a handler has its say, and its status counts', { skip }, async () => {
  await up('polite', 'trap "exit 7" TERM; echo up; while :; do sleep 0.05; done');
  assert.equal(await own.ask('polite', 'stop timeout=60000'), 'exit=7\nok\n');
});

test('returns as soon as it is gone, not when the time is over', { skip }, async () => {
  await up('prompt', 'echo up; exec sleep 300');
  const started = performance.now();
  assert.equal(await own.ask('prompt', 'stop timeout=600000'), 'exit=143\nok\n');
  assert.ok(performance.now() - started < 60_000); // the time to stop in is ten minutes
});

test('what does not act on it is killed when the time is over, and not before: 137', { skip }, async () => {
  await up('deaf', deaf);
  const started = performance.now();
  assert.equal(await own.ask('deaf', 'stop timeout=500'), 'exit=137\nok\n');
  assert.ok(performance.now() - started >= 490);
  const { status, exit } = own.state('deaf');
  assert.deepEqual([status, exit], ['exited', '137']);
});

test('the plan says what is sent and how long it takes', { skip }, async () => {
  await up('planned', 'trap "" TERM; trap "exit 8" USR1; echo up; while :; do sleep 0.05; done', {
    stopSignal: 10,
    stopTimeout: 60,
  });
  assert.equal(await own.ask('planned', 'stop'), 'exit=8\nok\n');
  await up('planned', deaf, { stopTimeout: 0.2 });
  assert.equal(await own.ask('planned', 'stop'), 'exit=137\nok\n');
});

test('a second stop can only shorten the time; both are answered', { skip }, async () => {
  await up('twice', deaf);
  const first = own.ask('twice', 'stop timeout=600000');
  await own.waitForState('twice', 'status', 'stopping');
  const longer = own.ask('twice', 'stop timeout=900000');
  const second = own.ask('twice', 'stop timeout=100');
  assert.deepEqual(await Promise.all([first, longer, second]), Array(3).fill('exit=137\nok\n'));
});

test('stopping while it starts, again and again', { skip }, async () => {
  for (let round = 0; round < 15; round++) {
    const child = spawn(launcherPath(), [own.plan('early', ['sleep', '300'])], { stdio: 'ignore' });
    const done = new Promise<number | null>((resolve) => child.once('close', resolve));
    await eventually(() => existsSync(`${own.runDir('early')}/control`), 'it can be asked');
    const answer = await own.ask('early', 'stop timeout=5000').catch((error: Error) => error.message);
    // In the very first moment nobody may be listening yet.
    if (answer.includes('ECONNREFUSED')) child.kill('SIGTERM');
    else assert.match(answer, /^exit=(143|137)\nok\n$/);
    const status = await done;
    assert.ok(status === 143 || status === 137 || status === null, `round ${round}: ${status}`);
  }
});

test('kill sends one signal; without a number KILL', { skip }, async () => {
  await up('signalled', 'trap "echo usr" USR1; echo up; while :; do sleep 0.05; done');
  const client = attachClient(own.runDir('signalled'), ['--no-stdin']);
  await client.see('up');
  assert.equal(await own.ask('signalled', 'kill signal=10'), 'ok\n');
  await client.see('usr');
  const waiting = own.ask('signalled', 'wait');
  assert.equal(await own.ask('signalled', 'kill'), 'ok\n');
  assert.equal(await waiting, 'exit=137\nok\n');
  await assert.rejects(own.ask('signalled', 'kill'), /ENOENT/);
});

test('everything in it is gone afterwards, orphans and all', { skip }, async () => {
  await up('family', 'sleep 300 & (setsid sleep 300 &); trap "" TERM; echo up; while :; do sleep 0.05; done');
  const init = Number(own.state('family')['init']);
  await eventually(() => descendants(init).length >= 3, 'all run');
  const inside = [init, ...descendants(init)];
  assert.equal(await own.ask('family', 'stop timeout=200'), 'exit=137\nok\n');
  assert.ok(!inside.some(isAlive));
});

test('the name is free when the answer is there', { skip }, async () => {
  for (let round = 0; round < 10; round++) {
    own.detach('reused', ['sleep', '300']);
    assert.equal(await own.ask('reused', 'stop timeout=5000'), 'exit=143\nok\n');
  }
});

test('who attached sees the last words', { skip }, async () => {
  own.detach('talking', ['sh', '-c', 'trap "echo good bye; exit 0" TERM; echo up; while :; do sleep 0.05; done']);
  const client = attachClient(own.runDir('talking'), ['--no-stdin']);
  await client.see('up\n');
  await own.ask('talking', 'stop');
  assert.equal(await client.done, 0);
  assert.match(client.stdout(), /good bye\n$/);
  assert.match(readFileSync(`${own.runDir('talking')}/state`, 'utf8'), /^exit=0$/m);
  await sleep(0);
});

test('a reader that goes away ends who writes, as in any pipeline', { skip }, async () => {
  const log = { directory: join(box.directory, 'log'), instance: 'piped' };
  for (const change of [{ container: { log } }, { tty: true }]) {
    const child = spawn(
      'sh',
      ['-c', `${launcherPath()} ${own.plan('piped', ['yes'], change)} < /dev/null | head -c 1`],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    await new Promise((resolve) => child.once('close', resolve));
    await own.waitForState('piped', 'status', 'exited');
    assert.match(own.state('piped')['exit'] ?? '', /^(141|129)$/); // PIPE; HUP, as of a terminal
  }
});
