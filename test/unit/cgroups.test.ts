import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type CgroupHost, planCgroups } from '../../trees/run/cgroup-plan.js';
import { type CgroupLayout, detectCgroups, hierarchyOf, type PlaceInput, placeOf } from '../../trees/run/cgroups.js';
import { type LimitName, type Limits, limitNames } from '../../trees/run/limits.js';
import { mergeLimits, resolveResources } from '../../trees/run/resources.js';

/** Machines of every kind, as their /proc describes them. */

const v2 = detectCgroups({
  mountinfo: '24 30 0:22 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n',
  cgroup: '0::/user.slice/user-1000.slice/user@1000.service/app.slice/term.scope\n',
  controllersOf: () => 'cpuset cpu io memory hugetlb pids rdma misc\n',
});
const v1 = detectCgroups({
  mountinfo: [
    '25 24 0:22 / /sys/fs/cgroup ro,nosuid,nodev,noexec shared:9 - tmpfs tmpfs ro,mode=755',
    '28 25 0:25 / /sys/fs/cgroup/systemd rw shared:11 - cgroup cgroup rw,xattr,name=systemd',
    '31 25 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:14 - cgroup cgroup rw,cpu,cpuacct',
    '32 25 0:29 / /sys/fs/cgroup/memory rw shared:15 - cgroup cgroup rw,memory',
    '33 25 0:30 / /sys/fs/cgroup/blkio rw shared:16 - cgroup cgroup rw,blkio',
    '34 25 0:31 / /sys/fs/cgroup/freezer rw shared:17 - cgroup cgroup rw,freezer',
    '35 25 0:31 / /mnt/again rw shared:17 - cgroup cgroup rw,freezer',
    '',
  ].join('\n'),
  cgroup: '6:freezer:/\n5:blkio:/user.slice\n4:memory:/user.slice\n3:cpu,cpuacct:/user.slice\n1:name=systemd:/x\n',
  controllersOf: () => '',
});
const hybrid = detectCgroups({
  mountinfo: [
    '32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu',
    '35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory',
    '37 31 0:34 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer',
    '41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw',
    '',
  ].join('\n'),
  cgroup: '6:freezer:/\n4:memory:/api/7\n1:cpu:/\n0::/\n',
  controllersOf: () => 'pids hugetlb\n',
});

test('one hierarchy of version 2', () => {
  assert.equal(v2.kind, 'v2');
  assert.deepEqual(v2.hierarchies, [
    {
      version: 2,
      mount: '/sys/fs/cgroup',
      own: '/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/term.scope',
      controllers: ['cpuset', 'cpu', 'io', 'memory', 'hugetlb', 'pids', 'rdma', 'misc'],
    },
  ]);
  for (const controller of ['memory', 'cpu', 'cpuset', 'pids', 'io', 'freezer'] as const) {
    assert.equal(hierarchyOf(v2, controller)?.version, 2);
  }
});

test('version 1: a hierarchy for each, some together; named ones and second mounts do not count', () => {
  assert.equal(v1.kind, 'v1');
  assert.deepEqual(
    v1.hierarchies.map(({ mount, own, controllers }) => [mount, own, controllers.join()]),
    [
      ['/sys/fs/cgroup/cpu,cpuacct', '/sys/fs/cgroup/cpu,cpuacct/user.slice', 'cpu,cpuacct'],
      ['/sys/fs/cgroup/memory', '/sys/fs/cgroup/memory/user.slice', 'memory'],
      ['/sys/fs/cgroup/blkio', '/sys/fs/cgroup/blkio/user.slice', 'blkio'],
      ['/sys/fs/cgroup/freezer', '/sys/fs/cgroup/freezer', 'freezer'],
    ],
  );
  assert.equal(hierarchyOf(v1, 'io')?.mount, '/sys/fs/cgroup/blkio');
  assert.equal(hierarchyOf(v1, 'freezer')?.mount, '/sys/fs/cgroup/freezer');
  assert.equal(hierarchyOf(v1, 'pids'), undefined);
});

test('hybrid: chosen per controller; version 2 freezes', () => {
  assert.equal(hybrid.kind, 'hybrid');
  const mount = (controller: 'memory' | 'pids' | 'freezer' | 'cpuset') => hierarchyOf(hybrid, controller)?.mount;
  assert.equal(mount('memory'), '/sys/fs/cgroup/memory');
  assert.equal(mount('pids'), '/sys/fs/cgroup/unified');
  assert.equal(mount('freezer'), '/sys/fs/cgroup/unified');
  assert.equal(mount('cpuset'), undefined);
});

