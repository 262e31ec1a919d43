import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { ContainerSpec } from '../../trees/run/container.js';
import { makeRootfs, missingForContainers } from '../support/rootfs.js';
import { bench, RANGE } from './support/container.js';

const skip = missingForContainers();
const box = bench();
after(() => box[Symbol.dispose]());

const modes: Readonly<Record<string, Partial<ContainerSpec>>> = {
  'own ids': { userns: RANGE },
  'host ids': { userns: 'host' },
};

/** Everything about a tree that a container could change. */
function fingerprint(root: string): string {
  const hash = createHash('sha256');
  const walk = (directory: string): void => {
    for (const name of readdirSync(directory).sort()) {
      const path = join(directory, name);
      const status = statSync(path, { throwIfNoEntry: false });
      hash.update(
        `${path} ${status?.mode} ${status?.uid} ${status?.gid} ${status?.size} ${status?.nlink} ${status?.mtimeMs}\n`,
      );
      if (status?.isFile() === true) hash.update(readFileSync(path));
      else if (status?.isDirectory() === true) walk(path);
    }
  };
  walk(root);
  return hash.digest('hex');
}

const vandalism =
  'echo changed > /etc/marker; chmod 777 /etc/passwd; chown 1000 /bin/busybox; rm -r /home; touch /new; ' +
  'mv /etc/group /etc/group2; echo more >> /bin/busybox; mkdir -p /usr/bin/sub; ln /etc/notexec /etc/linked; cat /etc/marker';

for (const [mode, change] of Object.entries(modes)) {
  for (const kind of ['ephemeral', 'persistent', 'readonly'] as const) {
    test(`nothing changes the tree itself (${mode}, ${kind})`, { skip }, async () => {
      const before = fingerprint(box.rootfs);
      const upper = kind === 'persistent' ? box.persistent() : { kind };
      const { stdout } = await box.sh(vandalism, { ...change, upper });
      assert.equal(stdout, kind === 'readonly' ? 'original\n' : 'changed\n');
      assert.equal(fingerprint(box.rootfs), before);
    });
  }

  test(`what is written is kept or forgotten as asked (${mode})`, { skip }, async () => {
    const upper = box.persistent();
    await box.sh('echo kept > /kept; rm /etc/marker; chown 1000:1000 /kept', { ...change, upper });
    const kept = await box.sh('cat /kept; stat -c %u:%g /kept; ls /etc/marker', { ...change, upper });
    assert.match(kept.stdout, /^kept\n1000:1000\n$/);
    assert.match(kept.stderr, /No such file/);
    // On disk the ids are those inside, whatever range the container has.
    assert.deepEqual([statSync(join(upper.upper, 'kept')).uid, statSync(upper.upper).uid], [1000, 0]);
    await box.sh('echo gone > /gone', change);
    assert.equal((await box.sh('cat /gone', change)).stdout, '');
  });
}

test('files keep their owners when the range changes', { skip }, async () => {
  const upper = box.persistent();
  await box.sh('touch /mine; chown 1000 /mine', { upper });
  const other = { start: RANGE.start - 65_536, count: 65_536 };
  const { stdout } = await box.sh('stat -c %u /mine /etc/passwd', { upper, userns: other });
  assert.equal(stdout, '1000\n0\n');
});

test('several layers: the topmost wins', { skip }, async () => {
  const layer = join(box.directory, 'layer');
  mkdirSync(join(layer, 'etc'), { recursive: true });
  writeFileSync(join(layer, 'etc/marker'), 'layered\n');
  const { stdout } = await box.sh('cat /etc/marker; head -c 4 /etc/passwd', { lower: [layer, box.rootfs] });
  assert.equal(stdout, 'layered\nroot');
});

test('a read-only root says so; tmpfs and /dev/shm are writable', { skip }, async () => {
  const { status, stdout, stderr } = await box.sh('touch /run/ok /dev/shm/ok && echo ok; echo x > /x', {
    upper: { kind: 'readonly' },
    mounts: [{ kind: 'tmpfs', target: '/run' }],
  });
  assert.notEqual(status, 0);
  assert.equal(stdout, 'ok\n');
  assert.match(stderr, /Read-only file system/);
});

