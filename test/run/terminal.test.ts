import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { launcherPath } from '../../trees/run/exec-launcher.js';
import { missingForContainers } from '../support/rootfs.js';
import { bench } from './support/container.js';
import { onTerminal } from './support/terminal.js';

const has = (program: string): boolean => spawnSync(program, ['--version']).status === 0;
const skip = missingForContainers() || (has('script') ? false : 'needs script (package bsdutils)');
const box = bench();
after(() => box[Symbol.dispose]());

const launch = (argv: readonly string[], change: Parameters<typeof box.spec>[0] = {}): string =>
  `${launcherPath()} --tty ${box.planFile(box.spec({ argv, ...change }))}`;

test('a terminal of its own: name, size at once, owner, exit status', { skip }, async () => {
  const script = 'tty; stty size; stat -c %u $(tty); echo x > /dev/tty; exit 7';
  const terminal = onTerminal(launch(['sh', '-c', script], { user: 'app' }));
  assert.equal(await terminal.done, 7);
  assert.equal(terminal.output(), '/dev/pts/0\r\n40 111\r\n1000\r\nx\r\n');
});

test('^C and ^Z reach the foreground job of the shell inside, which lives on', { skip }, async () => {
  const terminal = onTerminal(launch(['sh']));
  await terminal.see('# ');
  // The job itself says that it is there: until it is the foreground job, the signal would be the shell's.
  terminal.type("sh -c 'echo go; exec sleep 300'\n");
  await terminal.see('\ngo\r\n');
  terminal.type('\x03');
  await terminal.see('# ');
  terminal.type('echo status $?\n');
  await terminal.see('status 130');
  terminal.type("sh -c 'echo again; exec sleep 300'\n");
  await terminal.see('\nagain\r\n');
  terminal.type('\x1a');
  await terminal.see('Stopped');
  terminal.type('kill %1; exit 5\n');
  terminal.type('exit 5\n');
  assert.equal(await terminal.done, 5);
});

test('a new window size arrives, with SIGWINCH', { skip }, async () => {
  const terminal = onTerminal(
    `sh -c '(sleep 0.7; stty rows 50 cols 90 < /dev/tty) & exec ${launch(['sh', '-c', "trap 'stty size; exit 3' WINCH; echo up; while :; do sleep 0.05; done"])}'`,
  );
  assert.equal(await terminal.done, 3);
  assert.equal(terminal.output(), 'up\r\n50 90\r\n');
});

test('the host’s terminal has its modes back afterwards, also when the container is killed', { skip }, async () => {
  for (const script of ['exit 0', 'kill -KILL $$', 'stty raw -echo']) {
    const terminal = onTerminal(
      `before=$(stty -g); ${launch(['sh', '-c', script])}; [ "$before" = "$(stty -g)" ] && echo restored`,
    );
    await terminal.done;
    assert.match(terminal.output(), /restored/, script);
  }
});

test('what is written last is not lost', { skip }, async () => {
  const terminal = onTerminal(launch(['sh', '-c', 'seq 1 20000; echo the end']));
  assert.equal(await terminal.done, 0);
  assert.equal(terminal.output().split('\r\n').length, 20_002);
  assert.match(terminal.output(), /\r\n20000\r\nthe end\r\n$/);
});

test('the end of input that is no terminal is ^D', { skip }, () => {
  const plan = box.planFile(box.spec({ argv: ['sh', '-c', 'stty -echo; echo up; cat; echo done'] }));
  const { status, stdout } = spawnSync(launcherPath(), ['--tty', plan], { input: 'typed\n', encoding: 'utf8' });
  assert.equal(status, 0);
  assert.match(stdout, /typed\r\ndone\r\n$/);
});

test('without --tty the host’s terminal is no way in: TIOCSTI is refused', {
  skip: skip || (has('cc') ? false : 'needs a C compiler (cc)'),
}, async () => {
  const source = join(box.directory, 'sti.c');
  writeFileSync(
    source,
    `#include <stdio.h>
     #include <sys/ioctl.h>
     int main(void) { perror(ioctl(0, TIOCSTI, "x") == 0 ? "typed" : "refused"); }`,
  );
  const upper = box.persistent();
  execFileSync('cc', ['-static', source, '-o', join(upper.upper, 'sti')]);
  for (const userns of [box.spec().userns, 'host'] as const) {
    const plan = box.planFile(box.spec({ argv: ['/sti'], upper, userns }));
    const terminal = onTerminal(`${launcherPath()} ${plan}`);
    await terminal.done;
    assert.match(terminal.output(), /^refused: /);
  }
});

test('^C without --tty still ends the command: 130', { skip }, async () => {
  const plan = box.planFile(box.spec({ argv: ['sh', '-c', 'echo up; sleep 300; true'] }));
  const terminal = onTerminal(`${launcherPath()} ${plan}`);
  await terminal.see('up');
  terminal.type('\x03');
  assert.equal(await terminal.done, 130);
});
