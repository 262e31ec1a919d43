import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as z from 'zod/mini';
import {
  adjustCapabilities,
  capabilityMask,
  defaultCapabilities,
  parseCapability,
} from '../../trees/run/capabilities.js';
import { compilePlan, planOf } from '../../trees/run/compile.js';
import type { ContainerSpec } from '../../trees/run/container.js';
import { chooseRange, RANGE_SIZE } from '../../trees/run/ids.js';
import { parseMount, parseSize, parseTmpfs, parseVolume } from '../../trees/run/mount-options.js';
import { declaredVolumes, type RunPlace, type RunRequest, resolveContainer } from '../../trees/run/resolve.js';
import { runSpecSchema } from '../../trees/run/spec.js';

const container: ContainerSpec = {
  lower: ['/tree'],
  upper: { kind: 'ephemeral' },
  userns: 'host',
  net: 'none',
  argv: ['true'],
  env: {},
};

test('run definitions: a full one passes', () => {
  const spec = {
    exec: ['etcd', '--data-dir', '/data'],
    env: { ETCD_NAME: 'one' },
    user: 'etcd:etcd',
    ports: [2379, { port: 53, protocol: 'udp', name: 'dns' }],
    volumes: [{ path: '/data', mode: '0700' }],
    services: {
      db: { exec: ['db'], ready: 'notify', restart: { policy: 'always', max: 3 } },
      web: { exec: ['web'], requires: ['db'], main: true, health: { exec: ['probe'], interval: 5 } },
      backup: { exec: ['backup'], when: { source: 'db', each: 'healthy', interval: 60 } },
    },
    capabilities: { add: ['NET_ADMIN'], drop: ['ALL'] },
    stopSignal: 'INT',
  };
  assert.deepEqual(z.parse(runSpecSchema, spec), spec);
});

for (const [name, spec, message] of [
  ['an empty command', { exec: [] }, /exec/],
  ['an unknown key', { exce: ['x'] }, /exce/],
  ['a relative path', { workdir: 'tmp' }, /absolute/],
  ['a path with ..', { volumes: [{ path: '/a/../b' }] }, /\.\./],
  ['a cycle', { services: { a: { exec: ['a'], after: ['b'] }, b: { exec: ['b'], requires: ['a'] } } }, /a → b → a/],
  ['a service that is not there', { services: { a: { exec: ['a'], after: ['x'] } } }, /refers to x/],
  ['two main services', { services: { a: { exec: ['a'], main: true }, b: { exec: ['b'], main: true } } }, /one main/],
  ['an unknown capability', { capabilities: { add: ['FLY'] } }, /capabilities/],
  ['a port out of range', { ports: [70_000] }, /ports/],
] as const) {
  test(`run definitions: ${name} is refused`, () => {
    const result = z.safeParse(runSpecSchema, spec);
    assert.equal(result.success, false);
    assert.match(JSON.stringify(result.error.issues), message);
  });
}

test('capabilities: Docker’s mask, ALL before names', () => {
  assert.equal(capabilityMask(defaultCapabilities).toString(16), 'a80425fb');
  assert.deepEqual(adjustCapabilities(defaultCapabilities, { drop: ['ALL'], add: ['CHOWN'] }), ['CHOWN']);
  assert.equal(adjustCapabilities([], { add: ['ALL'] }).length, 41);
  assert.deepEqual(adjustCapabilities(['CHOWN', 'KILL'], { drop: ['KILL'] }), ['CHOWN']);
  assert.deepEqual(
    [parseCapability('cap_net_raw'), parseCapability('All'), parseCapability('x')],
    ['NET_RAW', 'ALL', undefined],
  );
});

test('plans: the same container gives the same bytes, another one others', () => {
  assert.deepEqual(compilePlan(container), compilePlan({ ...container }));
  assert.notDeepEqual(compilePlan(container), compilePlan({ ...container, argv: ['false'] }));
});