test('mount points missing in a read-only tree are made outside of it', { skip }, async () => {
  const bare = makeRootfs(mkdtempSync(join(box.directory, 'bare-')));
  for (const name of ['proc', 'sys', 'dev']) rmdirSync(join(bare, name));
  const { status } = await box.sh('[ -d /proc/1 ] && [ -c /dev/null ] && [ -d /mnt/a/b ]', {
    lower: [bare],
    upper: { kind: 'readonly' },
    mounts: [{ kind: 'tmpfs', target: '/mnt/a/b' }],
  });
  assert.equal(status, 0);
  assert.equal(existsSync(join(bare, 'proc')), false);
});

test('bind mounts: writable both ways with the owners of the disk; read-only with all below', { skip }, async () => {
  const source = mkdtempSync(join(box.directory, 'bind-'));
  writeFileSync(join(source, 'in'), 'from host\n');
  chmodSync(source, 0o755);
  const mount = { kind: 'bind', source, target: '/mnt/data' } as const;
  const { stdout } = await box.sh('cat /mnt/data/in; echo from container > /mnt/data/out; stat -c %u /mnt/data/in', {
    mounts: [mount],
  });
  assert.equal(stdout, 'from host\n0\n');
  assert.equal(readFileSync(join(source, 'out'), 'utf8'), 'from container\n');
  assert.equal(statSync(join(source, 'out')).uid, 0);
  const plain = await box.sh('stat -c %u /mnt/data/in', { mounts: [{ ...mount, idmap: false }] });
  assert.equal(plain.stdout, '65534\n');

  // With a file system mounted below the source, in a mount namespace that ends with the test.
  mkdirSync(join(source, 'sub'));
  const plan = box.planFile(
    box.spec({
      argv: ['sh', '-c', 'ls /mnt/data/sub; touch /mnt/data/x; touch /mnt/data/sub/x'],
      mounts: [{ ...mount, readOnly: true, idmap: false }],
    }),
  );
  const { launcherPath } = await import('../../trees/run/exec-launcher.js');
  const nested = spawnSync(
    'unshare',
    [
      '-m',
      'sh',
      '-c',
      'mount -t tmpfs t "$1/sub" && touch "$1/sub/there" && exec "$2" "$3"',
      'sh',
      source,
      launcherPath(),
      plan,
    ],
    { encoding: 'utf8' },
  );
  assert.equal(nested.stdout, 'there\n');
  assert.equal(nested.stderr.match(/Read-only file system/g)?.length, 2, nested.stderr);
});

test('a file can be bound, and a mount point is made for it', { skip }, async () => {
  const source = join(box.directory, 'one-file');
  writeFileSync(source, 'content\n');
  const { stdout } = await box.sh('cat /opt/deep/file; ls -d /opt/deep', {
    mounts: [{ kind: 'bind', source, target: '/opt/deep/file', readOnly: true }],
  });
  assert.equal(stdout, 'content\n/opt/deep\n');
});

test('tmpfs: mode and size hold', { skip }, async () => {
  const { stdout } = await box.sh(
    'stat -c %a /a; stat -c %a /b; df -k /b | tail -1 | tr -s " " | cut -d" " -f2; dd if=/dev/zero of=/b/x bs=1k count=2000 2>/dev/null || echo full',
    {
      mounts: [
        { kind: 'tmpfs', target: '/a' },
        { kind: 'tmpfs', target: '/b', size: 1 << 20, mode: 0o750 },
      ],
    },
  );
  assert.equal(stdout, '1777\n750\n1024\nfull\n');
});

test('the size of an upper directory in memory holds', { skip }, async () => {
  const { stdout } = await box.sh('dd if=/dev/zero of=/x bs=1k count=3000 2>/dev/null || echo full', {
    upper: { kind: 'ephemeral', size: 2 << 20 },
  });
  assert.equal(stdout, 'full\n');
});

for (const name of ['proc', 'dev', 'sys']) {
  test(`a tree whose /${name} is a symlink is refused and nothing is touched`, { skip }, async () => {
    const hostile = makeRootfs(mkdtempSync(join(box.directory, 'hostile-')));
    const trap = mkdtempSync(join(box.directory, 'trap-'));
    rmSync(join(hostile, name), { recursive: true });
    symlinkSync(trap, join(hostile, name));
    for (const userns of [RANGE, 'host'] as const) {
      const { status, stderr } = await box.sh('echo ran', { lower: [hostile], userns });
      assert.equal(status, 125);
      assert.match(stderr, new RegExp(`^error: refused: /${name}\\S* in the tree is a symbolic link`));
    }
    assert.deepEqual(readdirSync(trap), []);
    assert.deepEqual(leakedMounts(), []);
  });
}

