import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Capability, defaultCapabilities } from '../../trees/run/capabilities.js';
import { builtInProfile, filterFor, packFilter } from '../../trees/run/seccomp/built-in.js';
import { builtInFilters } from '../../trees/run/seccomp/built-in-filters.js';
import { compileFilter } from '../../trees/run/seccomp/filter.js';
import { interpret } from '../../trees/run/seccomp/interpret.js';
import { parseProfile, type SeccompProfile } from '../../trees/run/seccomp/profile.js';
import {
  ALLOW,
  call,
  EAFNOSUPPORT,
  ENOSYS,
  EPERM,
  errno,
  i386,
  KILL_PROCESS,
  machine,
  place,
  x86,
} from '../support/seccomp.js';

describe('the built-in profile', () => {
  const program = compileFilter(builtInProfile(), place());

  it('lets everyday system calls through', () => {
    for (const name of ['read', 'write', 'openat', 'execve', 'mmap', 'futex', 'epoll_wait', 'statx', 'clock_gettime']) {
      assert.equal(call(program, name), ALLOW, name);
    }
  });

  it('forbids what reaches beyond a container, and says so', () => {
    const forbidden = [
      'ptrace',
      'keyctl',
      'add_key',
      'bpf',
      'kexec_load',
      'io_uring_setup',
      'mount',
      'setns',
      'reboot',
    ];
    for (const name of [...forbidden, 'open_by_handle_at', 'userfaultfd', 'init_module', 'perf_event_open', 'swapon']) {
      assert.equal(call(program, name), EPERM, name);
    }
  });

  it('has clone3, the new calls for mounts and what no kernel has yet not exist, so that programs fall back', () => {
    const missing = ['clone3', 'open_tree', 'move_mount', 'fsopen', 'fsconfig', 'fsmount', 'fspick', 'mount_setattr'];
    for (const name of [...missing, 'open_tree_attr', 500, 5000, 0x3fff_ffff]) {
      assert.equal(call(program, name), ENOSYS, `${name}`);
    }
  });

  it('decides about new namespaces by the flags', () => {
    const SIGCHLD = 17n;
    const CLONE_THREAD = 0x3d_0f00n;
    const namespaces = [
      0x0002_0000n,
      0x0200_0000n,
      0x0400_0000n,
      0x0800_0000n,
      0x1000_0000n,
      0x2000_0000n,
      0x4000_0000n,
    ];
    assert.equal(call(program, 'clone', SIGCHLD), ALLOW);
    assert.equal(call(program, 'clone', CLONE_THREAD), ALLOW);
    assert.equal(call(program, 'unshare', 0x600n), ALLOW);
    for (const flag of namespaces) {
      assert.equal(call(program, 'clone', flag | SIGCHLD), EPERM, flag.toString(16));
      assert.equal(call(program, 'unshare', flag), EPERM, flag.toString(16));
    }
    assert.equal(call(program, 'unshare', 0x80n), EPERM, 'CLONE_NEWTIME');
  });

  it('keeps programs from typing into terminals, whatever the upper half of the request is', () => {
    for (const request of [0x5412n, 0x541cn]) {
      for (const upper of [0n, 1n << 32n, 0xffff_ffffn << 32n]) {
        assert.equal(call(program, 'ioctl', 0n, request | upper), EPERM, (request | upper).toString(16));
      }
    }
    assert.equal(call(program, 'ioctl', 0n, 0x5401n), ALLOW);
    assert.equal(call(program, 'ioctl', 0x5412n, 0x5413n), ALLOW);
  });

  it('allows few personalities and families of sockets, and compares only what the kernel looks at', () => {
    for (const value of [0n, 8n, 0x2_0000n, 0x2_0008n, 0xffff_ffffn, 0xffff_ffff_ffff_ffffn]) {
      assert.equal(call(program, 'personality', value), ALLOW, value.toString(16));
    }
    assert.equal(call(program, 'personality', 0x4_0000n), EPERM, 'ADDR_NO_RANDOMIZE');
    for (const family of [1n, 2n, 10n, 16n]) assert.equal(call(program, 'socket', family), ALLOW, `${family}`);
    for (const family of [38n, 40n, 40n | (1n << 32n), 20n]) {
      assert.equal(call(program, 'socket', family), EAFNOSUPPORT, `${family}`);
    }
  });

  it('follows the capabilities that were added', () => {
    const with_ = (...added: Capability[]) =>
      compileFilter(builtInProfile(), place({ capabilities: [...defaultCapabilities, ...added] }));
    assert.equal(call(with_('SYS_PTRACE'), 'ptrace'), ALLOW);
    assert.equal(call(with_('SYS_PTRACE'), 'mount'), EPERM);
    const admin = with_('SYS_ADMIN');
    for (const name of ['mount', 'fsopen', 'clone3', 'setns', 'open_tree'])
      assert.equal(call(admin, name), ALLOW, name);
    assert.equal(call(admin, 'unshare', 0x1000_0000n), ALLOW);
    assert.equal(call(admin, 'keyctl'), EPERM);
    assert.equal(call(compileFilter(builtInProfile(), place({ capabilities: [] })), 'chroot'), EPERM);
  });

  it('holds for 32-bit programs, too, by their own numbers', () => {
    const small = (name: string, ...args: bigint[]): number => {
      const number = i386.numbers.get(name);
      assert.ok(number !== undefined, name);
      return interpret(program, { number, machine: i386.audit, args });
    };
    for (const name of ['read', 'mmap2', 'stat64', 'getuid32', 'futex_time64', 'set_thread_area', '_llseek', 'exit']) {
      assert.equal(small(name), ALLOW, name);
    }
    for (const name of ['ptrace', 'mount', 'keyctl', 'bpf']) assert.equal(small(name), EPERM, name);
    for (const name of ['clone3', 'socketcall', 'vm86', 'fsopen']) assert.equal(small(name), ENOSYS, name);
    assert.equal(small('clone', 0x1000_0000n), EPERM, 'CLONE_NEWUSER');
    assert.equal(small('clone', 17n), ALLOW);
    assert.equal(small('socket', 40n), EAFNOSUPPORT, 'AF_VSOCK');
    assert.equal(small('socket', 1n), ALLOW);
    assert.equal(small('ioctl', 0n, 0x5412n), EPERM, 'TIOCSTI');
    // The same number is another call there: 11 is execve, and munmap on x86-64.
    assert.equal(i386.numbers.get('execve'), x86.numbers.get('munmap'));
  });

  it('kills foreign machines and has no x32', () => {
    assert.equal(interpret(program, { number: 0, machine: 0x4000_0028, args: [] }), KILL_PROCESS);
    for (const number of [0x4000_0000, 0x4000_0200, 0xffff_ffff]) assert.equal(call(program, number), ENOSYS);
  });

  it('exists for arm64, too, where numbers differ', () => {
    const arm = machine('arm64');
    const filter = compileFilter(builtInProfile(), place({ machine: arm }));
    const result = (name: string): number =>
      interpret(filter, { number: arm.numbers.get(name) ?? -1, machine: arm.audit, args: [] });
    assert.deepEqual(['openat', 'ptrace', 'clone3'].map(result), [ALLOW, EPERM, ENOSYS]);
    assert.equal(interpret(filter, { number: 0, machine: x86.audit, args: [] }), KILL_PROCESS);
  });

  it('is a valid profile, and compiled as it stands', () => {
    const parsed = parseProfile(JSON.stringify(builtInProfile()), 'built in');
    assert.deepEqual(compileFilter(parsed, place()), compileFilter(builtInProfile(), place()));
    for (const arch of ['x64', 'arm64'] as const) {
      const compiled = compileFilter(builtInProfile(), place({ machine: machine(arch), kernel: '5.12' }));
      assert.equal(packFilter(compiled), builtInFilters[arch], 'run node --import tsx scripts/gen-seccomp.ts');
    }
    assert.deepEqual(filterFor(undefined, defaultCapabilities), filterFor(builtInProfile(), defaultCapabilities));
  });

  it('is short enough to be installed in a moment', () => {
    assert.ok(program.length < 300, `${program.length} instructions`);
  });
});