for (const [name, change, message] of [
  ['no command', { argv: [] }, /Expected a command/],
  ['no layer', { lower: [] }, /lower/],
  ['a relative layer', { lower: ['tree'] }, /absolute/],
  ['a NUL', { argv: ['a\0b'] }, /NUL/],
  ['a bad variable', { env: { 'A=B': 'c' } }, /variable/],
  ['upper and work apart', { upper: { kind: 'persistent', upper: '/a/u', work: '/b/w' } }, /one directory/],
  ['ids from 0', { userns: { start: 0, count: 5 } }, /range of user ids/],
  ['too many ids', { userns: { start: 1, count: 0xffff_ffff } }, /range of user ids/],
  ['a mount on /', { mounts: [{ kind: 'tmpfs', target: '/' }] }, /mount point/],
  ['a mount below /proc', { mounts: [{ kind: 'tmpfs', target: '/x/../proc/sys' }] }, /mount point/],
  ['an unknown limit', { rlimits: [{ name: 'nofiles', soft: 1, hard: 1 }] }, /nofiles/],
  ['a soft limit above the hard one', { rlimits: [{ name: 'nofile', soft: 2, hard: 1 }] }, /soft limit/],
] as const satisfies readonly (readonly [string, Partial<ContainerSpec>, RegExp])[]) {
  test(`plans: ${name} is refused`, () => {
    assert.throws(() => planOf({ ...container, ...change }), message);
  });
}

test('plans: /proc comes first, protection last, user mounts between', () => {
  const types = planOf({ ...container, mounts: [{ kind: 'tmpfs', target: '/mnt' }] }).ops.map(
    (op) => `${op.type} ${op.target ?? ''}`,
  );
  assert.deepEqual(types.slice(0, 3), ['lower ', 'proc /proc', 'tmpfs /dev']);
  assert.ok(types.indexOf('tmpfs /mnt') > types.indexOf('sysfs /sys'));
  assert.ok(types.indexOf('tmpfs /mnt') < types.indexOf('mask /proc/keys'));
});

test('ids: stable, on the grid, never overlapping', () => {
  const first = chooseRange('etcd', []);
  assert.deepEqual(chooseRange('etcd', []), first);
  assert.equal(first.start % RANGE_SIZE, 0);
  const next = chooseRange('etcd', [{ start: first.start + 65_535, count: 1 }]);
  assert.notEqual(next.start, first.start);
  const taken: { start: number; count: number }[] = [];
  for (let i = 0; i < 4094; i++) taken.push(chooseRange(`instance-${i}`, taken));
  assert.equal(new Set(taken.map(({ start }) => start)).size, 4094);
  assert.ok(taken.every(({ start }) => start >= 0x7000_0000 && start + RANGE_SIZE <= 0x7ffe_0000));
  assert.throws(() => chooseRange('one-too-many', taken), { code: 'LAUNCH_FAILED' });
});

test('mounts on the command line', () => {
  assert.deepEqual(parseVolume('./a:/b:ro,noidmap,Z', '/cwd'), {
    kind: 'bind',
    source: '/cwd/a',
    target: '/b',
    readOnly: true,
    recursive: true,
    idmap: false,
  });
  const options = parseVolume('/a:/b:noexec,suid,dev,rslave,bind', '/');
  assert.deepEqual(options, {
    kind: 'bind',
    source: '/a',
    target: '/b',
    readOnly: false,
    recursive: false,
    idmap: true,
    exec: false,
    suid: true,
    dev: true,
    propagation: 'slave',
  });
  assert.deepEqual(parseVolume('data:/b', '/'), { kind: 'volume', name: 'data', target: '/b', readOnly: false });
  assert.deepEqual(parseTmpfs('/t:size=1m,mode=700,exec'), {
    kind: 'tmpfs',
    target: '/t',
    size: 1_048_576,
    mode: 0o700,
    readOnly: false,
    exec: true,
  });
  assert.deepEqual(parseMount('type=bind,src=/a,dst=/b,ro', '/'), {
    kind: 'bind',
    source: '/a',
    target: '/b',
    readOnly: true,
    recursive: true,
    idmap: true,
  });
  assert.deepEqual(parseMount('type=volume,src=data,dst=/b,volume-nocopy', '/'), {
    kind: 'volume',
    name: 'data',
    target: '/b',
    readOnly: false,
    copy: false,
  });
  for (const bad of ['/a:/b:U', '/a', '/a:b', ':/b', '/a:/b:ro:x', '/a:/b/../c', 'Data:/b']) {
    assert.throws(() => parseVolume(bad, '/'), { code: 'USAGE' }, bad);
  }
  for (const bad of ['type=nfs,target=/a', 'type=bind,target=/a', 'color=red', 'type=tmpfs,target=/a,tmpfs-mode=9']) {
    assert.throws(() => parseMount(bad, '/'), { code: 'USAGE' }, bad);
  }
  for (const bad of ['', '0', '-1', '1.5', '1x', '99999999999999999999']) {
    assert.throws(() => parseSize(bad, 'size'), { code: 'USAGE' }, bad);
  }
});

