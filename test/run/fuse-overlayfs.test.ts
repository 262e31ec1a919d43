import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { ContainerSpec } from '../../trees/run/container.js';
import { diffUpper } from '../../trees/run/upper-diff.js';
import { upperKind } from '../../trees/run/upper-format.js';
import { missingForContainers } from '../support/rootfs.js';
import { missingForRefusal, type WithoutOverlay, withoutOverlay } from '../support/without-overlay.js';
import { bench, eventually, isAlive, type Outcome } from './support/container.js';

/** A user whose data is on a file system on which the kernel refuses overlays: fuse-overlayfs shows the tree. */

const USER = 61_237;
const skip = missingForContainers() || missingForRefusal();
const box = bench();
let machine: WithoutOverlay;
chmodSync(box.directory, 0o755);
/** The user's own link tree, on a file system like any other. */
const own = join(box.directory, 'own', 'rootfs');
let uppers = 0;

before(async () => {
  if (skip !== false) return;
  mkdirSync(join(own, '..'));
  spawnSync('cp', ['-a', box.rootfs, own]);
  mkdirSync(join(own, 'srv/deep'), { recursive: true });
  writeFileSync(join(own, 'srv/a'), 'a\n');
  writeFileSync(join(own, 'srv/deep/b'), 'b\n');
  spawnSync('chown', ['-R', `${USER}:${USER}`, join(own, '..')]);
  machine = await withoutOverlay(box.directory, USER);
});

after(async () => {
  await machine?.[Symbol.asyncDispose]();
  box[Symbol.dispose]();
});

interface Upper {
  /** Where the kernel refuses. */
  readonly refused: ContainerSpec['upper'];
  /** The same directories where it does not. */
  readonly accepted: ContainerSpec['upper'];
  /** Its directory on disk. */
  readonly path: string;
}

function makeUpper(): Upper {
  const name = `overlay-${++uppers}`;
  const at = (parent: string) =>
    ({ kind: 'persistent', upper: join(parent, name, 'upper'), work: join(parent, name, 'work') }) as const;
  const accepted = at(machine.backing);
  for (const path of [accepted.upper, accepted.work]) mkdirSync(path, { recursive: true });
  spawnSync('chown', ['-R', `${USER}:${USER}`, join(machine.backing, name)]);
  return { refused: at(machine.place), accepted, path: accepted.upper };
}

function run(script: string, change: Partial<ContainerSpec>, wrapper = machine.wrapper): Promise<Outcome> {
  return box.sh(script, { userns: 'self', lower: [own], ...change }, { wrapper });
}

/** Processes of the user's that are fuse-overlayfs, and have not ended. */
function servers(): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && /^Name:\s+fuse-overlayfs\n/.test(statusOf(pid)))
    .filter((pid) => new RegExp(`^Uid:\\s+${USER}\\s`, 'm').test(statusOf(pid)) && isAlive(pid));
}

function statusOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    return '';
  }
}

const NOTICE =
  /^the tree is shown by fuse-overlayfs, which is slower: the kernel refuses an overlay on \S+: Invalid argument\n$/;

test('the container is like any other, and what it wrote and removed stays', { skip }, async () => {
  const { refused, accepted, path } = makeUpper();
  const first = await run(
    'id -u; stat -c %u /etc/marker; echo x > /own; rm /etc/marker /srv/a; rm -r /srv/deep; mkdir /srv/deep; ' +
      'grep -c fuse-overlayfs /proc/[0-9]*/comm; sed -n 2p /etc/passwd >/dev/null; ' +
      'grep " / / " /proc/self/mountinfo | grep -o "fuse.fuse-overlayfs"; exit 5',
    { upper: refused },
  );
  const lines = first.stdout.split('\n');
  assert.equal(first.status, 5, first.stderr);
  assert.deepEqual(lines.slice(0, 2), ['0', '0']);
  assert.equal(lines.filter((line) => /comm:[1-9]/.test(line)).length, 0, first.stdout);
  assert.ok(lines.includes('fuse.fuse-overlayfs'));
  assert.match(first.stderr, /the kernel refuses an overlay on/);
  assert.equal(upperKind(path), 'fuse-overlayfs');
  assert.equal(statSync(join(path, 'own')).uid, USER);
  const changes = diffUpper(path, own).map(({ change, path: name }) => `${change} ${name}`);
  assert.deepEqual(changes, [
    'C /etc/',
    'D /etc/marker',
    'A /own',
    'C /srv/',
    'D /srv/a',
    'C /srv/deep/',
    'D /srv/deep/b',
  ]);
  const look = 'cat /own; ls /srv /srv/deep; [ -e /etc/marker ] || echo gone';
  const expected = 'x\n/srv:\ndeep\n\n/srv/deep:\ngone\n';
  const second = await run(look, { upper: refused });
  assert.deepEqual([second.stdout, second.status], [expected, 0], second.stderr);
  // Where the kernel would do: it would show what was removed again.
  const third = await run(look, { upper: accepted });
  assert.deepEqual([third.stdout, third.status], [expected, 0]);
  assert.match(third.stderr, /^the tree is shown by fuse-overlayfs, .*: it has written \S+\n$/);
});

