import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { missingForContainers } from '../support/rootfs.js';
import { bench, descendants, RANGE } from './support/container.js';

const skip = missingForContainers();
const box = bench();
after(() => box[Symbol.dispose]());

const missingCompiler = (): string | false =>
  spawnSync('cc', ['--version']).status === 0 ? false : 'needs a C compiler (cc)';

const namespaces = ['mnt', 'pid', 'ipc', 'uts', 'cgroup', 'user', 'net'] as const;
const readNamespaces = `for ns in ${namespaces.join(' ')}; do readlink /proc/self/ns/$ns; done`;
const ofHost = namespaces.map((name) => readlinkSync(`/proc/self/ns/${name}`));

test('every namespace differs from the host’s', { skip }, async () => {
  const inside = (await box.sh(readNamespaces)).stdout.trim().split('\n');
  assert.equal(inside.length, namespaces.length);
  for (const [index, name] of namespaces.entries()) assert.notEqual(inside[index], ofHost[index], name);
});

test('--net host shares the network and nothing else; --userns host the user ids and nothing else', {
  skip,
}, async () => {
  const net = (await box.sh(readNamespaces, { net: 'host' })).stdout.trim().split('\n');
  assert.deepEqual(
    net.map((id, index) => id === ofHost[index]),
    [false, false, false, false, false, false, true],
  );
  const user = (await box.sh(readNamespaces, { userns: 'host' })).stdout.trim().split('\n');
  assert.deepEqual(
    user.map((id, index) => id === ofHost[index]),
    [false, false, false, false, false, true, false],
  );
});

test('only the container’s processes are visible', { skip }, async () => {
  const { stdout } = await box.sh('ls /proc | grep -E "^[0-9]+$"');
  const pids = stdout.trim().split('\n').map(Number);
  assert.ok(pids.includes(1));
  assert.ok(pids.length <= 4 && Math.max(...pids) < 20, stdout);
});

test('a network of none has lo, up, and nothing else', { skip }, async () => {
  const { stdout } = await box.sh(
    'ls /sys/class/net; ip addr show lo; ping -c 1 -W 5 127.0.0.1 >/dev/null && echo reachable',
    {
      capabilities: ['NET_RAW'],
    },
  );
  assert.match(stdout, /^lo\n/);
  assert.match(stdout, /LOOPBACK,UP/);
  assert.match(stdout, /reachable\n$/);
  assert.equal(stdout.match(/^\d+: /gm)?.length, 1);
});

test('the host name is the container’s own', { skip }, async () => {
  const before = hostname();
  const { stdout } = await box.sh('hostname; cat /etc/hostname; grep box /etc/hosts', { hostname: 'box' });
  assert.equal(stdout, 'box\nbox\n127.0.0.1\tbox\n');
  const changed = await box.sh('hostname other; hostname', { hostname: 'box', capabilities: ['SYS_ADMIN'] });
  assert.equal(changed.stdout, 'other\n');
  assert.equal(hostname(), before);
  assert.equal((await box.sh('hostname')).stdout.trim(), before);
});