const request: RunRequest = {
  command: [],
  env: {},
  readOnly: false,
  ephemeral: false,
  mounts: [],
  capAdd: [],
  capDrop: [],
  rlimits: [],
  noInit: false,
};
const place: RunPlace = {
  app: 'app',
  generation: 1,
  instance: 'app',
  name: 'app',
  runDir: '/run/app',
  rootfs: '/tree',
  lockFile: '/lock',
  upper: '/u',
  work: '/w',
  ownLock: '/own',
  userns: 'self',
  volume: (name) => `/volumes/${name}`,
  findInit: () => undefined,
  cgroupHost: () => ({
    layout: { kind: 'none', hierarchies: [] },
    input: { uid: 0, systemd: false, userSystemd: false, writable: () => false },
    cpus: '0-1',
    exists: () => false,
  }),
};

test('resolving: the invocation wins over the app, the app over the defaults', () => {
  const spec = {
    exec: ['a'],
    env: { A: '1', B: '2' },
    user: 'x',
    ports: [80],
    volumes: [{ path: '/var/lib/App_1' }],
    tmpfs: ['/tmp'],
  };
  const plain = resolveContainer(spec, request, place);
  assert.deepEqual(
    [plain.argv, plain.user, plain.net, plain.hostname, plain.upper.kind, plain.ownLock],
    [['a'], 'x', 'host', 'app', 'persistent', '/own'],
  );
  assert.deepEqual(
    plain.mounts?.map((mount) => mount.target),
    ['/tmp', '/var/lib/App_1'],
  );
  const own = resolveContainer(
    spec,
    {
      ...request,
      command: ['b'],
      env: { B: '3' },
      user: 'y',
      net: 'none',
      ephemeral: true,
      mounts: [{ kind: 'bind', source: '/s', target: '/tmp' }],
    },
    place,
  );
  assert.deepEqual(
    [own.argv, own.env['A'], own.env['B'], own.user, own.net, own.upper.kind, own.ownLock],
    [['b'], '1', '3', 'y', 'none', 'ephemeral', undefined],
  );
  assert.deepEqual(
    own.mounts?.map((mount) => mount.kind),
    ['bind', 'bind'],
  );
  assert.deepEqual(
    declaredVolumes(spec).map(({ name }) => name),
    ['var-lib-app_1'],
  );
});

test('resolving: services instead of a command, with the longest stop; a command wins; something has to run', () => {
  const services = { a: { exec: ['a'], stopTimeout: 30 }, b: { exec: ['b'], main: true, after: ['a'] } };
  const container = resolveContainer({ services, exec: ['x'] }, request, place);
  assert.deepEqual(Object.keys(container.services ?? {}), ['a', 'b']);
  assert.deepEqual([container.argv, container.stopTimeout], [['b'], 40]);
  const own = resolveContainer({ services }, { ...request, command: ['y'] }, place);
  assert.deepEqual([own.services, own.argv], [undefined, ['y']]);
  assert.throws(() => resolveContainer({ services }, { ...request, noInit: true }, place), { code: 'USAGE' });
  assert.throws(() => resolveContainer({}, request, place), { code: 'COMMAND_NOT_FOUND', status: 125 });
});