test('a bind target behind a symlink lands inside the tree, never on the host', { skip }, async () => {
  const hostile = makeRootfs(mkdtempSync(join(box.directory, 'hostile-')));
  const outside = mkdtempSync(join(box.directory, 'outside-'));
  symlinkSync(outside, join(hostile, 'absolute'));
  symlinkSync('../../../../../../../../../../..' + outside, join(hostile, 'relative'));
  symlinkSync('/proc/1/root' + outside, join(hostile, 'magic'));
  const source = mkdtempSync(join(box.directory, 'source-'));
  writeFileSync(join(source, 'file'), 'bound\n');
  for (const link of ['absolute', 'relative']) {
    for (const target of [`/${link}`, `/${link}/sub/dir`]) {
      const { status, stdout, stderr } = await box.sh(
        `cat ${target}/file; cat ${outside}/file ${outside}/sub/dir/file 2>/dev/null`,
        {
          lower: [hostile],
          userns: 'host',
          mounts: [{ kind: 'bind', source, target }],
        },
      );
      assert.match(stdout, /^bound\nbound\n$/, `${target}: ${status} ${stderr}`);
    }
  }
  const magic = await box.sh('true', {
    lower: [hostile],
    userns: 'host',
    mounts: [{ kind: 'bind', source, target: '/magic' }],
  });
  assert.equal(magic.status === 0 || magic.status === 125, true);
  assert.deepEqual(readdirSync(outside), []);
});

test('a passwd that is a FIFO, a device or a way out does not hang or leak', { skip }, async () => {
  const hostile = makeRootfs(mkdtempSync(join(box.directory, 'hostile-')));
  const passwd = join(hostile, 'etc/passwd');
  for (const make of [
    () => spawnSync('mkfifo', [passwd]),
    () => symlinkSync('/dev/zero', passwd),
    () => symlinkSync('/proc/self/fd/0', passwd),
    () => mkdirSync(passwd),
  ]) {
    rmSync(passwd, { recursive: true, force: true });
    make();
    const { status, stderr } = await box.sh('echo ran', { lower: [hostile], user: 'app' });
    assert.equal(status, 125);
    assert.match(stderr, /cannot find the user app/);
  }
});

/** Host mounts that a container of this file may have made; other programs mount and unmount meanwhile. */
function leakedMounts(): string[] {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return lines.filter((line) => line.includes(box.directory) || / - tmpfs (t|seen-from-inside) /.test(line));
}

test('100 containers leave no mount and no process on the host', { skip }, async () => {
  const source = mkdtempSync(join(box.directory, 'bind-'));
  // No other test's containers have these ids.
  const range = { ...RANGE, start: RANGE.start - 4 * RANGE.count };
  const container = box.spec({
    userns: range,
    argv: ['sh', '-c', 'mount -t tmpfs t /tmp; sleep 100 & setsid sleep 100 & exit 0'],
    mounts: [{ kind: 'bind', source, target: '/mnt/x' }],
    capabilities: ['SYS_ADMIN'],
    upper: box.persistent(),
  });
  for (let i = 0; i < 100; i += 10) {
    const uppers = Array.from({ length: 10 }, () => box.run({ ...container, upper: box.persistent() }));
    for (const { status } of await Promise.all(uppers)) assert.equal(status, 0);
  }
  assert.deepEqual(leakedMounts(), []);
  const left = readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return new RegExp(`^\\s*0\\s+${range.start}\\s`).test(readFileSync(`/proc/${pid}/uid_map`, 'utf8'));
    } catch {
      return false;
    }
  });
  assert.deepEqual(left, []);
});

test('what is mounted inside is never seen outside, not even while it runs', { skip }, async () => {
  const running = box.start(
    box.spec({
      argv: [
        'sh',
        '-c',
        'mkdir /m; mount -t tmpfs seen-from-inside /m && grep -c seen-from /proc/self/mountinfo; echo up; sleep 60',
      ],
      capabilities: ['SYS_ADMIN'],
    }),
  );
  await running.waitFor('1\nup');
  assert.deepEqual(leakedMounts(), []);
  running.child.kill('SIGKILL');
  await running.done;
});