test('user ids: 0 inside is the range’s start outside', { skip }, async () => {
  const running = box.start(box.spec({ argv: ['sh', '-c', 'cat /proc/self/uid_map; sleep 60'], user: 'app' }));
  await running.waitFor(String(RANGE.start));
  assert.match(running.output(), new RegExp(`^\\s+0\\s+${RANGE.start}\\s+65536\\n$`));
  const [init = 0] = descendants(running.pid);
  const [command = 0] = descendants(init);
  const uids = (pid: number): string => /^Uid:\t(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '';
  assert.equal(uids(init), Array(4).fill(RANGE.start).join('\t'));
  assert.equal(
    uids(command),
    Array(4)
      .fill(RANGE.start + 1000)
      .join('\t'),
  );
  running.child.kill('SIGKILL');
  await running.done;
});

test('capabilities: Docker’s by default, exactly what is asked for otherwise', { skip }, async () => {
  const read = async (change: Parameters<typeof box.spec>[0]): Promise<string> => {
    const { stdout } = await box.sh("grep -E '^Cap' /proc/self/status | tr '\\n\\t' '  '", change);
    return stdout.trim();
  };
  const sets = (mask: string): string => {
    const value = mask.padStart(16, '0');
    return `CapInh: ${'0'.repeat(16)} CapPrm: ${value} CapEff: ${value} CapBnd: ${value} CapAmb: ${'0'.repeat(16)}`;
  };
  assert.equal(await read({}), sets('a80425fb'));
  assert.equal(await read({ userns: 'host' }), sets('a80425fb'));
  assert.equal(await read({ capabilities: [] }), sets('0'));
  assert.equal(await read({ capabilities: ['NET_ADMIN', 'CHOWN'] }), sets('1001'));
  const user = await read({ user: 'app' });
  assert.match(user, /CapPrm: 0{16} CapEff: 0{16} CapBnd: 00000000a80425fb/);
});

test('the init needs capabilities of its own even when the command has none', { skip }, async () => {
  const { status, stdout } = await box.sh('id -u; sleep 300 & exit 5', {
    capabilities: [],
    user: 'app',
    stopTimeout: 60,
  });
  assert.deepEqual([status, stdout], [5, '1000\n']);
});

test('no new privileges: a setuid program does not raise', { skip: skip || missingCompiler() }, async () => {
  const source = join(box.directory, 'euid.c');
  writeFileSync(
    source,
    '#include <stdio.h>\n#include <unistd.h>\nint main(void) { printf("%d\\n", (int)geteuid()); }\n',
  );
  const upper = box.persistent();
  execFileSync('cc', ['-static', source, '-o', join(upper.upper, 'euid')]);
  chmodSync(join(upper.upper, 'euid'), 0o4755);
  const script = 'grep NoNewPrivs /proc/self/status; /euid';
  const bounded = await box.sh(script, { upper, user: 'app' });
  assert.equal(bounded.stdout, 'NoNewPrivs:\t1\n1000\n');
  // Without the bit it would have.
  const free = await box.sh(script, { upper, user: 'app', noNewPrivileges: false });
  assert.equal(free.stdout, 'NoNewPrivs:\t0\n0\n');
});

test('/proc: dangerous parts are hidden or read-only', { skip }, async () => {
  for (const userns of [RANGE, 'host'] as const) {
    const { stdout, stderr } = await box.sh(
      `for file in /proc/kcore /proc/keys /proc/timer_list /proc/interrupts; do [ ! -e $file ] || [ $(wc -c < $file) = 0 ] || echo $file shows; done
      for dir in /sys/firmware /proc/acpi /proc/scsi; do [ ! -e $dir ] || [ $(ls $dir | wc -l) = 0 ] || echo $dir shows; done
      for file in /proc/sys/kernel/hostname /proc/sysrq-trigger /proc/irq/default_smp_affinity; do
        [ -e $file ] && (echo x > $file) && echo wrote $file
      done; touch /sys/x`,
      { userns, capabilities: ['SYS_ADMIN', 'DAC_OVERRIDE', 'SYSLOG'] },
    );
    assert.equal(stdout, '', `userns ${JSON.stringify(userns)}`);
    assert.ok((stderr.match(/Read-only file system/g)?.length ?? 0) >= 2, stderr);
  }
});

test('/dev has what programs need and no more', { skip }, async () => {
  const { stdout } = await box.sh(
    'ls /dev | tr "\\n" " "; echo; for l in ptmx fd stdin core; do readlink /dev/$l; done; stat -c "%F %t:%T" /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty',
  );
  const [names, ...rest] = stdout.trim().split('\n');
  assert.equal(names?.trim(), 'core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero');
  assert.deepEqual(rest, [
    'pts/ptmx',
    '/proc/self/fd',
    '/proc/self/fd/0',
    '/proc/kcore',
    ...['1:3', '1:5', '1:7', '1:8', '1:9', '5:0'].map((device) => `character special file ${device}`),
  ]);
});

test('/dev works for a user, is no way to other devices, and has no room to fill', { skip }, async () => {
  const { stdout, stderr } = await box.sh(
    'echo x > /dev/null && head -c 3 /dev/zero | wc -c; mknod /dev/sda b 8 0; mknod /tmp/sda b 8 0 && cat /tmp/sda; dd if=/dev/zero of=/dev/shm/x bs=1k count=1 2>/dev/null && echo shm',
    { user: 'app' },
  );
  assert.equal(stdout, '3\nshm\n');
  assert.equal(stderr.match(/mknod/g)?.length, 2, stderr);
  const root = await box.sh('mknod /tmp/sda b 8 0 && cat /tmp/sda; true', { userns: 'host' });
  assert.match(root.stderr, /mknod|Permission denied|No such device/);
  const terminals = await box.sh('[ -c /dev/pts/ptmx ] && ls /dev/pts');
  assert.equal(terminals.stdout, 'ptmx\n');
});

test('the caller’s open files stay outside', { skip }, async () => {
  const { stdout } = await box.run(box.spec({ argv: ['ls', '/proc/self/fd'] }), {
    wrapper: ['/bin/sh', '-c', 'exec 9</etc/passwd 7>/dev/null; exec "$@"', 'sh'],
  });
  assert.equal(stdout, '0\n1\n2\n3\n');
});

test('streams: stdin, stdout and stderr are the caller’s, byte for byte', { skip }, async () => {
  const bytes = Buffer.alloc(1 << 20, 'trees\0\xff\n', 'latin1');
  const cat = await box.run(box.spec({ argv: ['cat'] }), { input: bytes });
  assert.ok(cat.stdoutBytes.equals(bytes));
  const both = await box.sh('echo out; echo err >&2');
  assert.deepEqual([both.stdout, both.stderr], ['out\n', 'err\n']);
});

test('a reader that goes away ends the writer', { skip }, async () => {
  const running = box.start(box.spec({ argv: ['yes'] }));
  await running.waitFor('y');
  running.child.stdout?.destroy();
  const { status } = await running.done;
  assert.ok(status === 141 || status === 1, `status ${status}`);
});

test('closed standard streams do not become the container’s files', { skip }, async () => {
  const { status, stdout } = await box.run(
    box.spec({ argv: ['sh', '-c', 'readlink /proc/self/fd/0; readlink /proc/self/fd/2'] }),
    {
      wrapper: ['/bin/sh', '-c', 'exec "$@" <&- 2>&-', 'sh'],
    },
  );
  assert.deepEqual([status, stdout], [0, '/dev/null\n/dev/null\n']);
});

test('resource limits are set, and can be raised from outside only', { skip }, async () => {
  const limited = await box.sh('ulimit -Sn; ulimit -Hn', { rlimits: [{ name: 'nofile', soft: 100, hard: 200 }] });
  assert.equal(limited.stdout, '100\n200\n');
  const core = await box.sh('ulimit -Sc; ulimit -Hc', {
    rlimits: [{ name: 'core', soft: 0, hard: Infinity, required: false }],
  });
  assert.match(core.stdout, /^0\n/);
});

test('the working directory is entered as the user', { skip }, async () => {
  const at = await box.sh('pwd', { workdir: '/usr/bin' });
  assert.equal(at.stdout, '/usr/bin\n');
  const upper = box.persistent();
  await box.sh('mkdir -m 700 /private', { upper });
  const closed = await box.sh('pwd', { upper, workdir: '/private', user: 'app' });
  assert.equal(closed.status, 125);
  assert.match(closed.stderr, /working directory \/private: Permission denied/);
});