test('nothing mounted; mount points with spaces; a part of a hierarchy; outside of the namespace', () => {
  assert.deepEqual(detectCgroups({ mountinfo: '', cgroup: '0::/\n', controllersOf: () => '' }), {
    kind: 'none',
    hierarchies: [],
  });
  const own = (root: string, path: string) =>
    detectCgroups({
      mountinfo: `1 2 0:3 ${root} /mnt/my\\040groups rw - cgroup2 none rw\n`,
      cgroup: `0::${path}\n`,
      controllersOf: () => '',
    }).hierarchies[0]?.own;
  assert.equal(own('/', '/'), '/mnt/my groups');
  assert.equal(own('/docker/x', '/docker/x'), '/mnt/my groups');
  assert.equal(own('/docker/x', '/docker/x/y'), '/mnt/my groups/y');
  assert.equal(own('/docker/x', '/docker/xy'), undefined);
  assert.equal(own('/', '/../other'), undefined);
});

function caller(change: Partial<PlaceInput> = {}): PlaceInput {
  return { uid: 0, systemd: false, userSystemd: false, writable: () => true, ...change };
}

function placed(layout: CgroupLayout, change: Partial<PlaceInput>): unknown {
  const hierarchy = hierarchyOf(layout, 'memory');
  assert.ok(hierarchy);
  return placeOf(hierarchy, caller(change));
}

test('where: the top for root, a scope where systemd is, what was delegated for others', () => {
  assert.deepEqual(placed(v2, {}), { base: '/sys/fs/cgroup' });
  assert.deepEqual(placed(v2, { systemd: true }), { base: '/sys/fs/cgroup', scope: 'system' });
  assert.deepEqual(placed(v1, { systemd: true }), { base: '/sys/fs/cgroup/memory' });
  assert.equal(placed(v2, { writable: () => false }), '/sys/fs/cgroup is read-only');
  const user = '/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service';
  const delegated = { uid: 1000, writable: (path: string) => path.startsWith(user) };
  assert.deepEqual(placed(v2, delegated), { base: user });
  assert.deepEqual(placed(v2, { uid: 1000, writable: () => false, userSystemd: true }), {
    base: '/sys/fs/cgroup',
    scope: 'user',
  });
  assert.match(
    String(placed(v2, { uid: 1000, writable: () => false })),
    /no cgroup above .* is delegated to user 1000/,
  );
  assert.match(String(placed(v1, { uid: 1000 })), /cgroup v1 .* only root/);
});

function host(layout: CgroupLayout, change: Partial<CgroupHost> = {}): CgroupHost {
  return { layout, input: caller(), cpus: '0-3', exists: (path) => /io\.cost\.qos|bfq/.test(path), ...change };
}

const all = new Set<LimitName>(limitNames);

function writes(limits: Limits, machine: CgroupHost): string[] {
  return planCgroups(limits, 'app', machine, all).cgroups.flatMap((group) =>
    group.writes.map(({ file, value, optional }) => `${group.base}/${file}=${value}${optional === true ? '?' : ''}`),
  );
}

const everything: Limits = {
  memory: 1000,
  memorySwap: 1500,
  memoryReservation: 500,
  cpus: 1.5,
  cpuShares: 1024,
  cpusetCpus: '0-2',
  cpusetMems: '0',
  pids: 7,
  ioWeight: 500,
};

test('every limit in the words of version 2: one cgroup', () => {
  assert.deepEqual(writes(everything, host(v2)), [
    '/sys/fs/cgroup/memory.max=1000',
    '/sys/fs/cgroup/memory.swap.max=500',
    '/sys/fs/cgroup/memory.low=500',
    '/sys/fs/cgroup/cpu.max=150000 100000',
    '/sys/fs/cgroup/cpu.weight=100',
    '/sys/fs/cgroup/cpuset.cpus=0-2',
    '/sys/fs/cgroup/cpuset.mems=0',
    '/sys/fs/cgroup/pids.max=7',
    '/sys/fs/cgroup/io.weight=default 4950',
  ]);
  const [group, ...more] = planCgroups(everything, 'app', host(v2), all).cgroups;
  assert.deepEqual([group?.controllers, more], [['memory', 'cpu', 'cpuset', 'pids', 'io'], []]);
  const bfq = host(v2, { exists: (path) => path === '/sys/module/bfq' });
  assert.deepEqual(writes({ ioWeight: 500 }, bfq), ['/sys/fs/cgroup/io.bfq.weight=500']);
});

