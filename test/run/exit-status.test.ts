import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { launcherPath } from '../../trees/run/exec-launcher.js';
import { missingForContainers } from '../support/rootfs.js';
import { bench, descendants } from './support/container.js';

const skip = missingForContainers();
const box = bench();
after(() => box[Symbol.dispose]());

test('every exit status from 0 to 255 comes through', { skip }, () => {
  const plan = box.planFile(box.spec({ argv: ['sh'] }));
  const script = `
    i=0
    while [ $i -lt 256 ]; do
      "$1" "$2" sh -c "exit $i"
      status=$?
      [ $status = $i ] || echo "exit $i gave $status"
      i=$((i + 1))
    done`;
  const result = spawnSync('/bin/sh', ['-c', script, 'sh', launcherPath(), plan], { encoding: 'utf8' });
  assert.equal(result.stdout + result.stderr, '');
  assert.equal(result.status, 0);
});

for (const [signal, number] of [
  ['TERM', 15],
  ['KILL', 9],
  ['SEGV', 11],
  ['ABRT', 6],
  ['USR1', 10],
] as const) {
  test(`death by SIG${signal} is ${128 + number}`, { skip }, async () => {
    const { status, signal: own } = await box.sh(`kill -${signal} $$`);
    assert.deepEqual([status, own], [128 + number, null]);
  });
}

test('a missing command is 127 and named, with and without a slash', { skip }, async () => {
  const missing = await box.run(['/no/such']);
  assert.deepEqual(
    [missing.status, missing.stderr],
    [127, 'error: cannot execute /no/such: No such file or directory\n'],
  );
  const unknown = await box.run(['nosuch']);
  assert.deepEqual([unknown.status, unknown.stderr], [127, 'error: cannot execute nosuch: not found in PATH\n']);
  assert.equal((await box.run(['/etc/passwd/x'])).status, 127);
});

test('a file that may not be executed is 126, on PATH too', { skip }, async () => {
  const file = await box.run(['/etc/passwd']);
  assert.deepEqual([file.status, file.stderr], [126, 'error: cannot execute /etc/passwd: Permission denied\n']);
  assert.equal((await box.run(['/etc'])).status, 126);
  const inPath = await box.run(box.spec({ argv: ['notexec'], env: { PATH: '/nowhere:/etc:/bin' } }));
  assert.equal(inPath.status, 126);
});

test('an executable that the kernel cannot run is 126', { skip }, async () => {
  const upper = box.persistent();
  assert.equal((await box.sh('printf "\\1\\2\\3" > /bad; chmod +x /bad', { upper })).status, 0);
  const bad = await box.run(box.spec({ argv: ['/bad'], upper }));
  assert.deepEqual([bad.status, bad.stderr], [126, 'error: cannot execute /bad: Exec format error\n']);
});

test('a script whose interpreter is missing is 127 and says so', { skip }, async () => {
  const upper = box.persistent();
  await box.sh('echo "#!/no/interpreter" > /script; chmod +x /script', { upper });
  const { status, stderr } = await box.run(box.spec({ argv: ['/script'], upper }));
  assert.equal(status, 127);
  assert.match(stderr, /\/script exists, but the interpreter/);
});

test('what the launcher cannot do is 125 with the path, and nothing runs', { skip }, async () => {
  const cases: [string, Parameters<typeof box.spec>[0], RegExp][] = [
    ['tree', { lower: ['/no/tree'] }, /\/no\/tree: No such file/],
    ['tree is a file', { lower: ['/etc/passwd'] }, /\/etc\/passwd/],
    ['workdir', { workdir: '/no/dir' }, /working directory \/no\/dir: No such file/],
    ['user', { user: 'nosuch' }, /user nosuch/],
    ['group', { user: 'app:nosuch' }, /group nosuch/],
    ['bind', { mounts: [{ kind: 'bind', source: '/no/source', target: '/mnt' }] }, /\/no\/source: No such file/],
    ['lock', { lockFile: '/no/lock' }, /\/no\/lock/],
  ];
  for (const [name, change, message] of cases) {
    const { status, stdout, stderr } = await box.run(box.spec({ argv: ['echo', 'ran'], ...change }));
    assert.deepEqual([status, stdout], [125, ''], name);
    assert.match(stderr, message, name);
  }
});

test('wrong usage of the launcher is 125 on stderr', { skip }, () => {
  for (const args of [[], ['--bogus'], ['/no/plan'], ['--plan-fd=x'], ['--plan-fd=77']]) {
    const result = spawnSync(launcherPath(), args, { encoding: 'utf8' });
    assert.deepEqual([result.status, result.stdout], [125, ''], args.join(' '));
    assert.match(result.stderr, /^error: /);
  }
});

test('a command may be named like an option', { skip }, async () => {
  const upper = box.persistent();
  await box.sh('ln -s busybox /bin/--true; printf "#!/bin/sh\\necho ok\\n" > /bin/--odd; chmod +x /bin/--odd', {
    upper,
  });
  const { status, stdout } = await box.run(box.spec({ argv: ['--odd'], upper }));
  assert.deepEqual([status, stdout], [0, 'ok\n']);
});

test('the second instance of a persistent upper is refused while the first runs', { skip }, async () => {
  const upper = box.persistent();
  const ownLock = `${box.directory}/own.lock`;
  const first = box.start(box.spec({ upper, ownLock, argv: ['sh', '-c', 'echo up; sleep 60'] }));
  await first.waitFor('up');
  const second = await box.run(box.spec({ upper, ownLock }));
  assert.equal(second.status, 125);
  assert.match(second.stderr, /running already/);
  first.child.kill('SIGKILL');
  await first.done;
  assert.equal((await box.run(box.spec({ upper, ownLock }))).status, 0);
});

test('PID 1 killed from outside is 128+n too', { skip }, async () => {
  const running = box.start(box.spec({ argv: ['sh', '-c', 'echo up; sleep 60'] }));
  await running.waitFor('up');
  const [init = 0] = descendants(running.pid);
  assert.match(readFileSync(`/proc/${init}/comm`, 'utf8'), /^trees-init$/m);
  process.kill(init, 'SIGKILL');
  assert.equal((await running.done).status, 137);
});