test('what was removed with the kernel’s overlay stays so', { skip }, async () => {
  const { refused, accepted, path } = makeUpper();
  const kernel = await run('rm /etc/marker; rm -r /srv; mkdir /srv; echo k > /srv/k', { upper: accepted });
  assert.deepEqual([kernel.status, kernel.stderr, upperKind(path)], [0, '', 'kernel']);
  const { stdout, stderr } = await run('ls /srv; [ -e /etc/marker ] || echo gone; rm /srv/k', { upper: refused });
  assert.equal(stdout, 'k\ngone\n');
  assert.match(stderr, NOTICE);
  const again = await run('ls /srv; echo end', { upper: accepted });
  assert.equal(again.stdout, 'end\n');
  // Root has no fuse-overlayfs, and the kernel's overlay would show it all again.
  const asRoot = await box.sh('ls /srv', { lower: [own], upper: accepted });
  assert.deepEqual([asRoot.status, asRoot.stdout], [125, '']);
  assert.match(
    asRoot.stderr,
    /^error: cannot mount the tree \S+: what the instance wrote in \S+ is in the form of fuse-overlayfs\nhint: /,
  );
});

test('nothing of the tree can be changed', { skip }, async () => {
  const marker = join(own, 'etc/marker');
  const before = statSync(marker);
  const { stdout } = await run('echo x >> /etc/marker; chmod 600 /etc/marker; tail -1 /etc/marker', {
    upper: makeUpper().refused,
  });
  assert.equal(stdout, 'x\n');
  assert.deepEqual([statSync(marker).mtimeMs, statSync(marker).mode], [before.mtimeMs, before.mode]);
});

test('two layers, in memory, and read-only: too many overlays on each other', { skip }, async () => {
  const script = `set -e
mkdir -p "$1/a/u" "$1/a/w" "$1/b/u" "$1/b/w" "$1/mid" "$1/top"
mount -t overlay o -o "lowerdir=$2,upperdir=$1/a/u,workdir=$1/a/w" "$1/mid"
mount -t overlay o -o "lowerdir=$1/mid,upperdir=$1/b/u,workdir=$1/b/w" "$1/top"
rm "$1/top/srv/a"; echo top > "$1/top/etc/marker"; chown "$3" "$1/top/etc/marker"; shift 3; exec "$@"`;
  const stack = join(box.directory, 'stack');
  mkdirSync(stack);
  const prepared = [...machine.asRoot, 'unshare', '-m', 'sh', '-c', script, 'sh', stack, own, `${USER}`];
  const wrapper = [...prepared, 'setpriv', '--reuid', `${USER}`, '--regid', `${USER}`, '--clear-groups'];
  const extra = join(box.directory, 'extra');
  mkdirSync(join(extra, 'etc'), { recursive: true });
  writeFileSync(join(extra, 'etc/above'), 'above\n');
  spawnSync('chown', ['-R', `${USER}:${USER}`, extra]);
  const lower = [extra, join(stack, 'top')];
  const memory = await run('cat /etc/marker /etc/above; ls /srv; echo y > /y; cat /y', { lower }, wrapper);
  assert.deepEqual([memory.stdout, memory.status], ['top\nabove\ndeep\ny\n', 0], memory.stderr);
  spawnSync('rm', ['-r', stack]);
  mkdirSync(stack);
  const fixed = await run('cat /etc/above; echo y > /y', { lower, upper: { kind: 'readonly' } }, wrapper);
  assert.equal(fixed.stdout, 'above\n');
  assert.match(fixed.stderr, /Read-only file system/);
});