test('every limit in the words of version 1: a cgroup for each hierarchy with one', () => {
  const { cpusetCpus, cpusetMems, pids, ...limits } = everything;
  assert.ok([cpusetCpus, cpusetMems, pids]);
  assert.deepEqual(writes(limits, host(v1)), [
    '/sys/fs/cgroup/memory/memory.limit_in_bytes=1000',
    '/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes=1500',
    '/sys/fs/cgroup/memory/memory.soft_limit_in_bytes=500',
    '/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us=100000',
    '/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us=150000',
    '/sys/fs/cgroup/cpu,cpuacct/cpu.shares=1024',
    '/sys/fs/cgroup/blkio/blkio.bfq.weight=500',
  ]);
});

test('swap: twice the memory unless said otherwise, any amount with -1', () => {
  assert.deepEqual(writes({ memory: 1000 }, host(v2)), [
    '/sys/fs/cgroup/memory.max=1000',
    '/sys/fs/cgroup/memory.swap.max=1000?',
  ]);
  assert.deepEqual(
    writes({ memory: 1000 }, host(v1)).at(-1),
    '/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes=2000?',
  );
  assert.equal(writes({ memory: 1000, memorySwap: -1 }, host(v2)).at(-1), '/sys/fs/cgroup/memory.swap.max=max');
  assert.equal(
    writes({ memory: 1000, memorySwap: -1 }, host(v1)).at(-1),
    '/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes=-1',
  );
  assert.equal(writes({ memory: 1000, memorySwap: 1000 }, host(v2)).at(-1), '/sys/fs/cgroup/memory.swap.max=0');
});

test('shares of the processors keep their ends and their middle', () => {
  const weight = (cpuShares: number): string | undefined => writes({ cpuShares }, host(v2))[0]?.split('=')[1];
  assert.deepEqual([2, 1024, 262_144].map(weight), ['1', '100', '10000']);
  const weights = [2, 10, 100, 512, 1024, 2048, 10_000, 262_144].map((shares) => Number(weight(shares)));
  assert.deepEqual(
    weights,
    [...weights].sort((a, b) => a - b),
  );
});

test('what cannot be done names the controller and the reason; what only the app wants is a warning', () => {
  const cases: [Limits, CgroupHost, RegExp][] = [
    [{ pids: 7 }, host(v1), /^cannot apply --pids-limit: the kernel has no pids controller here \(cgroup v1/],
    [
      { memory: 1 },
      host({ kind: 'none', hierarchies: [] }),
      /--memory: .* no memory controller .*no cgroups are mounted/,
    ],
    [{ ioWeight: 10 }, host(v2, { exists: () => false }), /--io-weight: the io controller has no weights/],
    [{ cpusetCpus: '2-5' }, host(v2), /--cpuset-cpus: the cpuset controller cannot give it processor 4: there are 0-3/],
    [{ cpus: 1 }, host(v1, { input: caller({ uid: 7 }) }), /--cpus: the cpu controller cannot be used: in cgroup v1/],
  ];
  for (const [limits, machine, pattern] of cases) {
    assert.throws(() => planCgroups(limits, 'app', machine, all), {
      code: 'UNSUPPORTED',
      message: pattern,
      status: 125,
    });
    const { cgroups, warnings } = planCgroups(limits, 'app', machine, new Set());
    assert.deepEqual([cgroups, warnings.length], [[], 1]);
  }
  assert.throws(() => planCgroups({ memory: 10, memorySwap: 5 }, 'app', host(v2), all), {
    code: 'USAGE',
    message: /less than the memory/,
  });
});

test('limits of the invocation win over those of the app; null is none', () => {
  const resolved = (limits: Parameters<typeof mergeLimits>[1]) =>
    resolveResources({ limits: { memory: '64m', pids: 5 } }, { limits }, 'app', () => host(v2));
  assert.deepEqual(resolved({ pids: 9 })?.limits, { memory: 64 << 20, pids: 9 });
  assert.deepEqual(resolved({ memory: null })?.limits, { pids: 5 });
  assert.equal(resolved({ memory: null, pids: null }), undefined);
  assert.equal(
    resolveResources({}, undefined, 'app', () => assert.fail('nobody asked')),
    undefined,
  );
  assert.deepEqual(mergeLimits({ memory: 10, memorySwap: 20 }, { memory: 30 }), { memory: 30 });
});
