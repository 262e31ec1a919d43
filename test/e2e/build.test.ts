import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import compare from 'semver/functions/compare.js';
import { eventually } from '../support/eventually.js';
import { createRig, projectRoot, type Rig, runProgram } from '../support/rig.js';

const skip =
  process.getuid?.() !== 0
    ? 'building images needs root'
    : !['/bin/busybox', '/lib/ld-musl-x86_64.so.1'].every((path) => existsSync(path)) &&
      'busybox-static and musl are not installed';

interface Image {
  name: string;
  version: string;
  ref: string;
  commit: string;
  files: number;
  status: string;
}

const definition = {
  kind: 'app',
  name: 'demo',
  summary: 'made of a directory',
  from: { base: 'alp', range: '>=1' },
  version: { fixed: '1.2.3' },
  build: {
    builder: 'dir',
    source: 'tree',
    into: '/opt/demo',
    files: [
      { path: '/etc/demo.conf', content: 'answer=42\n', mode: '0640', owner: 'root:www-data' },
      { path: '/usr/bin/demo', symlink: '/opt/demo/bin/demo' },
      { path: '/etc/shells', remove: true },
    ],
    steps: [
      { name: 'touch without change', run: 'cat /etc/passwd >/tmp/p\ncat /tmp/p >/etc/passwd\nchmod 644 /etc/group\n' },
      { name: 'replace a directory', run: 'rm -r /etc/profile.d\nmkdir /etc/profile.d\necho x >/etc/profile.d/x.sh\n' },
      {
        name: 'leave traces',
        run: 'echo log >/var/log/x.log\necho 1 >/run/x\nmkdir -p /var/cache/demo\necho 2 >/var/cache/demo/y',
      },
      { name: 'no network', run: '[ "$(ls /sys/class/net)" = lo ]\n' },
    ],
  },
  run: { exec: ['demo'], ports: [80] },
};

async function writeDefinition(rig: Rig, changes: object = {}): Promise<string> {
  await mkdir(rig.path('defs/tree/bin'), { recursive: true });
  await writeFile(rig.path('defs/tree/bin/demo'), '#!/bin/sh\n. /etc/demo.conf\necho "answer $answer"\n');
  await chmod(rig.path('defs/tree/bin/demo'), 0o700);
  await symlink('bin/demo', rig.path('defs/tree/link')).catch(() => undefined);
  const file = rig.path('defs/demo.json');
  await writeFile(file, JSON.stringify({ ...definition, ...changes }));
  return file;
}

async function build(rig: Rig, args: readonly string[]): Promise<Image[]> {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the shape is what the tests are about
  const result = (await rig.json([
    'build',
    ...(args.includes('--builder') ? [] : ['--builder', 'busybox']),
    ...args,
  ])) as { images: Image[] };
  return result.images;
}

const repoOf = (rig: Rig): string => `${rig.store}/build/repo`;

/** What `ostree ls -R -C` says, with runs of spaces made one. */
async function contents(rig: Rig, ref: string): Promise<string[]> {
  const output = await rig.ostree([`--repo=${repoOf(rig)}`, 'ls', '-R', '-C', ref]);
  return output
    .trim()
    .split('\n')
    .map((line) => line.replaceAll(/ +/g, ' '));
}

function nothingLeft(rig: Rig): void {
  assert.deepEqual(readdirSync(`${rig.store}/build/work`), []);
  assert.doesNotMatch(readFileSync('/proc/self/mountinfo', 'utf8'), new RegExp(rig.dir));
}

test('a base and an app come out the same from two machines, and are not built again', { skip }, async () => {
  await using one = await createRig();
  await using two = await createRig();
  const first = await build(one, [await writeDefinition(one)]);
  assert.deepEqual(
    first.map((image) => [image.name, image.status]),
    [
      ['alp', 'built'],
      ['demo', 'built'],
    ],
  );
  const second = await build(two, ['alp', await writeDefinition(two)]);
  assert.deepEqual(
    second.map(({ name, commit }) => [name, commit]),
    first.map(({ name, commit }) => [name, commit]),
  );
  const [base, app] = first;
  assert.ok(base !== undefined && app !== undefined);
  for (const image of [base, app]) assert.deepEqual(await contents(one, image.ref), await contents(two, image.ref));
  await one.ostree([`--repo=${repoOf(one)}`, 'fsck', '--quiet']);
  nothingLeft(one);

  const again = await build(one, ['alp', one.path('defs/demo.json')]);
  assert.deepEqual(
    again.map((image) => [image.status, image.commit]),
    [
      ['unchanged', base.commit],
      ['unchanged', app.commit],
    ],
  );
  const forced = await build(one, ['--force', 'alp', one.path('defs/demo.json')]);
  assert.deepEqual(
    forced.map((image) => [image.status, image.commit]),
    [
      ['built', base.commit],
      ['built', app.commit],
    ],
  );
});

