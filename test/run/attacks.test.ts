import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import type { ContainerSpec } from '../../trees/run/container.js';
import { launcherPath } from '../../trees/run/exec-launcher.js';
import { makeRootfs, missingForContainers } from '../support/rootfs.js';
import { bench, descendants, RANGE } from './support/container.js';
import { compileProbe, missingCompiler } from './support/probe.js';

// Ways out of containers that others have had, each one tried. What programs can do with terminals, user namespaces and
// system calls is in seccomp.test.ts; hostile mount points are in mounts.test.ts, users of exec in exec.test.ts.

const skip = missingForContainers();
const box = bench();
after(() => box[Symbol.dispose]());

const everything = { capabilities: ['SYS_ADMIN', 'SYS_PTRACE', 'DAC_OVERRIDE', 'MKNOD'] } as const;
const unconfined = { security: { seccomp: 'unconfined', nestedUserns: true } } as const;
/** In a mount namespace of its own, whose mounts are all shared, as on a machine that systemd started. */
const inSharedMounts = (script: string, ...words: string[]) =>
  spawnSync('unshare', ['-m', '--propagation', 'shared', 'sh', '-c', script, 'sh', ...words], { encoding: 'utf8' });

test('the program of PID 1 cannot be overwritten, nor can what later containers start from', {
  skip: skip || missingCompiler(),
}, async () => {
  const programs = ['trees-launch', 'trees-init'].map((name) => join(dirname(launcherPath()), name));
  const digest = (): string[] => programs.map((path) => createHash('sha256').update(readFileSync(path)).digest('hex'));
  const before = digest();
  const probe = compileProbe(box.rootfs, 'overwrite');
  // As the command, and as the interpreter of a script that leads back to the program that executes it.
  writeFileSync(join(box.rootfs, 'bin/back'), '#!/proc/self/exe\n', { mode: 0o755 });
  for (const userns of [RANGE, 'host'] as const) {
    const { stdout } = await box.sh(`(while :; do /bin/back; done) >/dev/null 2>&1 & ${probe}`, {
      userns,
      ...everything,
      ...unconfined,
      stopTimeout: 0,
    });
    assert.match(stdout, /^tried [1-9]\d*\n$/, 'nothing was writable');
  }
  assert.deepEqual(digest(), before);
});

test('the program of PID 1 is on a read-only mount, or a sealed copy where the container could write to it', {
  skip,
}, async () => {
  // A copy: what others start from cannot be written to meanwhile for that reason alone.
  const wrapper = ['/usr/bin/env'];
  await box.sh('true', {}, { wrapper });
  const file = statSync(join(box.directory, 'bin/trees-init'));
  const O_PATH = 0o10000000;
  const reopened = async (userns: ContainerSpec['userns']) => {
    const argv = ['sh', '-c', 'echo started; sleep 600'];
    const running = box.start(box.spec({ userns, argv, stopTimeout: 0 }), { wrapper });
    await running.waitFor('started');
    const [init] = descendants(running.pid);
    // As the host's root, who may do anything but write to what is mounted read-only or sealed.
    const held = openSync(`/proc/${init}/exe`, O_PATH);
    running.child.kill('SIGTERM');
    await running.done;
    const { ino, dev } = fstatSync(held);
    const own = ino === file.ino && dev === file.dev;
    try {
      const fd = openSync(`/proc/self/fd/${held}`, 'r+');
      try {
        writeSync(fd, '#!');
      } finally {
        closeSync(fd);
      }
      return [own, 'written'];
    } catch (error) {
      return [own, error instanceof Error && 'code' in error ? error.code : String(error)];
    } finally {
      closeSync(held);
    }
  };
  assert.deepEqual(await reopened(RANGE), [true, 'EROFS']);
  const identity = [{ inside: 0, outside: 0, count: 65_536 }];
  for (const userns of ['host', { uid: identity, gid: identity }] as const) {
    assert.deepEqual(await reopened(userns), [false, 'EPERM'], JSON.stringify(userns));
  }
});

