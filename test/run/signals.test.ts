import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { missingForContainers } from '../support/rootfs.js';
import { bench, descendants, eventually, isAlive } from './support/container.js';

const skip = missingForContainers();
const box = bench();
after(() => box[Symbol.dispose]());

const sh = (script: string) => box.spec({ argv: ['sh', '-c', script] });
/** A shell that acts on signals while it waits: it must not be in a foreground child. */
const waiting = 'while :; do sleep 0.05; done';

test('TERM reaches a handler, whose exit status counts', { skip }, async () => {
  const running = box.start(sh(`trap 'echo got; exit 7' TERM; echo up; ${waiting}`));
  await running.waitFor('up');
  running.child.kill('SIGTERM');
  const { status, stdout } = await running.done;
  assert.deepEqual([status, stdout], [7, 'up\ngot\n']);
});

test('TERM ends a program without a handler: 143', { skip }, async () => {
  const running = box.start(sh('echo up; exec sleep 60'));
  await running.waitFor('up');
  running.child.kill('SIGTERM');
  assert.equal((await running.done).status, 143);
});

test('a signal that comes while the container is being started is not lost', { skip }, async () => {
  for (let i = 0; i < 20; i++) {
    const running = box.start(box.spec({ argv: ['sleep', '60'] }));
    // Any time from before the launcher's first instruction (plain death by signal) to after the command's start.
    await sleep(i / 4);
    running.child.kill('SIGTERM');
    const { status, signal } = await running.done;
    assert.ok(status === 143 || signal === 'SIGTERM', `round ${i}: status ${status}`);
  }
});

test('HUP INT QUIT USR1 USR2 WINCH CONT and a real-time signal arrive once each, in order', { skip }, async () => {
  const names = ['HUP', 'INT', 'QUIT', 'USR1', 'USR2', 'WINCH', 'CONT', '40'];
  const traps = names.map((name) => `trap 'echo ${name}.' ${name}`).join('; ');
  const running = box.start(sh(`${traps}; trap 'exit 0' TERM; echo up; ${waiting}`));
  await running.waitFor('up');
  for (const name of names) {
    process.kill(running.pid, name === '40' ? 40 : `SIG${name}`);
    await running.waitFor(`${name}.`);
  }
  running.child.kill('SIGTERM');
  const { stdout } = await running.done;
  assert.equal(stdout, `up\n${names.map((name) => `${name}.\n`).join('')}`);
});

test('INT reaches the command’s whole group, as from a terminal: 130', { skip }, async () => {
  const running = box.start(sh('echo up; sleep 60; true'));
  await running.waitFor('up');
  running.child.kill('SIGINT');
  assert.equal((await running.done).status, 130);
});

test('TSTP stops launcher and command, CONT resumes both', { skip }, async () => {
  const running = box.start(sh('echo up; exec sleep 1.5'));
  await running.waitFor('up');
  const [init = 0] = descendants(running.pid);
  const [command = 0] = descendants(init);
  const state = (pid: number): string => /^State:\s+(\S)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '';
  running.child.kill('SIGTSTP');
  await eventually(() => state(running.pid) === 'T' && state(command) === 'T', 'both are stopped');
  running.child.kill('SIGCONT');
  await eventually(() => state(running.pid) !== 'T' && state(command) !== 'T', 'both are running');
  assert.equal((await running.done).status, 0);
});

test('a process inside can neither kill PID 1 nor stop it', { skip }, async () => {
  const { status, stdout } = await box.sh('kill -KILL 1; kill -STOP 1; kill -SEGV 1; sleep 0.05; echo alive');
  assert.deepEqual([status, stdout], [0, 'alive\n']);
});

test('TERM sent to PID 1 from inside is passed on to the command', { skip }, async () => {
  const { status } = await box.sh(`trap 'exit 9' TERM; kill -TERM 1; ${waiting}`);
  assert.equal(status, 9);
});

test('kill -9 of the launcher takes the whole container with it', { skip }, async () => {
  const running = box.start(sh('sleep 61 & setsid sleep 62 & echo up; sleep 63'));
  await running.waitFor('up');
  await eventually(() => descendants(running.pid).length >= 4, 'init and three sleeps run');
  const inside = descendants(running.pid);
  running.child.kill('SIGKILL');
  await eventually(() => inside.every((pid) => !isAlive(pid)), 'all are gone');
});

test('the command starts with default signal dispositions and nothing blocked', { skip }, async () => {
  const container = box.spec({ argv: ['grep', '-E', '^Sig(Blk|Ign|Cgt)', '/proc/self/status'] });
  const { status, stdout } = await box.run(container, {
    wrapper: ['/usr/bin/env', '--ignore-signal=PIPE,CHLD,QUIT,USR1', '--block-signal=TERM,USR2'],
  });
  assert.equal(status, 0);
  assert.equal(
    stdout.replaceAll('\t', ' '),
    `SigBlk: ${'0'.repeat(16)}\nSigIgn: ${'0'.repeat(16)}\nSigCgt: ${'0'.repeat(16)}\n`,
  );
});

test('the exit status survives a caller that ignores SIGCHLD', { skip }, async () => {
  const wrapper = ['/usr/bin/env', '--ignore-signal=CHLD'];
  assert.equal((await box.sh('exit 42', {}, { wrapper })).status, 42);
});

test('what the caller ignores is not forwarded: nohup works', { skip }, async () => {
  const running = box.start(sh("trap 'echo hup' HUP; trap 'exit 3' USR1; echo up; while :; do sleep 0.05; done"), {
    wrapper: ['/usr/bin/env', '--ignore-signal=HUP'],
  });
  await running.waitFor('up');
  running.child.kill('SIGHUP');
  await sleep(200);
  running.child.kill('SIGUSR1');
  const { status, stdout } = await running.done;
  assert.deepEqual([status, stdout], [3, 'up\n']);
});