test('subordinate ids: files of another user are those ids’ outside', {
  skip: skip || (spawnSync('newuidmap').error === undefined ? false : 'needs newuidmap (package uidmap)'),
}, async () => {
  const grant = { start: 1_810_000_000, count: 65_536 };
  const ids = [
    { inside: 0, outside: USER, count: 1 },
    { inside: 1, outside: grant.start, count: 65_535 },
  ];
  const file = (name: string, content: string) => {
    writeFileSync(join(box.directory, name), content, { mode: 0o644 });
    return join(box.directory, name);
  };
  const passwd = file('passwd', `root:x:0:0::/:/bin/sh\nsomebody:x:${USER}:${USER}::/:/bin/sh\n`);
  const subordinate = file('subid', `somebody:${grant.start}:${grant.count}\n`);
  const script =
    'mount --bind "$1" /etc/passwd && for f in subuid subgid; do : >> /etc/$f; mount --bind "$2" /etc/$f || exit 9; done; ' +
    'shift 2; exec "$@"';
  const wrapper = [...machine.asRoot, 'unshare', '-m', 'sh', '-c', script, 'sh', passwd, subordinate];
  const { refused, path } = makeUpper();
  const { stdout, stderr, status } = await run(
    'id; > /tmp/mine; stat -c %u:%g /tmp/mine /etc/marker; exit 6',
    { upper: refused, userns: { uid: ids, gid: ids, helped: true }, user: 'app' },
    [...wrapper, 'setpriv', '--reuid', `${USER}`, '--regid', `${USER}`, '--clear-groups'],
  );
  assert.deepEqual([status, stdout], [6, 'uid=1000(app) gid=1000(app) groups=2000(extra)\n1000:1000\n0:0\n'], stderr);
  assert.equal(statSync(join(path, 'tmp/mine')).uid, grant.start + 999);
});

test('what is missing is named', { skip }, async () => {
  const { refused, accepted, path } = makeUpper();
  const user = ['setpriv', '--reuid', `${USER}`, '--regid', `${USER}`, '--clear-groups'];
  const covered = (script: string) => [
    ...machine.asRoot,
    'unshare',
    '-m',
    'sh',
    '-c',
    `${script}; exec "$@"`,
    'sh',
    ...user,
  ];
  const missing = covered('mount --bind /dev/null /usr/bin/fuse-overlayfs');
  const none = await run('id', { upper: refused }, missing);
  assert.equal(none.status, 125);
  assert.match(
    none.stderr,
    /^error: cannot mount the tree \S+: the kernel refuses an overlay on \S+: Invalid argument, and fuse-overlayfs is not installed\nhint: install fuse-overlayfs, or put the store on a local file system \(ext4, xfs, btrfs\)\n$/,
  );
  assert.equal(upperKind(path), 'kernel');
  const device = join(box.directory, 'closed');
  spawnSync('mknod', ['-m', '600', device, 'c', '10', '229']);
  const closed = await run('id', { upper: refused }, covered(`mount --bind ${device} /dev/fuse`));
  assert.equal(closed.status, 125);
  assert.match(
    closed.stderr,
    /and fuse-overlayfs cannot use \/dev\/fuse: (Permission denied|Operation not permitted)\nhint: /,
  );
  const broken = join(box.directory, 'broken');
  writeFileSync(broken, '#!/bin/sh\necho it is broken >&2\nexit 3\n', { mode: 0o755 });
  const failed = await run('id', { upper: refused }, covered(`mount --bind ${broken} /usr/bin/fuse-overlayfs`));
  assert.deepEqual([failed.status, failed.stdout], [125, '']);
  assert.match(failed.stderr, /^error: cannot mount the tree \S+ by fuse-overlayfs: it is broken\n$/);
  assert.equal(upperKind(path), 'kernel', 'it has written nothing');
  assert.equal((await run('echo ok', { upper: accepted })).stderr, '');
  await run('true', { upper: refused });
  const gone = await run('id', { upper: accepted }, missing);
  assert.match(
    gone.stderr,
    /is in the form of fuse-overlayfs, and fuse-overlayfs is not installed\nhint: .*trees reset/,
  );
});