test('no directory of the host is reached through the working directory', { skip }, async () => {
  for (let fd = 3; fd < 14; fd++) {
    for (const workdir of [`/proc/self/fd/${fd}`, `/proc/1/fd/${fd}`]) {
      const { status, stdout } = await box.sh('ls', { workdir, userns: 'host', ...everything });
      assert.deepEqual([status, stdout], [125, ''], workdir);
    }
  }
});

test('links in the tree do not lead what trees writes out of it', { skip }, async () => {
  const hostile = makeRootfs(mkdtempSync(join(box.directory, 'hostile-')));
  const trap = mkdtempSync(join(box.directory, 'trap-'));
  for (const name of ['hosts', 'hostname', 'resolv.conf']) symlinkSync(join(trap, name), join(hostile, 'etc', name));
  const { status, stderr } = await box.sh('true', {
    lower: [hostile],
    hostname: 'hostile',
    userns: 'host',
    security: { names: { servers: ['192.0.2.1'] } },
  });
  assert.deepEqual([status, stderr], [0, '']);
  assert.deepEqual(readdirSync(trap), []);
  rmSync(join(hostile, 'etc'), { recursive: true });
  symlinkSync(trap, join(hostile, 'etc'));
  await box.sh('true', { lower: [hostile], hostname: 'hostile', userns: 'host' });
  assert.deepEqual(readdirSync(trap), []);
});

test('links in the tree do not lead mounts into the kernel’s files', { skip }, async () => {
  const hostile = makeRootfs(mkdtempSync(join(box.directory, 'hostile-')));
  symlinkSync('/proc/self/attr', join(hostile, 'data'));
  symlinkSync('/proc', join(hostile, 'p'));
  symlinkSync('/sys', join(hostile, 's'));
  const source = mkdtempSync(join(box.directory, 'source-'));
  for (const target of ['/data', '/p/sys', '/p/1', '/s/kernel']) {
    const { status, stderr } = await box.sh('echo ran', {
      lower: [hostile],
      mounts: [{ kind: 'bind', source, target }],
    });
    assert.equal(status, 125, target);
    assert.match(stderr, /refused: the mount point \S+ leads into \/proc or \/sys|cannot (open|make) the mount point/);
  }
});

test('a host whose /dev/null is another file hides nothing with it', { skip }, () => {
  const plan = box.planFile(box.spec({ argv: ['echo', 'ran'] }));
  const { status, stdout, stderr } = inSharedMounts(
    'echo secret > "$1" && mount --bind "$1" /dev/null && exec "$2" "$3"',
    join(box.directory, 'not-null'),
    launcherPath(),
    plan,
  );
  assert.deepEqual([status, stdout], [125, '']);
  assert.match(stderr, /refused: \/dev\/null is not the character device 1:3/);
});

test('the host’s device nodes keep mode and owner, whoever root inside is', { skip }, async () => {
  const before = statSync('/dev/null');
  const { stdout } = await box.sh(
    'chmod 600 /dev/null; chown 1:1 /dev/null; touch -d @0 /dev/null; echo done >/dev/null; echo $?',
    {
      userns: 'host',
    },
  );
  assert.equal(stdout, '0\n', 'it can be written to all the same');
  const now = statSync('/dev/null');
  assert.deepEqual([now.mode, now.uid, now.gid, now.mtimeMs], [before.mode, before.uid, before.gid, before.mtimeMs]);
});

