import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { launcherPath } from '../../trees/run/exec-launcher.js';
import { tryFlock } from '../../trees/system/index.js';
import { missingForContainers } from '../support/rootfs.js';
import { bench, eventually, isAlive } from './support/container.js';
import { instances, launch } from './support/instance.js';

const skip = missingForContainers();
const box = bench();
const own = instances(box);
after(() => {
  own[Symbol.dispose]();
  box[Symbol.dispose]();
});

const monitorOf = (name: string): number => Number(own.state(name)['monitor']);
const initOf = (name: string): number => Number(own.state(name)['init']);

test('prints the name once the command was executed, and leaves a monitor behind', { skip }, async () => {
  own.detach('first', ['sleep', '300']);
  const monitor = monitorOf('first');
  const { status, detached } = own.state('first');
  assert.deepEqual([status, detached], ['running', '1']);
  assert.equal(readlinkSync(`/proc/${monitor}/cwd`), '/');
  for (const fd of [0, 1, 2]) assert.equal(readlinkSync(`/proc/${monitor}/fd/${fd}`), '/dev/null');
  const stat = readFileSync(`/proc/${monitor}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? [];
  const [, , group, session, terminal] = stat;
  assert.deepEqual([group, session, terminal], [String(monitor), String(monitor), '0']);
  assert.match(await own.ask('first', 'stop timeout=1000'), /^exit=143\nok\n$/);
  await eventually(() => !isAlive(monitor), 'the monitor has ended');
  assert.equal(own.state('first')['status'], 'exited');
});

test('nothing of the caller’s stays open in it', { skip }, async () => {
  const plan = own.plan('closed', ['sleep', '300']);
  // Five descriptors too many: a pipe of these would keep its reader waiting.
  const child = spawn(launcherPath(), ['--detach', plan], {
    stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe', 'pipe', 'pipe', 'pipe'],
  });
  await new Promise((resolve) => child.once('close', resolve)); // `close`, not `exit`: all of them are at their end
  assert.equal(own.state('closed')['status'], 'running');
  await own.ask('closed', 'kill');
});

test('a lock of the caller’s is held until the end, over restarts too', { skip }, async () => {
  const file = join(box.directory, 'claim');
  const fd = openSync(file, 'w+');
  assert.ok(tryFlock(fd, 'exclusive'));
  const plan = own.plan('holding', ['sleep', '300']);
  const child = spawn(launcherPath(), ['--detach', '--hold-fd=3', plan], {
    stdio: ['ignore', 'ignore', 'inherit', fd],
  });
  assert.equal(await new Promise((resolve) => child.once('exit', resolve)), 0);
  closeSync(fd);
  const isHeld = (): boolean => {
    const again = openSync(file, 'r');
    try {
      return !tryFlock(again, 'shared');
    } finally {
      closeSync(again);
    }
  };
  assert.ok(isHeld());
  assert.equal(await own.ask('holding', 'restart'), 'ok\n');
  assert.ok(isHeld());
  assert.equal(await own.ask('holding', 'stop'), 'exit=143\nok\n');
  assert.ok(!isHeld()); // free when the answer is there
});

test('what keeps the command from running is the caller’s to see: 127, 126, 125', { skip }, () => {
  const missing = own.tryDetach('missing', ['/no/such']);
  assert.deepEqual([missing.status, missing.stdout], [127, '']);
  assert.match(missing.stderr, /cannot execute \/no\/such: No such file or directory/);
  const text = own.tryDetach('text', ['/etc/notexec']);
  assert.equal(text.status, 126);
  assert.match(text.stderr, /cannot execute \/etc\/notexec: /);
  const workdir = own.tryDetach('workdir', ['true'], { container: { workdir: '/none' } });
  assert.equal(workdir.status, 125);
  assert.match(workdir.stderr, /working directory \/none/);
  const source = own.tryDetach('source', ['true'], {
    container: { mounts: [{ kind: 'bind', source: '/no/such/source', target: '/mnt' }] },
  });
  assert.equal(source.status, 125);
  assert.match(source.stderr, /\/no\/such\/source/);
  for (const name of ['missing', 'text', 'workdir', 'source']) assert.ok(!existsSync(own.runDir(name)), name);
});

test('the same failure of a terminal’s command', { skip }, () => {
  const missing = own.tryDetach('missing-tty', ['/no/such'], { tty: true });
  assert.equal(missing.status, 127);
  assert.match(missing.stderr, /cannot execute \/no\/such/);
});

test('a plan without a directory for state cannot be detached', { skip }, () => {
  const { status, stderr } = launch(['--detach', box.planFile(box.spec())]);
  assert.equal(status, 125);
  assert.match(stderr, /no directory for the instance's state/);
});

test('a command that ends at once was started all the same', { skip }, async () => {
  own.detach('short', ['sh', '-c', 'exit 7']);
  await own.waitForState('short', 'status', 'exited');
  assert.equal(own.state('short')['exit'], '7');
});

test('standard input is empty, or open if asked for', { skip }, async () => {
  own.detach('empty', ['sh', '-c', 'cat; exit 4']);
  await own.waitForState('empty', 'exit', '4');
  own.detach('open', ['sh', '-c', 'read line; exit 5'], { stdin: true });
  await sleep(300);
  assert.equal(own.state('open')['status'], 'running');
  await own.ask('open', 'kill');
});

test('an idle instance takes little memory and never wakes up', { skip }, async () => {
  own.detach('idle', ['sleep', '300']);
  const both = [monitorOf('idle'), initOf('idle')];
  const field = (pid: number, file: string, name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${pid}/${file}`, 'utf8'))?.[1]);
  const switches = (): number[] => both.map((pid) => field(pid, 'status', 'voluntary_ctxt_switches'));
  const settled = async (): Promise<number[]> => {
    for (let before = switches(); ; before = switches()) {
      await sleep(200);
      if (String(before) === String(switches())) return before;
    }
  };
  const before = await settled();
  await sleep(1500);
  assert.deepEqual(switches(), before);
  if (process.env['TREES_NATIVE'] === 'Debug') return; // the sanitizers' own memory
  const kilobytes = both.map((pid) => field(pid, 'smaps_rollup', 'Pss')).reduce((sum, size) => sum + size, 0);
  assert.ok(kilobytes <= 2560, `${kilobytes} kB`);
  await own.ask('idle', 'kill');
});

