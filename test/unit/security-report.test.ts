import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planOf } from '../../trees/run/compile.js';
import type { ContainerSpec } from '../../trees/run/container.js';
import { parseProfile } from '../../trees/run/seccomp/profile.js';
import { checkPolicy, type SecurityPolicy, securityReport } from '../../trees/run/security-report.js';

const spec = (change: Partial<ContainerSpec> = {}): ContainerSpec => ({
  lower: ['/tree'],
  upper: { kind: 'ephemeral' },
  userns: { start: 0x7000_0000, count: 65_536 },
  net: 'none',
  argv: ['true'],
  env: {},
  ...change,
});
const report = (change?: Partial<ContainerSpec>) => securityReport(planOf(spec(change)));
const codes = (change: Partial<ContainerSpec>, policy: SecurityPolicy = 'default'): string[] =>
  checkPolicy(report(change), policy)
    .map(({ code }) => code)
    .filter((code) => code !== 'tiocsti'); // depends on the kernel

test('what a container gets that asks for nothing', () => {
  const { seccomp, userNamespace, tiocsti, ...rest } = report();
  assert.equal(seccomp.profile, 'built-in');
  assert.deepEqual(userNamespace.uidMap, [{ inside: 0, outside: 0x7000_0000, count: 65_536 }]);
  assert.deepEqual([userNamespace.nested, tiocsti.filtered], [false, true]);
  assert.equal(rest.capabilities.length, 14);
  assert.deepEqual([rest.writable, rest.devices, rest.unmasked, rest.sharedNamespaces], [[], [], [], []]);
  assert.deepEqual(codes({}), []);
  assert.deepEqual(codes({}, 'strict'), ['capabilities', 'root']);
  assert.deepEqual(codes({ capabilities: [], upper: { kind: 'readonly' } }, 'strict'), []);
});

test('the built-in profile is known with any capabilities, others are not it', () => {
  assert.equal(report({ capabilities: ['NET_ADMIN'] }).seccomp.profile, 'built-in');
  const profile = parseProfile('{"defaultAction":"SCMP_ACT_ALLOW"}', 'open');
  const open = report({ security: { seccomp: profile } });
  assert.deepEqual([open.seccomp.profile, open.tiocsti.filtered], ['own', false]);
  assert.match(open.seccomp.hash ?? '', /^[0-9a-f]{64}$/);
});

test('each weakness has its finding', () => {
  const bind = { kind: 'bind', source: '/srv', target: '/srv' } as const;
  const cases: [Partial<ContainerSpec>, string[]][] = [
    [{ capabilities: ['SYS_ADMIN'] }, ['capabilities']],
    [{ noNewPrivileges: false }, ['new-privileges']],
    [{ security: { seccomp: 'unconfined' } }, ['seccomp']],
    [{ userns: 'host' }, ['user-namespace']],
    [{ security: { nestedUserns: true } }, ['nested-user-namespaces']],
    [{ security: { share: ['ipc'] } }, ['shared-namespaces']],
    [{ security: { share: ['pid'] } }, ['shared-namespaces', 'host-processes']],
    [{ security: { unmask: ['/proc/kcore'] } }, ['unmasked']],
    [{ security: { devices: [{ source: '/dev/kvm', target: '/dev/kvm' }] } }, ['devices']],
    [{ mounts: [{ ...bind, suid: true }] }, ['mount-options']],
    [{ mounts: [{ ...bind, propagation: 'shared' }] }, ['mount-options']],
    [{ security: { keyring: false } }, ['keyring']],
    [{ mounts: [bind], net: 'host' }, []],
  ];
  for (const [change, expected] of cases) assert.deepEqual(codes(change), expected, JSON.stringify(change));
  const strict = codes({ mounts: [bind], net: 'host' }, 'strict');
  assert.deepEqual(strict, ['capabilities', 'shared-namespaces', 'root', 'writable-mounts']);
});

test('mounts, devices, rules and settings are listed as they are', () => {
  const { readOnly, writable, devices, landlock, sysctls } = report({
    mounts: [
      { kind: 'bind', source: '/a', target: '/a', readOnly: true, exec: false, propagation: 'slave' },
      { kind: 'bind', source: '/b', target: '/b' },
    ],
    security: {
      devices: [{ source: '/dev/fuse', target: '/dev/fuse' }],
      landlock: { read: ['/usr'], write: ['/tmp'] },
      sysctls: { 'net.ipv4.ip_forward': '1' },
    },
  });
  const common = { setuid: false, devices: false };
  assert.deepEqual(readOnly, [{ source: '/a', target: '/a', ...common, executable: false, propagation: 'slave' }]);
  assert.deepEqual(writable, [{ source: '/b', target: '/b', ...common, executable: true, propagation: 'private' }]);
  assert.deepEqual(devices, ['/dev/fuse']);
  assert.ok(landlock?.some(({ path, access }) => path === '/usr' && access === 'read'));
  assert.ok(landlock?.some(({ path, access }) => path === '/tmp' && access === 'write'));
  assert.equal(sysctls['net.ipv4.ip_forward'], '1');
});

test('a process that has ended leaves the plan alone', () => {
  assert.equal(securityReport(planOf(spec()), { pid: 2 ** 22 + 1 }).source, 'plan');
});