test('no release_agent: control groups are not there, and cannot be mounted', { skip }, async () => {
  const script =
    'ls /sys/fs/cgroup 2>/dev/null; mkdir -p /c; ' +
    'for type in cgroup cgroup2; do mount -t $type none /c && echo mounted $type; done; ' +
    'mount -t cgroup -o memory none /c && echo mounted memory; find / -xdev -name release_agent 2>/dev/null';
  assert.equal((await box.sh(script)).stdout, '');
  // With all that an own user namespace can give, where it shows the container's own part.
  const { stdout, stderr } = await box.sh(
    'mkdir /c; mount -t cgroup -o memory none /c || mount -t cgroup2 none /c; echo /tmp/x > /c/release_agent && echo written',
    { ...everything, ...unconfined },
  );
  assert.equal(stdout, '', stderr);
});

test('capabilities of the caller do not come along, inheritable and ambient ones either', { skip }, async () => {
  const wrapper = ['setpriv', '--inh-caps', '+net_admin,+sys_admin', '--ambient-caps', '+net_admin', '--'];
  const script = 'grep -E "^Cap" /proc/self/status';
  const { stdout, stderr } = await box.sh(script, { userns: 'host' }, { wrapper });
  assert.equal(
    stdout,
    `CapInh:\t${'0'.repeat(16)}\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\n` +
      `CapAmb:\t${'0'.repeat(16)}\n`,
    stderr,
  );
});

test('what is mounted below a bind stays inside, and what the host mounts later stays outside', { skip }, () => {
  const source = mkdtempSync(join(box.directory, 'bind-'));
  mkdirSync(join(source, 'inside'));
  const container = {
    argv: ['sh', '-c', 'mount -t tmpfs seen /mnt/x/inside && grep -c " seen " /proc/self/mountinfo'],
    ...everything,
    mounts: [{ kind: 'bind', source, target: '/mnt/x' }],
  } as const;
  for (const userns of [RANGE, 'host'] as const) {
    const plan = box.planFile(box.spec({ ...container, userns }));
    const { stdout, stderr } = inSharedMounts('"$1" "$2"; grep -c " seen " /proc/self/mountinfo', launcherPath(), plan);
    assert.equal(stdout, '1\n0\n', stderr);
  }
});

test('a slave bind sees what the host mounts later, a private one does not', { skip }, () => {
  const source = mkdtempSync(join(box.directory, 'bind-'));
  mkdirSync(join(source, 'later'));
  for (const [propagation, seen] of [
    ['slave', '1'],
    ['private', '0'],
  ] as const) {
    const plan = box.planFile(
      box.spec({
        argv: ['sh', '-c', 'echo up; read go; grep -c " later-tmpfs " /proc/self/mountinfo'],
        userns: 'host',
        mounts: [{ kind: 'bind', source, target: '/mnt/x', propagation }],
      }),
    );
    const fifo = join(box.directory, `fifo-${propagation}`);
    const { stdout, stderr } = inSharedMounts(
      'mkfifo "$4" && { "$1" "$2" < "$4" & } && exec 8> "$4" && sleep 0.5 && mount -t tmpfs later-tmpfs "$3/later" && echo go >&8; wait',
      launcherPath(),
      plan,
      source,
      fifo,
    );
    assert.equal(stdout, `up\n${seen}\n`, stderr);
  }
});

test('a device node that the container makes, or brings along, opens nothing', { skip }, async () => {
  const { stdout } = await box.sh(
    'mknod /tmp/disk b 8 0 2>/dev/null && head -c1 /tmp/disk && echo read; mknod /tmp/mem c 1 1 2>/dev/null && head -c1 /tmp/mem && echo read; echo end',
    { capabilities: ['MKNOD', 'DAC_OVERRIDE'], userns: 'host' },
  );
  assert.equal(stdout, 'end\n');
});

test('the host’s paths are not told to the container', { skip }, async () => {
  const { stdout } = await box.sh(
    'cat /proc/1/environ /proc/1/cmdline /proc/1/maps /proc/1/cwd/etc/marker /proc/self/mountinfo 2>/dev/null; ls -l /proc/1/fd /proc/1/map_files',
  );
  assert.equal(stdout.includes(box.directory), false, stdout);
});
