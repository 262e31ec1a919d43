import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { crc32 } from 'node:zlib';
import { compilePlan, planOf } from '../../trees/run/compile.js';
import { planServices } from '../../trees/run/compile-services.js';
import { launcherPath } from '../../trees/run/exec-launcher.js';
import { decodePlan, encodePlan } from '../../trees/run/plan-file.js';
import type { Plan, PlanOp } from '../../trees/run/plan-format.js';
import { missingForContainers } from '../support/rootfs.js';
import { bench } from './support/container.js';

const skip = missingForContainers();
const box = bench();
after(() => box[Symbol.dispose]());

const launcherSources = fileURLToPath(new URL('../../trees/launcher/', import.meta.url));
const parserSources = readdirSync(launcherSources)
  .filter((name) => /^plan.*\.c$/.test(name))
  .map((name) => join(launcherSources, name));
/** Everything that a service can have. */
const services = planServices({
  db: {
    exec: ['db'],
    ready: { fd: 9 },
    rlimits: { nofile: 64 },
    listen: [80, '/run/db'],
    watch: [{ path: '/etc/db' }],
  },
  web: {
    exec: ['web', 'x'],
    env: { A: 'b' },
    user: 'app',
    workdir: '/tmp',
    requires: ['db'],
    main: true,
    health: { http: 'http://localhost/health', onFailure: 'restart' },
    preStop: ['pre'],
    postStop: ['post'],
    reload: ['reload'],
    pidFile: '/run/web.pid',
    watch: [{ service: 'db', on: ['ready', 'exit'] }],
  },
  job: { exec: ['job'], when: { source: 'db', each: 'healthy', timeout: 3 }, after: ['db'], wants: ['web'] },
});
const noLink = { text: '', name: '', number: 0, action: 'none', a: 0n, b: 0n } as const;

const everySection: Partial<Plan> = {
  services: services.services,
  serviceLinks: services.serviceLinks.map((link) => ({ ...noLink, ...link })),
  seccomp: [{ code: 0x06, jumpTrue: 0, jumpFalse: 0, operand: 0x7fff_0000 }],
  landlock: [{ path: '/', access: 4n }],
  security: {
    flags: ['oomScore', 'keyring', 'umask'],
    oomScoreAdj: 0,
    monotonicOffset: 0n,
    boottimeOffset: 0n,
    landlockHandled: 0n,
    umask: 0o22,
    groups: ['7', 'users'],
  },
  sysctl: [{ name: 'net/ipv4/ip_forward', value: '0' }],
  cgroups: [{ version: 2, scope: 'user', base: '/sys/fs/cgroup', name: 'plan', controllers: ['memory', 'pids'] }],
  cgroupWrites: [
    { cgroup: 0, flags: [], file: 'pids.max', value: '5' },
    { cgroup: 0, flags: ['optional'], file: 'memory.swap.max', value: '0' },
  ],
};
const valid = Buffer.from(
  compilePlan(
    box.spec({
      argv: ['sh', '-c', 'exit 42'],
      hostname: 'box',
      workdir: '/tmp',
      mounts: [{ kind: 'tmpfs', target: '/mnt', size: 4096 }],
      rlimits: [{ name: 'nofile', soft: 10, hard: 20 }],
    }),
  ),
);

const launch = (plan: Buffer, name = 'mutant.plan') => {
  const path = join(box.directory, name);
  writeFileSync(path, plan);
  return spawnSync(launcherPath(), [path], { encoding: 'utf8', timeout: 60_000 });
};

