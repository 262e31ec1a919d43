import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { sysctlProblem } from '../../trees/run/compile-security.js';
import { launcherPath } from '../../trees/run/exec-launcher.js';
import { missingForContainers } from '../support/rootfs.js';
import { bench } from './support/container.js';
import { compileProbe, missingCompiler } from './support/probe.js';

const skip = missingForContainers();
const box = bench();
after(() => box[Symbol.dispose]());

/** The kernel's own answer: with none, creating a rule set is no system call, or not supported. */
const noLandlock = ((): string | false => {
  if (skip !== false) return skip;
  const { status, stderr } = spawnSync(launcherPath(), [
    box.planFile(box.spec({ argv: ['true'], security: { landlock: { read: [], write: ['/'] } } })),
  ]);
  return status === 125 && stderr.includes('no Landlock') ? 'needs Landlock in the kernel' : false;
})();

test('Landlock: only listed directories can be written, even where mounts are writable', {
  skip: skip || noLandlock,
}, async () => {
  const source = mkdtempSync(join(box.directory, 'bind-'));
  writeFileSync(join(source, 'file'), 'x');
  const { stdout, stderr } = await box.sh(
    'echo y >> /mnt/x/file; rm /mnt/x/file; mv /mnt/x/file /tmp/f; > /mnt/x/new; echo ok > /tmp/new && cat /tmp/new; echo null > /dev/null && cat /mnt/x/file',
    { mounts: [{ kind: 'bind', source, target: '/mnt/x' }], security: { landlock: { read: [], write: ['/tmp'] } } },
  );
  assert.equal(stdout, 'ok\nx');
  assert.equal(stderr.match(/Permission denied/g)?.length, 4, stderr);
});

test('Landlock: with directories to read, nothing else can be read or executed', {
  skip: skip || noLandlock,
}, async () => {
  const security = { landlock: { read: ['/bin'], write: ['/tmp'] } };
  const { stdout, stderr } = await box.sh(
    'cat /etc/passwd; ls /; echo > /bin/x; cp /bin/busybox /tmp/b 2>/dev/null; echo end',
    { security },
  );
  assert.equal(stdout, 'end\n');
  assert.match(stderr, /passwd.*: Permission denied/);
  const missing = await box.sh('true', { security: { landlock: { read: ['/none'], write: [] } } });
  assert.equal(missing.status, 125);
  assert.match(missing.stderr, /cannot allow access to \/none: No such file/);
});

test('kernel settings of the container’s own namespaces are set, those of the host are not', { skip }, async () => {
  const before = readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'utf8');
  const { stdout, stderr } = await box.sh(
    'cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/msgmax; echo 5 > /proc/sys/kernel/msgmax',
    { security: { sysctls: { 'net.ipv4.ip_unprivileged_port_start': '80', 'kernel.msgmax': '4321' } }, userns: 'host' },
  );
  assert.equal(stdout, '80\n4321\n');
  assert.match(stderr, /Read-only file system/);
  assert.equal(readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'utf8'), before);
  const failed = await box.sh('true', { security: { sysctls: { 'net.none': '1' } } });
  assert.equal(failed.status, 125);
  assert.match(failed.stderr, /cannot set the kernel setting net\/none to 1: No such file/);
});

test('settings that are the host’s, or that share its namespace, are refused by name', () => {
  assert.match(sysctlProblem('kernel.panic', {}, 'none') ?? '', /not separate/);
  assert.match(sysctlProblem('vm.swappiness', {}, 'none') ?? '', /not separate/);
  assert.match(sysctlProblem('net.ipv4.ip_forward', {}, 'host') ?? '', /network is the host/);
  assert.match(sysctlProblem('kernel.msgmax', { share: ['ipc'] }, 'none') ?? '', /IPC/);
  assert.match(sysctlProblem('net.ipv4/../../kernel.panic', {}, 'none') ?? '', /no name/);
  assert.equal(sysctlProblem('net.ipv4.conf.eth0/1.forwarding', {}, 'none'), undefined);
});

test('namespaces that are shared are the host’s, with what belongs to them', { skip }, async () => {
  const { stdout } = await box.sh(
    'for n in ipc uts cgroup mnt pid; do readlink /proc/self/ns/$n; done; hostname; ls -d /dev/shm',
    { security: { share: ['ipc', 'uts', 'cgroup'] }, hostname: 'ignored' },
  );
  const lines = stdout.trim().split('\n');
  const host = ['ipc', 'uts', 'cgroup', 'mnt', 'pid'].map((name) => readlinkSync(`/proc/self/ns/${name}`));
  assert.deepEqual(
    host.map((id, index) => id === lines[index]),
    [true, true, true, false, false],
  );
  assert.deepEqual(lines.slice(5), [hostname(), '/dev/shm']);
});