test('a layer is what the app adds to, changes in and removes from its base, and nothing else', { skip }, async () => {
  await using rig = await createRig();
  const [base, app] = await build(rig, [await writeDefinition(rig)]);
  assert.ok(base !== undefined && app !== undefined);
  assert.match(base.version, /^1\.\d+\.\d+$/);
  assert.equal(app.ref, 'layer/demo/x86_64/1.2.3');
  const entries = (await contents(rig, app.ref)).map((line) => {
    const [mode = '', uid = '', gid = '', , , ...rest] = line.split(' ');
    return [mode, uid, gid, ...rest.filter((word) => !/^[0-9a-f]{64}$/.test(word))].join(' ');
  });
  assert.deepEqual(entries.toSorted(), [
    '-00640 0 33 /etc/demo.conf',
    '-00644 0 0 /etc/.wh.shells',
    '-00644 0 0 /etc/profile.d/.wh..wh..opq',
    '-00644 0 0 /etc/profile.d/x.sh',
    '-00755 0 0 /opt/demo/bin/demo',
    'd00755 0 0 /',
    'd00755 0 0 /etc',
    'd00755 0 0 /etc/profile.d',
    'd00755 0 0 /opt',
    'd00755 0 0 /opt/demo',
    'd00755 0 0 /opt/demo/bin',
    'd00755 0 0 /usr',
    'd00755 0 0 /usr/bin',
    'd00755 0 0 /var',
    'd00755 0 0 /var/cache',
    'd00755 0 0 /var/cache/demo',
    'l00777 0 0 /opt/demo/link -> bin/demo',
    'l00777 0 0 /usr/bin/demo -> /opt/demo/bin/demo',
  ]);
  const metadata = async (key: string): Promise<string> =>
    (await rig.ostree([`--repo=${repoOf(rig)}`, 'show', `--print-metadata-key=${key}`, app.ref])).trim();
  assert.equal(await metadata('trees.kind'), "'layer'");
  assert.equal(await metadata('version'), "'1.2.3'");
  assert.equal(await metadata('trees.run'), `'${JSON.stringify(definition.run)}'`);
  const on = JSON.stringify({ name: 'alp', range: '>=1', version: base.version, commit: base.commit });
  assert.equal(await metadata('trees.base'), `'${on}'`);
});

test('files and steps of a base are part of it; a directory and an archive can be bases', { skip }, async () => {
  await using rig = await createRig();
  const base = {
    kind: 'base',
    name: 'mini',
    summary: 'changed after it was made',
    version: { file: '/etc/release', pattern: 'mini ([0-9.]+)' },
    build: {
      builder: 'busybox',
      files: [
        { path: '/etc/release', content: 'mini 2.5\n' },
        { path: '/etc/shells', remove: true },
      ],
      steps: [
        { run: 'rm -r /media\nmkdir /srv/x\nchown 33:33 /srv/x\nchmod 2770 /srv/x\nln -f /etc/release /etc/other\n' },
      ],
    },
  };
  await writeFile(rig.path('mini.json'), JSON.stringify(base));
  const [mini] = await build(rig, [rig.path('mini.json')]);
  assert.match(mini?.version ?? '', /^2\.5\.\d{6}$/);
  const paths = await contents(rig, mini?.ref ?? '');
  assert.ok(paths.some((line) => /^d02770 33 33 .* \/srv\/x$/.test(line)));
  assert.ok(paths.some((line) => line.endsWith(' /etc/other')));
  assert.ok(!paths.some((line) => /\/(media|etc\/shells|\.wh\..*)$/.test(line)));

  await rig.ostree([`--repo=${repoOf(rig)}`, 'checkout', mini?.ref ?? '', rig.path('tree')]);
  await runProgram('tar', ['-C', rig.path('tree'), '-cf', rig.path('tree.tar'), '.']);
  const sha256 = (await runProgram('sha256sum', [rig.path('tree.tar')])).stdout.slice(0, 64);
  for (const [builder, source] of [
    ['dir', 'tree'],
    ['tar', 'tree.tar'],
  ] as const) {
    const from = { ...base, name: builder, build: { builder, source, ...(builder === 'tar' ? { sha256 } : {}) } };
    await writeFile(rig.path(`${builder}.json`), JSON.stringify(from));
    const [copy] = await build(rig, ['--builder', builder, rig.path(`${builder}.json`)]);
    assert.deepEqual(await contents(rig, copy?.ref ?? ''), paths, builder);
  }
  const wrong = { ...base, name: 'tar', build: { builder: 'tar', source: 'tree.tar', sha256: '0'.repeat(64) } };
  await writeFile(rig.path('tar.json'), JSON.stringify(wrong));
  assert.match(
    (await rig.trees(['build', rig.path('tar.json')])).stderr,
    /tree\.tar: Expected its SHA-256 to be 0{64}, got [0-9a-f]{64}/,
  );
});

