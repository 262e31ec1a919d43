import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parseProfile } from '../../trees/run/seccomp/profile.js';
import { missingForContainers } from '../support/rootfs.js';
import { bench } from './support/container.js';
import { compileProbe, missingCompiler } from './support/probe.js';

const skip = missingForContainers() || missingCompiler();
const box = bench();
after(() => box[Symbol.dispose]());

/** Prints what errno each call leaves; 0 when it worked. `%N` in the table is a number of Linux on this machine. */
const probe = skip === false ? compileProbe(box.rootfs, 'seccomp') : '';
const calls = async (change: Parameters<typeof box.spec>[0] = {}): Promise<Record<string, string>> => {
  const { stdout, stderr } = await box.run(box.spec({ argv: [probe], ...change }));
  assert.equal(stderr, '');
  return Object.fromEntries(
    stdout
      .trim()
      .split('\n')
      .map((line): [string, string] => {
        const [name = '', error = ''] = line.split(' ');
        return [name, error];
      }),
  );
};

test('the command runs under the built-in filter, and may not gain privileges', { skip }, async () => {
  const { stdout } = await box.sh('grep -E "^(Seccomp|NoNewPrivs):" /proc/self/status');
  assert.equal(stdout, 'NoNewPrivs:\t1\nSeccomp:\t2\n');
});

test('what reaches beyond the container fails, what does not exist yet is missing', { skip }, async () => {
  const result = await calls();
  for (const name of ['unshare-user', 'clone-user', 'ptrace', 'keyctl', 'add_key', 'bpf', 'kexec_load', 'mount']) {
    assert.equal(result[name], 'EPERM', name);
  }
  for (const name of ['io_uring_setup', 'setns', 'open_by_handle_at', 'userfaultfd', 'perf_event_open', 'swapon']) {
    assert.equal(result[name], 'EPERM', name);
  }
  for (const name of ['clone3', 'open_tree', 'move_mount', 'fsopen', 'mount_setattr', 'call-4000', 'x32-getpid']) {
    assert.equal(result[name], 'ENOSYS', name);
  }
  for (const name of ['socket-vsock', 'socket-alg', 'socket-alg-high']) {
    assert.equal(result[name], 'EAFNOSUPPORT', name);
  }
  for (const name of ['getpid', 'unshare-fs', 'personality-linux', 'socket-unix'])
    assert.equal(result[name], '0', name);
  assert.equal(result['personality-no-randomize'], 'EPERM');
});

test('nobody types into a terminal, whatever the upper half of the request is', { skip }, async () => {
  const result = await calls();
  for (const name of ['tiocsti', 'tiocsti-high', 'tioclinux', 'tioclinux-high']) {
    assert.equal(result[name], 'EPERM', name);
  }
});

test('added capabilities open what belongs to them', { skip }, async () => {
  const result = await calls({ capabilities: ['SYS_ADMIN', 'SYS_PTRACE'] });
  for (const name of ['clone3', 'fsopen', 'ptrace']) assert.notEqual(result[name], 'ENOSYS', name);
  assert.notEqual(result['ptrace'], 'EPERM');
  assert.equal(result['keyctl'], 'EPERM');
});

test('without a filter the kernel decides alone', { skip }, async () => {
  const { stdout } = await box.sh('grep -E "^Seccomp:" /proc/self/status', { security: { seccomp: 'unconfined' } });
  assert.equal(stdout, 'Seccomp:\t0\n');
  const result = await calls({ security: { seccomp: 'unconfined' } });
  assert.equal(
    result['x32-getpid'],
    readFileSync('/proc/cpuinfo', 'utf8') === '' ? '0' : 'ENOSYS',
    'the kernel has none',
  );
  assert.notEqual(result['keyctl'], 'EPERM');
  // Its own limit holds all the same.
  assert.equal(result['unshare-user'], 'ENOSPC');
});

test('nested user namespaces are there when they are asked for', { skip }, async () => {
  const result = await calls({ security: { nestedUserns: true } });
  assert.equal(result['unshare-user'], '0');
});

test('a profile of one’s own is followed: error numbers, arguments, killing', { skip }, async () => {
  const profile = parseProfile(
    JSON.stringify({
      defaultAction: 'SCMP_ACT_ALLOW',
      architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_AARCH64'],
      syscalls: [
        { names: ['getpid'], action: 'SCMP_ACT_ERRNO', errnoRet: 99 },
        {
          names: ['personality'],
          action: 'SCMP_ACT_ERRNO',
          errnoRet: 5,
          args: [{ index: 0, value: 0xff_0000, valueTwo: 0x04_0000, op: 'SCMP_CMP_MASKED_EQ' }],
        },
        { names: ['acct'], action: 'SCMP_ACT_KILL_PROCESS' },
      ],
    }),
    'own.json',
  );
  const result = await calls({ security: { seccomp: profile } });
  assert.deepEqual(
    [result['getpid'], result['personality-linux'], result['personality-no-randomize']],
    ['EADDRNOTAVAIL', '0', 'EIO'],
  );
  const { status } = await box.run(box.spec({ argv: [probe, 'acct'], security: { seccomp: profile } }));
  assert.equal(status, 128 + 31, 'SIGSYS');
});

test('a filter holds without no-new-privileges, and setuid programs work then', { skip }, async () => {
  const { stdout } = await box.run(
    box.spec({
      argv: ['sh', '-c', 'grep -E "^(Seccomp|NoNewPrivs):" /proc/self/status'],
      noNewPrivileges: false,
      user: '1000',
    }),
  );
  assert.equal(stdout, 'NoNewPrivs:\t0\nSeccomp:\t2\n');
  const result = await calls({ noNewPrivileges: false });
  assert.equal(result['ptrace'], 'EPERM');
});

test('32-bit programs run under the filter, by their own numbers; a profile that does not name them kills them', {
  skip,
}, async (t) => {
  const program = join(box.rootfs, 'bin/small');
  const source = join(box.directory, 'small.c');
  // Exits with the error number of mount (21 there; lstat is 21 on x86-64), keyctl (288) and socketcall (102).
  writeFileSync(
    source,
    `static int call(int number) {
       int result;
       __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(0), "c"(0), "d"(0), "S"(0), "D"(0) : "memory");
       return -result;
     }
     void _start(void) {
       int status = call(21) == 1 && call(288) == 1 && call(102) == 38 && call(20) < 0 ? 42 : 1;
       __asm__ volatile("int $0x80" : : "a"(1), "b"(status));
     }
`,
  );
  const built = spawnSync('cc', ['-m32', '-nostdlib', '-static', '-o', program, source]);
  if (built.status !== 0) {
    t.skip('needs a compiler for 32-bit programs');
    return;
  }
  assert.equal((await box.run(['/bin/small'])).status, 42);
  const architectures = ['SCMP_ARCH_X86_64'];
  const profile = parseProfile(JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', architectures }), 'wide.json');
  const killed = await box.run(box.spec({ argv: ['/bin/small'], security: { seccomp: profile } }));
  assert.equal(killed.status, 128 + 31, 'SIGSYS');
});
