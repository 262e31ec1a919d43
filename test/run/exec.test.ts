import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { cgroupHost, planCgroups } from '../../trees/run/cgroup-plan.js';
import { hierarchyOf } from '../../trees/run/cgroups.js';
import type { ContainerSpec } from '../../trees/run/container.js';
import { launcherPath } from '../../trees/run/exec-launcher.js';
import { bootId } from '../../trees/run/instance-state.js';
import { runProgram } from '../support/rig.js';
import { missingForContainers } from '../support/rootfs.js';
import { bench, descendants, eventually, isAlive, type Running } from './support/container.js';

/** `trees-launch --exec`: another command in a running container. */

const box = bench();
after(() => box[Symbol.dispose]());
const skip = missingForContainers();

function startOf(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}

interface Joined extends Disposable {
  readonly running: Running;
  readonly init: number;
  readonly directory: string;
  exec(words: readonly string[], options?: readonly string[]): ReturnType<typeof runProgram>;
  sh(script: string, ...options: string[]): ReturnType<typeof runProgram>;
  state(change: Readonly<Record<string, string | number>>): void;
}

let targets = 0;

/** A container that sleeps, with the state that its launcher keeps of it. */
async function target(change: Partial<ContainerSpec> = {}, cgroups: readonly string[] = []): Promise<Joined> {
  const container = box.spec({ argv: ['sh', '-c', 'echo up; exec sleep 1000'], ...change });
  const running = box.start(container);
  await running.waitFor('up');
  const [init = -1] = descendants(running.pid);
  const directory = join(box.directory, `instance-${++targets}`);
  mkdirSync(directory, { mode: 0o700 });
  copyFileSync(running.child.spawnargs.at(-1) ?? '', join(directory, 'plan'));
  const state: Joined['state'] = (values) => {
    const all = {
      version: 1,
      name: 'target',
      app: 'app',
      boot: bootId(),
      status: 'running',
      monitor: running.pid,
      'monitor-start': startOf(running.pid),
      init,
      'init-start': startOf(init),
      ...values,
    };
    const lines = Object.entries(all).map(([key, value]) => `${key}=${value}\n`);
    writeFileSync(join(directory, 'state'), [...lines, ...cgroups.map((line) => `cgroup=${line}\n`)].join(''));
  };
  state({});
  const exec: Joined['exec'] = (words, options = []) =>
    runProgram(launcherPath(), ['--exec', directory, ...options, '--', ...words]);
  return {
    running,
    init,
    directory,
    state,
    exec,
    sh: (script, ...options) => exec(['sh', '-c', script], options),
    [Symbol.dispose]: () => void running.child.kill('SIGKILL'),
  };
}

test('the exit status is the command’s, 128+n for a signal, 125, 126 or 127', { skip }, async () => {
  using it = await target();
  for (const status of [0, 1, 42, 255]) assert.equal((await it.sh(`exit ${status}`)).status, status);
  assert.equal((await it.sh('kill -TERM $$')).status, 143);
  assert.equal((await it.sh('kill -KILL $$')).status, 137);
  const absent = await it.exec(['/no/such']);
  assert.deepEqual(
    [absent.status, absent.stderr],
    [127, 'error: cannot execute /no/such: No such file or directory\n'],
  );
  assert.equal((await it.exec(['nothing-like-it'])).status, 127);
  assert.equal((await it.exec(['/etc/notexec'])).status, 126);
  const directory = await it.exec(['pwd'], ['--workdir=/nonexistent']);
  assert.equal(directory.status, 125);
  assert.match(directory.stderr, /cannot change to the working directory \/nonexistent/);
  const option = await runProgram(launcherPath(), ['--exec', it.directory, '--bogus', '--', 'true']);
  assert.deepEqual([option.status, option.stdout], [125, '']);
});

test('the command sees what the main process sees, and is restricted as it is', { skip }, async () => {
  using it = await target({
    hostname: 'inside',
    env: { PATH: '/bin', A: '1' },
    rlimits: [{ name: 'nofile', soft: 64, hard: 128 }],
  });
  const main = `/proc/${descendants(it.init)[0] ?? it.init}`;
  const kinds = ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'user', 'uts'];
  const links = await it.sh(kinds.map((kind) => `readlink /proc/self/ns/${kind}`).join('; '));
  const expected = kinds.map((kind) => spawnSync('readlink', [`${main}/ns/${kind}`], { encoding: 'utf8' }).stdout);
  assert.equal(links.stdout, expected.join(''), links.stderr);
  const fields = (text: string): string[] =>
    text.split('\n').filter((line) => /^(Cap|NoNewPrivs|Seccomp:|Groups|Uid|Gid|SigBlk|SigIgn)/.test(line));
  const status = await it.exec(['cat', '/proc/self/status']);
  const inside = (await it.sh('read main _ </proc/1/task/1/children; cat /proc/$main/status')).stdout;
  assert.deepEqual(fields(status.stdout), fields(inside));
  assert.equal((await it.sh('echo $A; ulimit -Sn; ulimit -Hn; hostname; pwd')).stdout, '1\n64\n128\ninside\n/\n');
  // What it writes, the container has.
  await it.sh('echo mine > /tmp/mine');
  assert.equal(readFileSync(`/proc/${it.init}/root/tmp/mine`, 'utf8'), 'mine\n');
});