test('kill -9 of the monitor takes the container with it; the name can be used again', { skip }, async () => {
  own.detach('orphaned', ['sleep', '300']);
  const init = initOf('orphaned');
  process.kill(monitorOf('orphaned'), 'SIGKILL');
  await eventually(() => !isAlive(init), 'the container has ended');
  // What it wrote last stays; its lock is free, which is how everybody knows.
  assert.equal(own.state('orphaned')['status'], 'running');
  own.detach('orphaned', ['sleep', '300']);
  assert.match(await own.ask('orphaned', 'kill signal=9'), /^ok\n$/);
});

test('TERM to the monitor ends the instance, whatever its restart policy', { skip }, async () => {
  own.detach('terminated', ['sleep', '300'], { restart: { policy: 'always' } });
  process.kill(monitorOf('terminated'), 'SIGTERM');
  await own.waitForState('terminated', 'status', 'exited');
  assert.equal(own.state('terminated')['exit'], '143');
});

test('the child-pid and the exit-code are written to a descriptor, line by line', { skip }, async () => {
  const run = async (argv: readonly string[]): Promise<string> => {
    const child = spawn(launcherPath(), ['--status-fd=3', box.planFile(box.spec({ argv }))], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
    });
    let text = '';
    child.stdio[3]?.on('data', (chunk: Buffer) => (text += chunk.toString()));
    await new Promise((resolve) => child.once('close', resolve));
    return text;
  };
  assert.match(await run(['sh', '-c', 'exit 42']), /^\{"child-pid":\d+\}\n\{"exit-code":42\}\n$/);
});