test('the server holds nothing of the caller’s, and ends with the launcher, however that ends', { skip }, async () => {
  const upper = makeUpper().refused;
  const spec = box.spec({
    argv: ['sh', '-c', 'echo up; exec sleep 1000'],
    userns: 'self',
    lower: [own],
    upper,
  });
  const running = box.start(spec, { wrapper: machine.wrapper });
  await running.waitFor('up');
  const [server = 0, ...others] = servers();
  assert.ok(server > 0 && others.length === 0);
  const files = (pid: number) =>
    new Map(readdirSync(`/proc/${pid}/fd`).map((fd) => [Number(fd), readlinkSync(`/proc/${pid}/fd/${fd}`)]));
  const held = files(server);
  assert.deepEqual([held.get(0), held.get(1), held.get(3)], ['/dev/null', '/dev/null', '/dev/fuse']);
  assert.match(held.get(4) ?? '', /\/\.fuse-overlayfs$/);
  // Pipes and sockets by number: libfuse has some of its own.
  const callers = new Set([...files(running.pid).values()].filter((target) => /^(pipe|socket):/.test(target)));
  assert.ok(callers.size >= 3);
  assert.deepEqual(
    [...held].filter(([, target]) => callers.has(target)),
    [],
  );
  for (const name of ['pid', 'mnt', 'user']) {
    const namespace = (pid: number) => readlinkSync(`/proc/${pid}/ns/${name}`);
    assert.equal(namespace(server) === namespace(process.pid), name === 'pid', name);
  }
  running.child.kill('SIGKILL');
  await running.done;
  // One at a time writes to an upper directory, also right after that.
  const next = await run('echo next >> /next; cat /next', { upper });
  assert.deepEqual([next.status, next.stdout], [0, 'next\n'], next.stderr);
  await eventually(() => !isAlive(server), 'the server ends');
});

test('when the server is killed the container ends, and it is said', { skip }, async () => {
  const spec = box.spec({
    argv: ['sh', '-c', 'echo up; read _; echo y > /y && echo alive; exec sleep 1000'],
    userns: 'self',
    lower: [own],
    upper: makeUpper().refused,
  });
  const running = box.start(spec, { wrapper: machine.wrapper, hold: true });
  await running.waitFor('up');
  const [server = 0] = servers();
  assert.ok(server > 0);
  // What a service manager sends to all is not its end before the container's.
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.kill(server, signal);
  running.child.stdin?.write('\n');
  await running.waitFor('alive');
  process.kill(server, 'SIGKILL');
  const { status, stderr } = await running.done;
  assert.equal(status, 137);
  assert.match(stderr, /warning: fuse-overlayfs was ended by signal 9: the container has no files any more/);
});

test('twenty starts and ends leave no process and no mount, and write all', { skip }, async () => {
  const mounts = () => readFileSync('/proc/self/mountinfo', 'utf8').split('\n').length;
  const inside = () =>
    spawnSync(machine.asRoot[0] ?? '', [...machine.asRoot.slice(1), 'cat', '/proc/self/mountinfo'])
      .stdout.toString()
      .split('\n').length;
  const before = [mounts(), inside()];
  const { refused, path } = makeUpper();
  for (let i = 1; i <= 20; i++) {
    const { status, stderr } = await run(`echo ${i} >> /count`, { upper: refused });
    assert.equal(status, 0, stderr);
    assert.deepEqual(servers(), []);
    assert.equal(readFileSync(join(path, 'count'), 'utf8').trim().split('\n').length, i);
  }
  assert.deepEqual([mounts(), inside()], before);
});

test('restarts, notices and times', { skip }, async () => {
  const runDir = join(box.directory, 'own', 'run', 'mine');
  const { refused, path } = makeUpper();
  const supervision = {
    name: 'mine',
    app: 'app',
    generation: 1,
    runDir,
    restart: { policy: 'on-failure', max: 2 },
  } as const;
  const plan = box.planFile(
    box.spec({
      argv: ['sh', '-c', 'echo run >> /runs; exit 3'],
      userns: 'self',
      lower: [own],
      upper: refused,
      supervision,
    }),
  );
  const launcher = join(box.directory, 'bin', 'trees-launch');
  const start = (...flags: string[]) => {
    return spawnSync('env', [...machine.wrapper, launcher, ...flags, plan], { encoding: 'utf8', timeout: 60_000 });
  };
  const first = start();
  assert.equal(first.status, 3, first.stderr);
  assert.match(first.stderr, NOTICE);
  assert.equal(readFileSync(join(path, 'runs'), 'utf8'), 'run\nrun\nrun\n');
  assert.match(readFileSync(join(runDir, 'state'), 'utf8'), /^overlay=fuse-overlayfs$/m);
  const quiet = start('--quiet');
  assert.equal(quiet.stderr, '');
  const timed = start('--quiet', '--explain-time');
  assert.match(
    timed.stderr,
    /us {2}launcher {3}start fuse-overlayfs\n.*us {2}launcher {3}wait until fuse-overlayfs answers/s,
  );
  assert.match(timed.stderr, /us {2}container {2}mount the tree fuse-overlayfs/);
  assert.deepEqual(servers(), []);
});