/** A deterministic generator: a failure can be repeated from the round's number. */
function random(seed: number): () => number {
  let state = seed * 2_654_435_761 + 1;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Makes the checksum match again, so that the checks behind it are reached. */
function repair(plan: Buffer): Buffer {
  if (plan.length < 24) return plan;
  plan.writeUInt32LE(plan.length, 16);
  plan.writeUInt32LE(crc32(plan.subarray(16)), 12);
  return plan;
}

test('a plan is read as it was written', () => {
  const plan: Plan = { ...planOf(box.spec({ mounts: [{ kind: 'tmpfs', target: '/mnt' }] })), ...everySection };
  const read = decodePlan(encodePlan(plan));
  assert.deepEqual(encodePlan(read), encodePlan(plan));
  const { ops, ...rest } = plan;
  const { ops: readOps, ...readRest } = read;
  const present = (value: object) =>
    Object.fromEntries(
      Object.entries(value).filter(
        ([, member]) => member !== undefined && !(Array.isArray(member) && member.length === 0),
      ),
    );
  assert.deepEqual(present(readRest), present(rest));
  const absent = { flags: [], source: '', target: '', data: '', mode: 0, number: 0n };
  const sorted = (list: readonly PlanOp[]) =>
    list.map((op) => ({ ...absent, ...op, flags: [...(op.flags ?? [])].sort() }));
  assert.deepEqual(sorted(readOps), sorted(ops));
  assert.throws(() => decodePlan(Buffer.from('TREEPLAN')), RangeError);
  assert.throws(() => decodePlan(encodePlan(plan).subarray(0, -1)), RangeError);
});

test('the plan as compiled runs', { skip }, () => {
  const { status, stderr } = launch(valid);
  assert.deepEqual([status, stderr], [42, '']);
});

test('the command line can replace the command', { skip }, () => {
  const path = box.planFile(box.spec({ argv: ['false'] }));
  const { status, stdout } = spawnSync(launcherPath(), [path, 'echo', 'two words', ''], { encoding: 'utf8' });
  assert.deepEqual([status, stdout], [0, 'two words \n']);
});

test('a damaged plan is refused: every truncation, every flipped byte', { skip }, () => {
  for (let length = 0; length < valid.length; length += 37) {
    const { status, stderr } = launch(valid.subarray(0, length));
    assert.equal(status, 125, `${length} bytes`);
    assert.match(stderr, /^error: cannot use the launch plan .*mutant\.plan: /);
  }
  for (let at = 0; at < valid.length; at += 11) {
    const mutant = Buffer.from(valid);
    mutant[at] = (mutant[at] ?? 0) ^ 0x41;
    const { status, signal } = launch(mutant);
    assert.deepEqual([status, signal], [125, null], `byte ${at}`);
  }
  assert.equal(launch(Buffer.concat([valid, Buffer.alloc(8)])).status, 125);
});

test('a plan of another version says so', { skip }, () => {
  const mutant = Buffer.from(valid);
  mutant.writeUInt32LE(99, 8);
  assert.match(launch(mutant).stderr, /another version/);
});

test('hostile plans with a good checksum never crash the launcher', { skip }, () => {
  // The ones that happen to be valid must do no harm here either: they get at most a wrong mode or limit, because
  // every path of the plan is below the test's directory or is a device.
  const interesting = [
    0,
    1,
    7,
    0x7f,
    0xff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fff8,
    0xffff_ffff,
    valid.length,
    valid.length - 8,
  ];
  for (let round = 0; round < 400; round++) {
    const next = random(round);
    const mutant = Buffer.from(valid);
    // The header, the section table, the configuration: where structure is.
    const reach = round % 2 === 0 ? 216 : mutant.length - 4;
    for (let i = 0; i <= next() * 3; i++) {
      const at = 16 + Math.floor((next() * (reach - 20)) / 4) * 4;
      mutant.writeUInt32LE(interesting[Math.floor(next() * interesting.length)] ?? 0, at);
    }
    const { status, signal, stderr } = launch(repair(mutant));
    assert.equal(signal, null, `round ${round}: ${stderr}`);
    assert.ok(status !== null && status < 128, `round ${round}: status ${status} ${stderr}`);
  }
});

test('the parser under sanitizers: mutations by the thousand', {
  skip: skip || missing('clang', 'needs clang with libFuzzer'),
}, (t) => {
  const fuzzer = join(box.directory, 'plan-fuzz');
  const corpus = join(box.directory, 'corpus');
  const built = spawnSync(
    'clang',
    [
      '-std=c17',
      '-D_GNU_SOURCE',
      '-g',
      '-O1',
      '-fsanitize=fuzzer,address,undefined',
      '-fno-sanitize-recover=undefined',
      join(launcherSources, 'fuzz/plan-fuzz.c'),
      ...parserSources,
      '-o',
      fuzzer,
    ],
    { encoding: 'utf8' },
  );
  if (/fuzzer|libclang_rt/.test(built.stderr) && built.status !== 0) {
    t.skip('needs libFuzzer (package libclang-rt-14-dev)');
    return;
  }
  assert.equal(built.status, 0, built.stderr);
  mkdirSync(corpus);
  writeFileSync(join(corpus, 'valid'), valid);
  writeFileSync(join(corpus, 'every-section'), encodePlan({ ...planOf(box.spec()), ...everySection }));
  const run = spawnSync(fuzzer, ['-runs=20000', '-max_len=8192', '-seed=1', '-verbosity=0', corpus], {
    encoding: 'utf8',
    cwd: box.directory,
    timeout: 300_000,
  });
  assert.equal(run.status, 0, run.stderr.slice(-4000));
});

test('the parser accepts the compiler’s plans under sanitizers', {
  skip: skip || missing('cc', 'needs a C compiler'),
}, () => {
  const checker = join(box.directory, 'plan-check');
  const built = spawnSync(
    'cc',
    [
      '-std=c17',
      '-D_GNU_SOURCE',
      '-DSTANDALONE',
      '-g',
      '-fsanitize=address,undefined',
      '-fno-sanitize-recover=undefined',
      join(launcherSources, 'fuzz/plan-fuzz.c'),
      ...parserSources,
      '-o',
      checker,
    ],
    { encoding: 'utf8' },
  );
  assert.equal(built.status, 0, built.stderr);
  const plans = [
    box.spec(),
    box.spec({ userns: 'host', net: 'host' }),
    box.spec({ upper: box.persistent() }),
    box.spec({ userns: 'self' }),
  ];
  const everything = join(box.directory, 'every-section.plan');
  writeFileSync(everything, encodePlan({ ...planOf(box.spec()), ...everySection }));
  const files = [...plans.map((plan) => box.planFile(plan)), everything];
  const { status, stdout, stderr } = spawnSync(checker, files, { encoding: 'utf8' });
  assert.deepEqual([status, stderr], [0, '']);
  assert.equal(stdout, files.map((file) => `${file}: ok\n`).join(''));
});

function missing(program: string, why: string): string | false {
  return spawnSync(program, ['--version']).status === 0 ? false : why;
}