test('the pid file holds the container’s first process as long as it runs', { skip }, async () => {
  const file = join(box.directory, 'pid');
  const plan = own.plan('pid-file', ['sleep', '300']);
  assert.equal(launch([`--pid-file=${file}`, '--detach', plan]).status, 0);
  assert.equal(readFileSync(file, 'utf8'), `${own.state('pid-file')['init']}\n`);
  await own.ask('pid-file', 'stop timeout=0');
  assert.ok(!existsSync(file));
});

test('descriptors of --preserve-fds reach the command, others do not', { skip }, async () => {
  const file = join(box.directory, 'passed');
  writeFileSync(file, 'content\n');
  const script = `ls /proc/self/fd; cat <&3; exit 0`;
  const run = (flags: string): string => `${flags} ${box.planFile(box.spec({ argv: ['sh', '-c', script] }))}`;
  const shell = (line: string) =>
    new Promise<string>((resolve) => {
      const child = spawn('sh', ['-c', line], { stdio: ['ignore', 'pipe', 'pipe'] });
      let text = '';
      child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
      child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()));
      child.once('close', () => resolve(text));
    });
  const passed = await shell(`exec 3<${file} 9<${file}; exec ${launcherPath()} ${run('--preserve-fds=1')}`);
  assert.match(passed, /^0\n1\n2\n3\n4\ncontent\n$/);
  const without = await shell(`exec 3<${file}; exec ${launcherPath()} ${run('')}`);
  assert.match(without, /^0\n1\n2\n3\n/);
  assert.doesNotMatch(without, /content/);
  const closed = await shell(`exec ${launcherPath()} ${run('--preserve-fds=1')} 3<&-`);
  assert.match(closed, /cannot pass on descriptor 3 .*: it is not open/);
});

test('sockets of the service manager reach the command, which knows that they are its own', { skip }, async () => {
  const script = 'echo $LISTEN_FDS $LISTEN_FDNAMES $((LISTEN_PID == $$)); cat <&3';
  const plan = box.planFile(box.spec({ argv: ['sh', '-c', script] }));
  const file = join(box.directory, 'socket');
  writeFileSync(file, 'content\n');
  const line = `exec 3<${file}; LISTEN_FDNAMES=web exec ${launcherPath()} --listen-fds=1 ${plan}`;
  const child = spawn('sh', ['-c', line], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  await new Promise((resolve) => child.once('close', resolve));
  assert.equal(text, '1 web 1\ncontent\n');
});

test('thirty instances at once: all start, all stop, nothing is left', { skip }, async () => {
  const names = Array.from({ length: 30 }, (_, index) => `many-${index}`);
  const mounts = (): number => readFileSync('/proc/self/mountinfo', 'utf8').split('\n').length;
  const before = mounts();
  await Promise.all(
    names.map(
      (name) =>
        new Promise<void>((resolve, reject) => {
          const child = spawn(launcherPath(), ['--detach', own.plan(name, ['sleep', '300'], { remove: true })], {
            stdio: 'ignore',
          });
          child.once('close', (status) => (status === 0 ? resolve() : reject(new Error(`${name}: ${status}`))));
        }),
    ),
  );
  const pids = names.flatMap((name) => [monitorOf(name), initOf(name)]);
  assert.ok(pids.every(isAlive));
  const answers = await Promise.all(names.map((name) => own.ask(name, 'stop timeout=5000')));
  assert.ok(answers.every((answer) => answer === 'exit=143\nok\n'));
  await eventually(() => !pids.some(isAlive), 'no process is left');
  assert.ok(names.every((name) => !existsSync(own.runDir(name))));
  assert.equal(mounts(), before);
});