test('clocks apart from the host’s', { skip }, async () => {
  const { stdout } = await box.sh('cut -d. -f1 /proc/uptime', {
    security: { clocks: { monotonic: 0, boottime: 864_000 } },
  });
  const host = Number(readFileSync('/proc/uptime', 'utf8').split('.')[0]);
  assert.ok(Number(stdout) >= host + 863_990, `${stdout.trim()} against ${host}`);
});

test('umask, supplementary groups, score for running out of memory, size of /dev/shm', { skip }, async () => {
  const { stdout } = await box.sh(
    'umask; id -G; cat /proc/self/oom_score_adj; df -k /dev/shm | tail -1 | tr -s " " | cut -d" " -f2',
    {
      user: 'app',
      security: { umask: 0o27, groups: ['other', '4321'], oomScoreAdj: 321, shmSize: 1 << 20 },
    },
  );
  assert.equal(stdout, '0027\n1000 2000 2001 4321\n321\n1024\n');
  const unknown = await box.sh('true', { security: { groups: ['nobody-knows'] } });
  assert.equal(unknown.status, 125);
  assert.match(unknown.stderr, /cannot find the group nobody-knows/);
});

test('more is hidden, or less, and other people’s processes are', { skip }, async () => {
  const hidden = await box.sh('cat /proc/version; ls /etc', { security: { mask: ['/proc/version', '/etc'] } });
  assert.equal(hidden.stdout, '');
  const shown = await box.sh('echo x > /proc/sys/kernel/hostname && hostname', {
    userns: 'host',
    security: { unmask: 'all' },
  });
  assert.match(shown.stdout, /x\n$/);
  const own = await box.sh('ls /proc | grep -cE "^[0-9]+$"; ls /proc/1 2>&1 | head -1', {
    user: 'app',
    security: { procOptions: ['hidepid=invisible'] },
  });
  assert.match(own.stdout, /No such file/);
});

test('a device of the host is there when asked for, and not otherwise', { skip }, async () => {
  const script = 'head -c1 /dev/loop-control 2>&1; [ -c /dev/fresh ] && echo there';
  assert.doesNotMatch((await box.sh(script)).stdout, /there/);
  const { stdout, stderr } = await box.sh('head -c 4 /dev/fresh | wc -c', {
    security: { devices: [{ source: '/dev/urandom', target: '/dev/fresh' }] },
  });
  assert.equal(stdout.trim(), '4', stderr);
});

test('names: hosts and name servers inside, the host’s own files untouched', { skip }, async () => {
  const before = ['/etc/hosts', '/etc/hostname', '/etc/resolv.conf'].map((path) =>
    spawnSync('stat', ['-c', '%Y %s %i', path]).stdout.toString(),
  );
  const { stdout } = await box.sh(
    'cat /etc/hosts /etc/resolv.conf; echo mine > /etc/hosts; echo mine > /etc/resolv.conf; cat /etc/hosts',
    {
      hostname: 'box',
      security: {
        names: {
          hosts: [{ address: '192.0.2.9', name: 'elsewhere' }],
          servers: ['192.0.2.1', '2001:db8::1'],
          search: ['example.org'],
          options: ['ndots:2'],
        },
      },
    },
  );
  assert.match(stdout, /^127\.0\.0\.1\tlocalhost\n.*127\.0\.0\.1\tbox\n192\.0\.2\.9\telsewhere\n/s);
  assert.match(
    stdout,
    /\nsearch example\.org\nnameserver 192\.0\.2\.1\nnameserver 2001:db8::1\noptions ndots:2\nmine\n$/,
  );
  const now = ['/etc/hosts', '/etc/hostname', '/etc/resolv.conf'].map((path) =>
    spawnSync('stat', ['-c', '%Y %s %i', path]).stdout.toString(),
  );
  assert.deepEqual(now, before);
});

test('the session keyring is not the caller’s', { skip: skip || missingCompiler() }, async () => {
  const probe = compileProbe(box.rootfs, 'keyring');
  const own = spawnSync(join(box.rootfs, probe), { encoding: 'utf8' }).stdout;
  const inside = async (change: object) =>
    (await box.run(box.spec({ argv: [probe], userns: 'host', security: { seccomp: 'unconfined', ...change } }))).stdout;
  assert.match(await inside({}), /^\d+\n$/);
  assert.notEqual(await inside({}), own);
  assert.notEqual(await inside({}), await inside({}));
});

test('nested user namespaces are limited by the kernel, too', { skip }, async () => {
  const { stdout } = await box.sh('cat /proc/sys/user/max_user_namespaces', {});
  assert.equal(stdout, '0\n');
  const allowed = await box.sh('cat /proc/sys/user/max_user_namespaces', { security: { nestedUserns: true } });
  assert.notEqual(allowed.stdout, '0\n');
});