test('user, directory and variables of one’s own', { skip }, async () => {
  using it = await target({ env: { PATH: '/bin', A: '1', B: '2' } });
  const result = await it.sh(
    'id -u; id -g; pwd; echo $A $B $C $HOME; env | grep -c TREES',
    '--user=app',
    '--workdir=/tmp',
    '--env=A=x',
    '--env=C=y z',
  );
  assert.equal(result.stdout, '1000\n1000\n/tmp\nx 2 y z /home/app\n0\n', result.stderr);
  assert.equal((await it.sh('id -u; id -g', '--user=12345:7')).stdout, '12345\n7\n');
});

test('a user is a number or a name of the tree, and nothing that looks like one', { skip }, async () => {
  using it = await target();
  for (const user of [
    'nobody-here',
    '0x0',
    '+0',
    '-1',
    ' 0',
    '4294967295',
    '4294967296',
    '18446744073709551616',
    '1e3',
    '0 ',
    '1000:',
    ':no',
  ]) {
    const result = await it.exec(['id', '-u'], [`--user=${user}`]);
    assert.deepEqual([result.status, result.stdout], [125, ''], `--user=${user} gave ${result.stdout}`);
  }
});

test('without a user namespace, too; privileged is with all capabilities', { skip }, async () => {
  using it = await target({ userns: 'host' });
  const plain = await it.sh('grep -E "CapEff|NoNewPrivs" /proc/self/status; cat /proc/self/uid_map');
  assert.match(
    plain.stdout,
    /NoNewPrivs:\t1\nCapEff:\t00000000a80425fb|CapEff:\t00000000a80425fb\nNoNewPrivs:\t1/,
    plain.stderr,
  );
  const privileged = await it.sh('grep -E "CapEff|NoNewPrivs" /proc/self/status', '--privileged');
  const own = /CapBnd:\t([0-9a-f]+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  assert.match(privileged.stdout, new RegExp(`CapEff:\t${own}`));
  assert.match(privileged.stdout, /NoNewPrivs:\t0/);
  using user = await target();
  assert.match((await user.sh('grep CapEff /proc/self/status', '--privileged')).stdout, /CapEff:\t0*[1-9a-f]*ffffff\n/);
});

test('nothing of the caller or of the launcher is open in the command', { skip }, async () => {
  using it = await target();
  const leak = openSync('/etc/hostname', 'r');
  const child = spawn(launcherPath(), ['--exec', it.directory, '--', 'ls', '/proc/self/fd'], {
    stdio: ['ignore', 'pipe', 'inherit', leak, leak, leak],
  });
  let output = '';
  child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  await new Promise((resolve) => child.once('close', resolve));
  assert.equal(output, '0\n1\n2\n3\n');
  const passed = spawnSync(
    launcherPath(),
    ['--exec', it.directory, '--preserve-fds=2', '--', 'sh', '-c', 'cat <&4; ls /proc/self/fd'],
    {
      stdio: ['ignore', 'pipe', 'pipe', openSync('/etc/hostname', 'r'), openSync('/etc/hostname', 'r')],
      encoding: 'utf8',
    },
  );
  assert.equal(passed.stdout, `${readFileSync('/etc/hostname', 'utf8')}0\n1\n2\n3\n4\n5\n`, passed.stderr);
  const closed = await it.exec(['true'], ['--preserve-fds=9']);
  assert.equal(closed.status, 125);
  assert.match(closed.stderr, /descriptor 3 is closed/);
});

test('the program that processes of the container can see is a copy that nobody can change', { skip }, async () => {
  for (const userns of ['host', undefined] as const) {
    using it = await target(
      userns === undefined ? {} : { userns, capabilities: ['SYS_PTRACE', 'CHOWN', 'DAC_OVERRIDE'] },
    );
    // Whatever shows up in the pid namespace while commands join: can its program be opened for writing?
    const watcher = spawn(launcherPath(), [
      '--exec',
      it.directory,
      '--',
      'sh',
      '-c',
      'while :; do for p in /proc/[0-9]*; do l=$(readlink $p/exe) && case $l in *trees-launch*) echo "saw $l"; true >>$p/exe && echo WROTE;; esac; done; done 2>/dev/null',
    ]);
    let seen = '';
    watcher.stdout.on('data', (chunk: Buffer) => (seen += chunk.toString()));
    for (let i = 0; i < 40; i++) assert.equal((await it.exec(['true'])).status, 0);
    assert.equal(watcher.exitCode, null, 'it looked all the time');
    watcher.kill('SIGKILL');
    await new Promise((resolve) => watcher.once('close', resolve));
    assert.doesNotMatch(seen, /WROTE/);
    assert.doesNotMatch(seen, /saw \/(?!memfd:)/);
  }
});

test('signals are passed on; the command dies with its launcher', { skip }, async () => {
  using it = await target();
  const child = spawn(launcherPath(), [
    '--exec',
    it.directory,
    '--',
    'sh',
    '-c',
    'trap "echo got; exit 7" TERM; echo up; while :; do sleep 0.05; done',
  ]);
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  await eventually(() => output.includes('up'), 'the command runs');
  child.kill('SIGTERM');
  const status = await new Promise((resolve) => child.once('close', resolve));
  assert.deepEqual([status, output], [7, 'up\ngot\n']);

  const other = spawn(launcherPath(), ['--exec', it.directory, '--user=app', '--', 'sleep', '1000'], {
    stdio: 'ignore',
  });
  await eventually(
    () => descendants(other.pid ?? -1).some((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('sleep')),
    'it sleeps',
  );
  const [sleeping = -1] = descendants(other.pid ?? -1);
  other.kill('SIGKILL');
  await eventually(() => !isAlive(sleeping), 'it died with its launcher');
  // The container is untouched.
  assert.equal((await it.exec(['true'])).status, 0);
});

test('when the container ends, so does the command', { skip }, async () => {
  using it = await target();
  const child = spawn(launcherPath(), ['--exec', it.directory, '--', 'sleep', '1000'], { stdio: 'ignore' });
  await eventually(() => descendants(child.pid ?? -1).length > 0, 'it sleeps');
  it.running.child.kill('SIGKILL');
  assert.equal(await new Promise((resolve) => child.once('close', resolve)), 137);
});

test('a reader that closes ends it promptly', { skip }, async () => {
  using it = await target();
  const outcome = spawnSync('sh', ['-c', `'${launcherPath()}' --exec '${it.directory}' -- yes | head -1`], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  assert.deepEqual([outcome.status, outcome.stdout], [0, 'y\n']);
});

test('megabytes pass through unchanged', { skip }, async () => {
  using it = await target();
  const bytes = Buffer.alloc(3 << 20, 'binary\0\r\n');
  const outcome = spawnSync(launcherPath(), ['--exec', it.directory, '--', 'cat'], {
    input: bytes,
    maxBuffer: 8 << 20,
  });
  assert.ok(bytes.equals(outcome.stdout));
});

test('detached: it goes on, as a child of process 1, and how it could not start is told', { skip }, async () => {
  using it = await target();
  const started = await it.exec(
    [
      'sh',
      '-c',
      'sleep 0.3; cut -d" " -f4 /proc/$$/stat > /tmp/ppid; for i in 0 1 2; do readlink /proc/self/fd/$i; done > /tmp/fds; sleep 1000',
    ],
    ['--detach'],
  );
  assert.deepEqual([started.status, started.stdout, started.stderr], [0, '', '']);
  await eventually(
    () => spawnSync('cat', [`/proc/${it.init}/root/tmp/fds`], { encoding: 'utf8' }).stdout.split('\n').length === 4,
    'it wrote',
  );
  assert.equal(readFileSync(`/proc/${it.init}/root/tmp/ppid`, 'utf8'), '1\n');
  assert.equal(readFileSync(`/proc/${it.init}/root/tmp/fds`, 'utf8'), '/dev/null\n/tmp/fds\n/dev/null\n');
  const absent = await it.exec(['/no/such'], ['--detach']);
  assert.deepEqual(
    [absent.status, absent.stderr],
    [127, 'error: cannot execute /no/such: No such file or directory\n'],
  );
  assert.equal((await it.exec(['true'], ['--detach', '--user=nobody-here'])).status, 125);
  assert.equal((await it.exec(['false'], ['--detach'])).status, 0);
});

test('a terminal of its own, with the size of the caller’s', { skip }, async () => {
  using it = await target();
  const script = `'${launcherPath()}' --exec '${it.directory}' --tty -- sh -c 'tty; stty size; test -t 0 && test -t 2 && echo all'`;
  const outcome = spawnSync('script', ['-qec', `stty rows 33 cols 77; ${script}`, '/dev/null'], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  // script(1) types a NUL or ^D when its own input ends.
  assert.match(outcome.stdout.replaceAll('^@', '').replaceAll('^D\b\b', ''), /\/dev\/pts\/\d+\r\n33 77\r\nall\r\n/);
  assert.equal(outcome.status, 0);
});

test('keys leave it running; without them it is as without them', { skip }, async () => {
  using it = await target();
  const exec = (script: string): string =>
    `'${launcherPath()}' --exec '${it.directory}' --tty --detach-keys=ctrl-p,ctrl-q -- sh -c '${script}'`;
  const sized = spawnSync('script', ['-qec', `stty rows 33 cols 77; ${exec('stty size; exit 5')}`, '/dev/null'], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  assert.match(sized.stdout, /33 77\r\n/);
  assert.equal(sized.status, 5);

  const session = spawn('script', ['-qec', exec('echo up; read x; echo $x > /tmp/typed; exec sleep 999'), '/dev/null']);
  let output = '';
  session.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  await eventually(() => output.includes('up'), 'it runs');
  session.stdin.write('typed\r');
  const typed = `/proc/${it.init}/root/tmp/typed`;
  await eventually(() => spawnSync('cat', [typed], { encoding: 'utf8' }).stdout === 'typed\n', 'it has read');
  session.stdin.write('\u0010\u0011');
  assert.equal(await new Promise((resolve) => session.once('close', resolve)), 0);
  assert.match((await it.sh('ps')).stdout, /sleep 999/);

  // Killed, its caller takes it along as ever.
  const killed = spawn('script', ['-qec', exec('echo up; exec sleep 998'), '/dev/null']);
  output = '';
  killed.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  await eventually(() => output.includes('up'), 'it runs');
  const front = descendants(killed.pid ?? -1).find((pid) =>
    readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith(launcherPath()),
  );
  assert.ok(front);
  process.kill(front, 'SIGKILL');
  await new Promise((resolve) => killed.once('close', resolve));
  await eventually(() => !/sleep 998/.test(spawnSync('ps', ['-ef'], { encoding: 'utf8' }).stdout), 'it has ended');
});

test('not running: another boot, another process with that number, paused, ended', { skip }, async () => {
  using it = await target();
  for (const [change, pattern] of [
    [{ boot: '00000000-0000-0000-0000-000000000000' }, /is not running/],
    [{ 'init-start': '1' }, /is not running/],
    [{ init: process.pid }, /is not running/],
    [{ init: 2 ** 22 - 1 }, /is not running/],
    [{ status: 'exited' }, /is not running/],
    [{ status: 'paused' }, /is paused/],
  ] as const) {
    it.state(change);
    const outcome = await it.exec(['echo', 'ran']);
    assert.deepEqual([outcome.status, outcome.stdout], [125, '']);
    assert.match(outcome.stderr, pattern);
  }
  const nowhere = await runProgram(launcherPath(), ['--exec', join(box.directory, 'nowhere'), '--', 'true']);
  assert.equal(nowhere.status, 125);
  assert.match(nowhere.stderr, /cannot find the instance nowhere/);
});

const host = cgroupHost();
const cgroups = skip || (hierarchyOf(host.layout, 'pids') === undefined ? 'needs the pids controller' : false);

test('it joins the cgroups of the container, and is limited with it', { skip: cgroups }, async () => {
  const name = `exec-${process.pid}`;
  const limits = { pids: 20, memory: 64 << 20 };
  const planned = planCgroups(limits, name, host, new Set());
  const lines = planned.cgroups.map(
    ({ version, base, controllers }) => `${version === 2 ? '' : controllers.join(',')}:${join(base, 'trees', name)}`,
  );
  {
    using it = await target({ resources: { limits, ...planned } }, lines);
    const inside = (await it.sh('cat /proc/self/cgroup; cat /proc/1/cgroup')).stdout.trim().split('\n');
    assert.deepEqual(inside.slice(0, inside.length / 2), inside.slice(inside.length / 2));
    for (const line of lines) {
      const group = line.slice(line.indexOf(':') + 1);
      const members = readFileSync(join(group, 'cgroup.procs'), 'utf8').trim().split('\n');
      assert.ok(members.includes(String(it.init)), `${group} has ${members.join(' ')}`);
    }
    const bomb = await it.sh('n=0; while [ $n -lt 40 ]; do sleep 5 & n=$((n+1)); done; echo all');
    assert.doesNotMatch(bomb.stdout, /all/);
    it.running.child.kill('SIGTERM');
    await it.running.done;
  }
  await sleep(50);
  for (const { base } of planned.cgroups) assert.ok(!readdirSync(join(base, 'trees')).includes(name));
});
