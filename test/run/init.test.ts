import assert from 'node:assert/strict';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { after, test } from 'node:test';
import { missingForContainers } from '../support/rootfs.js';
import { bench, descendants, eventually } from './support/container.js';

const skip = missingForContainers();
const box = bench();
after(() => box[Symbol.dispose]());

test('300 orphans leave no zombie', { skip }, async () => {
  const script = `
    i=0
    while [ $i -lt 300 ]; do
      (sleep 0 & )
      i=$((i + 1))
    done
    for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
      zombies=$(grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l)
      [ "$zombies" = 0 ] && break
      sleep 0.1
    done
    echo zombies $zombies`;
  const { status, stdout } = await box.sh(script);
  assert.deepEqual([status, stdout], [0, 'zombies 0\n']);
});

test('an orphan’s parent is PID 1, and its end does not end the container', { skip }, async () => {
  const { status, stdout } = await box.sh(
    "(sh -c 'sleep 0.1; grep PPid /proc/self/status; exit 5' &); sleep 0.4; echo still here; exit 6",
  );
  assert.equal(status, 6);
  assert.match(stdout, /PPid:\s+\d+\nstill here\n/);
  const parent = await box.sh("(sh -c 'sleep 0.1; grep PPid /proc/$$/status' &); sleep 0.4");
  assert.match(parent.stdout, /PPid:\s+1\n/);
});

test('when the command ends, the rest gets TERM and the container is done at once', { skip }, async () => {
  const started = performance.now();
  const { status } = await box.sh('sleep 300 & setsid sleep 301 & exit 3', { stopTimeout: 60 });
  assert.equal(status, 3);
  // Far from an absolute time: the grace period is a minute.
  assert.ok(performance.now() - started < 30_000);
});

test('what ignores TERM is killed after the grace period', { skip }, async () => {
  const started = performance.now();
  const { status } = await box.sh(`sh -c 'trap "" TERM; echo ready; sleep 300' & sleep 0.2; exit 4`, {
    stopTimeout: 0.5,
  });
  const took = performance.now() - started;
  assert.equal(status, 4);
  assert.ok(took >= 500, `took ${took} ms`);
  assert.ok(took < 60_000, `took ${took} ms`);
});

test('a second TERM cuts the grace period short', { skip }, async () => {
  const running = box.start(
    box.spec({
      argv: ['sh', '-c', `(trap "" TERM; echo ready; sleep 300) & trap 'exit 8' TERM; while :; do sleep 0.05; done`],
      stopTimeout: 300,
    }),
  );
  await running.waitFor('ready');
  running.child.kill('SIGTERM');
  const [init = 0] = descendants(running.pid);
  // The shell has ended, and only the stubborn rest (subshell and its sleep) is there.
  await eventually(() => descendants(init).length <= 2, 'the command has ended');
  await new Promise((resolve) => setTimeout(resolve, 100));
  running.child.kill('SIGTERM');
  assert.equal((await running.done).status, 8);
});

test('stopped processes are ended too', { skip }, async () => {
  const { status } = await box.sh('sleep 300 & kill -STOP $!; exit 2', { stopTimeout: 60 });
  assert.equal(status, 2);
});

test('PID 1 is trees-init, in /, with its standard streams and one descriptor of its own', { skip }, async () => {
  const running = box.start(box.spec({ argv: ['sh', '-c', 'cat /proc/1/comm; echo up; sleep 60'] }));
  await running.waitFor('up');
  assert.match(running.output(), /^trees-init\n/);
  const [init = 0] = descendants(running.pid);
  assert.equal(readlinkSync(`/proc/${init}/cwd`), '/');
  const open = readdirSync(`/proc/${init}/fd`).map(
    (fd) => [Number(fd), readlinkSync(`/proc/${init}/fd/${fd}`)] as const,
  );
  assert.deepEqual(
    open.filter(([fd]) => fd > 2).map(([, target]) => target),
    ['anon_inode:[signalfd]'],
  );
  const rss = Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${init}/status`, 'utf8'))?.[1]);
  assert.ok(rss <= 1024, `RSS of the init is ${rss} kB`);
  running.child.kill('SIGKILL');
  await running.done;
});

test('the command has a parent and a process group of its own', { skip }, async () => {
  const { stdout } = await box.sh('echo $$ $PPID; cut -d" " -f5 /proc/$$/stat');
  const [pids = '', group] = stdout.trim().split('\n');
  const [pid = '0', parent] = pids.split(' ');
  assert.equal(parent, '1');
  assert.equal(group, pid);
  assert.ok(Number(pid) > 1);
});

test('without an init the command is PID 1', { skip }, async () => {
  const { status, stdout } = await box.sh('echo $$; exit 12', { noInit: true });
  assert.deepEqual([status, stdout], [12, '1\n']);
});

test('PID 1 cannot be examined from inside: it knows the host’s paths', { skip }, async () => {
  const { stdout, stderr } = await box.sh(
    'cat /proc/1/environ; readlink /proc/1/exe; readlink /proc/1/fd/0; cat /proc/1/maps; : < /proc/1/mem',
  );
  assert.equal(stdout, '');
  assert.equal(stderr.match(/denied|not permitted/g)?.length, 3, stderr);
});

test('the command’s environment is the container’s, with HOME from passwd', { skip }, async () => {
  const env = { PATH: '/bin', A: 'b c', EMPTY: '' };
  const plain = await box.run(box.spec({ argv: ['env'], env }), { env: { HOST: 'leak', PATH: '/usr/bin' } });
  assert.deepEqual(plain.stdout.trim().split('\n').sort(), ['A=b c', 'EMPTY=', 'HOME=/root', 'PATH=/bin']);
  const app = await box.run(box.spec({ argv: ['sh', '-c', 'echo $HOME'], user: 'app' }));
  assert.equal(app.stdout, '/home/app\n');
  const unknown = await box.run(box.spec({ argv: ['sh', '-c', 'echo $HOME'], user: '12345' }));
  assert.equal(unknown.stdout, '/\n');
  const given = await box.run(box.spec({ argv: ['sh', '-c', 'echo $HOME'], env: { PATH: '/bin', HOME: '/x' } }));
  assert.equal(given.stdout, '/x\n');
});

test('users: names, numbers and groups from the tree', { skip: missingForContainers({ root: true }) }, async () => {
  const id = async (user: string): Promise<string> =>
    (await box.run(box.spec({ argv: ['sh', '-c', 'echo $(id -u):$(id -g):$(id -G)'], user }))).stdout.trim();
  assert.equal(await id('app'), '1000:1000:1000 2000');
  assert.equal(await id('1000'), '1000:1000:1000 2000');
  assert.equal(await id('app:extra'), '1000:2000:2000');
  assert.equal(await id('app:77'), '1000:77:77');
  assert.equal(await id('12345'), '12345:0:0');
  assert.equal(await id('daemon'), '1:1:1 2000 2001');
  assert.equal(await id('root'), '0:0:0');
});