describe('profiles of others', () => {
  const parse = (profile: object): SeccompProfile => parseProfile(JSON.stringify(profile), 'profile.json');
  const one = (rule: object, rest: object = {}) =>
    compileFilter(parse({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: [rule], ...rest }), place());

  it('are refused with the name of what is unknown', () => {
    const refused: [object | string, RegExp][] = [
      ['{', /seccomp profile profile\.json to be JSON/],
      [{ defaultAction: 'SCMP_ACT_MAYBE' }, /defaultAction/],
      [{ defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['opne'], action: 'SCMP_ACT_KILL' }] }, /"opne"/],
      [
        { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['open'], action: 'SCMP_ACT_NOTIFY' }] },
        /syscalls\.0\.action/,
      ],
      [{ defaultAction: 'SCMP_ACT_ALLOW', architectures: ['SCMP_ARCH_Z80'] }, /architectures\.0/],
      [
        {
          defaultAction: 'SCMP_ACT_ALLOW',
          syscalls: [{ names: ['open'], action: 'SCMP_ACT_KILL', args: [{ index: 6, value: 0, op: 'SCMP_CMP_EQ' }] }],
        },
        /args\.0\.index/,
      ],
    ];
    for (const [profile, message] of refused) {
      const text = typeof profile === 'string' ? profile : JSON.stringify(profile);
      assert.throws(() => parseProfile(text, 'profile.json'), { code: 'USAGE', message }, text);
    }
  });

  it('may name system calls that other machines have', () => {
    const program = one({ names: ['chown32', 'set_tls', 'chown'], action: 'SCMP_ACT_KILL' });
    assert.equal(call(program, 'chown'), 0);
  });

  it('give their own error numbers, and rules with conditions go first', () => {
    const program = compileFilter(
      parse({
        defaultAction: 'SCMP_ACT_ERRNO',
        syscalls: [
          { names: ['getcwd'], action: 'SCMP_ACT_ERRNO', errnoRet: 99 },
          { names: ['dup3'], action: 'SCMP_ACT_ALLOW' },
          { names: ['dup3'], action: 'SCMP_ACT_KILL_PROCESS', args: [{ index: 0, value: 7, op: 'SCMP_CMP_EQ' }] },
        ],
      }),
      place(),
    );
    assert.equal(call(program, 'getcwd'), errno(99));
    assert.equal(call(program, 'read'), EPERM);
    assert.equal(call(program, 'dup3', 6n), ALLOW);
    assert.equal(call(program, 'dup3', 7n), KILL_PROCESS);
    assert.equal(call(program, 4000), ENOSYS);
  });

  it('count conditions of one rule on the same argument singly, as Docker does', () => {
    const program = one({
      names: ['dup'],
      action: 'SCMP_ACT_ERRNO',
      args: [
        { index: 0, value: 3, op: 'SCMP_CMP_EQ' },
        { index: 0, value: 5, op: 'SCMP_CMP_EQ' },
      ],
    });
    assert.deepEqual(
      [2n, 3n, 4n, 5n].map((value) => call(program, 'dup', value)),
      [ALLOW, EPERM, ALLOW, EPERM],
    );
  });

  it('decide about the machines that they name, the others are killed', () => {
    const rule = { names: ['chown', 'chown32'], action: 'SCMP_ACT_ERRNO', errnoRet: 7 };
    const small = (program: ReturnType<typeof one>, name: string): number =>
      interpret(program, { number: i386.numbers.get(name) ?? -1, machine: i386.audit, args: [] });
    const x32 = (program: ReturnType<typeof one>, number: number): number => call(program, 0x4000_0000 + number);
    const map = [
      { architecture: 'SCMP_ARCH_AARCH64', subArchitectures: ['SCMP_ARCH_ARM'] },
      { architecture: 'SCMP_ARCH_X86_64', subArchitectures: ['SCMP_ARCH_X86', 'SCMP_ARCH_X32'] },
    ];
    for (const rest of [{ architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'] }, { archMap: map }]) {
      const program = one(rule, rest);
      assert.deepEqual(
        [small(program, 'chown32'), small(program, 'read'), call(program, 'chown')],
        [errno(7), ALLOW, errno(7)],
      );
      assert.deepEqual([x32(program, 92), x32(program, 0), x32(program, 514)], [errno(7), ALLOW, ALLOW]);
    }
    for (const rest of [{}, { architectures: ['SCMP_ARCH_X86_64'] }, { archMap: map.slice(0, 1) }]) {
      const program = one(rule, rest);
      assert.deepEqual([small(program, 'read'), x32(program, 0)], [KILL_PROCESS, ENOSYS]);
    }
    // Of x32's own numbers: 512 is rt_sigaction there.
    const own = one({ names: ['rt_sigaction'], action: 'SCMP_ACT_ERRNO' }, { archMap: map });
    assert.deepEqual([x32(own, 512), x32(own, 13), call(own, 'rt_sigaction')], [EPERM, ALLOW, EPERM]);
  });

  it('depend on machine and kernel', () => {
    const rule = { names: ['dup'], action: 'SCMP_ACT_ERRNO' };
    assert.equal(call(one({ ...rule, includes: { arches: ['amd64'] } }), 'dup'), EPERM);
    assert.equal(call(one({ ...rule, includes: { arches: ['arm64'] } }), 'dup'), ALLOW);
    assert.equal(call(one({ ...rule, excludes: { arches: ['amd64'] } }), 'dup'), ALLOW);
    assert.equal(call(one({ ...rule, includes: { minKernel: '6.1' } }), 'dup'), EPERM);
    assert.equal(call(one({ ...rule, includes: { minKernel: '6.10' } }), 'dup'), ALLOW);
    assert.equal(call(one({ ...rule, excludes: { minKernel: '5.9' } }), 'dup'), ALLOW);
    assert.equal(call(one({ ...rule, includes: { caps: ['CAP_CHOWN', 'CAP_SYS_ADMIN'] } }), 'dup'), ALLOW);
    assert.equal(call(one({ ...rule, excludes: { caps: ['CAP_CHOWN', 'CAP_SYS_ADMIN'] } }), 'dup'), ALLOW);
  });
});

// The compiler against the profile's own words, for any profile and any call.