test('other content gets a greater version, equal content keeps the one it has', { skip }, async () => {
  await using rig = await createRig();
  const versions = { version: { file: '/etc/demo-version' } };
  const change = async (content: string, extra = ''): Promise<Image | undefined> => {
    const files = [
      { path: '/etc/demo-version', content: '2.1.0\n' },
      { path: '/etc/demo', content },
    ];
    const steps = [{ run: `:${extra}\n` }];
    const [image] = (await build(rig, [await writeDefinition(rig, { ...versions, build: { files, steps } })])).slice(
      -1,
    );
    return image;
  };
  const first = await change('one');
  const second = await change('two');
  assert.ok(first !== undefined && second !== undefined);
  assert.ok(compare(second.version, first.version) > 0, `${second.version} > ${first.version}`);
  const reworded = await change('two', ' comment');
  assert.deepEqual([reworded?.status, reworded?.version, reworded?.commit], ['built', second.version, second.commit]);
  const refs = await rig.ostree([`--repo=${repoOf(rig)}`, 'refs', '--list', 'layer/demo']);
  assert.equal(refs.trim().split('\n').length, 2);
});

test('a failing step is named with its output, and leaves no ref, no mount and no directory', { skip }, async () => {
  await using rig = await createRig();
  const steps = [{ name: 'sure to fail', run: 'echo the reason >&2\nexit 3\n' }];
  const file = await writeDefinition(rig, { build: { steps } });
  const result = await rig.trees(['build', '--builder', 'busybox', file]);
  assert.equal(result.status, 1);
  assert.equal(result.stdout, '');
  assert.match(result.stderr, /error: build failed: step 1 \(sure to fail\): exit status 3\n\s+the reason/);
  const log = /the whole output is in (\S+)/.exec(result.stderr)?.[1];
  assert.ok(log !== undefined && readFileSync(log, 'utf8').includes('the reason'));
  assert.match(await rig.ostree([`--repo=${repoOf(rig)}`, 'refs']), /^base\/alp\/x86_64\/\S+\n$/);
  nothingLeft(rig);
});

test('what cannot be built is said before anything is changed', { skip }, async () => {
  await using rig = await createRig();
  const cases: ReadonlyArray<readonly [readonly string[], string, RegExp]> = [
    [['build', 'etdc'], 'DEFINITION_NOT_FOUND', /no definition of etdc/],
    [['build', '--builder', 'apk', 'alp'], 'TOOL_MISSING', /apk/],
    [
      ['build', await writeDefinition(rig, { from: { base: 'nowhere', range: '*' } })],
      'BASE_NOT_FOUND',
      /its base nowhere/,
    ],
  ];
  for (const [args, code, message] of cases) {
    const result = await rig.trees([...args, '--json']);
    assert.equal(result.status, 1, result.stderr);
    assert.match(result.stderr, message);
    assert.match(result.stdout, new RegExp(`"code": ?"${code}"`));
  }
  assert.equal(await rig.ostree([`--repo=${repoOf(rig)}`, 'refs']), '');
  await build(rig, ['alp']);
  const picky = await writeDefinition(rig, { from: { base: 'alp', range: '^99' } });
  const result = await rig.trees(['build', picky]);
  assert.match(result.stderr, /no base alp satisfies \^99: built are 1\./);
});

test('a dry run says what would be built and builds nothing', { skip }, async () => {
  await using rig = await createRig();
  const result = await rig.trees(['build', '--dry-run', '--builder', 'busybox', await writeDefinition(rig)]);
  assert.equal(result.status, 0, result.stderr);
  assert.equal(result.stdout, 'alp: would be built\ndemo: would be built\n');
  assert.equal(await rig.ostree([`--repo=${repoOf(rig)}`, 'refs']), '');
});

/** Pids of processes whose command line has `text`. */
function processesWith(text: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(text);
    } catch {
      return false;
    }
  });
}

for (const [signal, ended] of [
  ['SIGKILL', { status: null, signal: 'SIGKILL' }],
  ['SIGTERM', { status: 143, signal: null }],
] as const) {
  test(`a build that gets ${signal} leaves no process and no mount, and the next one cleans up`, { skip }, async () => {
    await using rig = await createRig();
    await build(rig, ['alp']);
    const marker = `31${process.pid}${signal === 'SIGKILL' ? 1 : 2}`;
    const file = await writeDefinition(rig, { build: { steps: [{ run: `sleep ${marker}\n` }] } });
    const child = spawn(process.execPath, [`${projectRoot}/dist/cli/bin.js`, 'build', file], {
      env: { ...process.env, TREES_ROOT: rig.root, XDG_CONFIG_HOME: rig.path('config') },
      stdio: 'ignore',
    });
    const exit = new Promise((resolve) => {
      child.on('close', (status, by) => resolve({ status, signal: by }));
    });
    await eventually('the step runs', () => processesWith(`sleep\0${marker}`).length > 0);
    child.kill(signal);
    assert.deepEqual(await exit, ended);
    await eventually('the step is gone', () => processesWith(`sleep\0${marker}`).length === 0);
    assert.doesNotMatch(readFileSync('/proc/self/mountinfo', 'utf8'), new RegExp(rig.dir));
    assert.match(await rig.ostree([`--repo=${repoOf(rig)}`, 'refs']), /^base\/alp\/x86_64\/\S+\n$/);
    const images = await build(rig, [await writeDefinition(rig)]);
    assert.deepEqual(
      images.map((image) => image.status),
      ['built'],
    );
    nothingLeft(rig);
  });
}
