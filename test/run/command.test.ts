import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { RunSpec } from '../../trees/run/spec.js';
import { tryFlock } from '../../trees/system/index.js';
import { layOutApp } from '../support/laid-out-app.js';
import { missingForContainers } from '../support/rootfs.js';
import { bench, descendants, eventually, isAlive } from './support/container.js';

/** `trees run` as a user sees it, on generations laid out as the store does. */

const skip = missingForContainers();
const box = bench();
after(() => box[Symbol.dispose]());
/** `--root` is a prefix, as in rpm and dpkg. */
const prefix = join(box.directory, 'prefix');
const root = join(prefix, 'var/lib/trees');
const project = fileURLToPath(new URL('../../', import.meta.url));
const bin = [process.execPath, '--import', 'tsx', '--', join(project, 'trees/cli/bin.ts')];

const install = (name: string, run: RunSpec): string => layOutApp(root, name, run);

function environment(): NodeJS.ProcessEnv {
  return {
    ...process.env,
    NODE_EXTRA_CA_CERTS: undefined,
    TREES_ROOT: prefix,
    HOME: box.directory,
    FROM_CALLER: 'caller',
  };
}

function trees(words: readonly string[]) {
  const [node = '', ...args] = bin;
  const { status, signal, stdout, stderr } = spawnSync(node, [...args, ...words], {
    cwd: project,
    env: environment(),
    timeout: 120_000,
    encoding: 'utf8',
  });
  return { status, signal, stdout, stderr };
}

const generation = install('tool', {
  exec: ['sh', '-c', 'echo declared $A; echo kept > /kept'],
  env: { A: 'from-spec' },
  volumes: [{ path: '/var/lib/tool', mode: '0750', user: 'app' }],
});

/** `trees` with a descriptor 3 that is a file; what the file has got in the end. */
function withStatus(words: readonly string[]) {
  const file = join(mkdtempSync(join(box.directory, 'status-')), 'lines');
  const fd = openSync(file, 'w');
  const [node = '', ...args] = bin;
  const stdio = ['ignore', 'pipe', 'pipe', fd] as const;
  const result = spawnSync(node, [...args, ...words], {
    cwd: project,
    env: environment(),
    encoding: 'utf8',
    stdio: [...stdio],
  });
  closeSync(fd);
  return { ...result, lines: () => readFileSync(file, 'utf8') };
}

test('--status-fd tells of the first process and the end, and of no end before the start', { skip }, async () => {
  const whole = withStatus(['run', '--status-fd', '3', 'tool', '--', 'sh', '-c', 'ls /proc/self/fd; exit 42']);
  assert.deepEqual([whole.status, whole.stderr], [42, '']);
  assert.match(whole.lines(), /^\{"child-pid":\d+\}\n\{"exit-code":42\}\n$/);
  assert.equal(whole.stdout, '0\n1\n2\n3\n', 'three streams and the directory that is listed');
  const failed = withStatus(['run', '--status-fd', '3', '-v', '/nowhere/at/all:/x', 'tool']);
  assert.deepEqual([failed.status, failed.lines()], [125, '']);
  for (const way of [[], ['--json']]) {
    const detached = withStatus([
      'run',
      ...way,
      '-d',
      '--name',
      'told',
      '--status-fd',
      '3',
      'tool',
      '--',
      'sh',
      '-c',
      'exit 7',
    ]);
    assert.equal(detached.status, 0, detached.stderr);
    await eventually(() => /exit-code/.test(detached.lines()), 'the monitor tells of the end');
    assert.match(detached.lines(), /^\{"child-pid":\d+\}\n\{"exit-code":7\}\n$/);
    assert.equal(trees(['rm', '-f', 'told']).status, 0);
  }
  for (const [words, message] of [
    [['--status-fd', '2'], /descriptor from 3 on/],
    [['--status-fd', '77'], /descriptor 77 \(--status-fd\) to be open/],
    [['--preserve-fds', '1', '--status-fd', '3'], /descriptor from 4 on/],
  ] as const) {
    const wrong = withStatus(['run', ...words, 'tool']);
    assert.equal(wrong.status, 125);
    assert.match(wrong.stderr, message);
  }
});

test('labels of mounts, which mean nothing here, are said to', { skip }, () => {
  for (const words of [
    ['-v', '/etc:/host:ro,Z'],
    ['--mount', 'type=bind,source=/etc,target=/host,ro,relabel=shared'],
  ]) {
    const { status, stderr } = trees(['run', '--rm', ...words, 'tool', '--', 'test', '-e', '/host/passwd']);
    assert.deepEqual(
      [status, stderr],
      [0, 'warning: SELinux labels are not changed: z, Z and relabel mean nothing here\n'],
    );
  }
});

test('runs what the app declares, then a command of one’s own, and passes on its status', { skip }, () => {
  const declared = trees(['run', 'tool']);
  assert.deepEqual(declared, { status: 0, signal: null, stdout: 'declared from-spec\n', stderr: '' });
  const own = trees(['run', 'tool', '--', 'sh', '-c', 'cat /kept; exit 33']);
  assert.deepEqual(own, { status: 33, signal: null, stdout: 'kept\n', stderr: '' });
  const killed = trees(['run', 'tool', '--', 'sh', '-c', 'kill -TERM $$']);
  assert.equal(killed.status, 143);
});

test('the plan of the plain invocation is kept in the generation and is not rewritten', { skip }, () => {
  trees(['run', 'tool']);
  const plan = join(generation, 'launch.plan');
  const before = statSync(plan);
  assert.equal(before.mode & 0o777, 0o600);
  trees(['run', 'tool']);
  assert.equal(statSync(plan).ino, before.ino);
  const direct = spawnSync(join(project, 'build/Release/trees-launch'), [plan], { encoding: 'utf8' });
  assert.equal(direct.stdout, 'declared from-spec\n');
  assert.deepEqual(
    readdirSync(generation).filter((name) => name.startsWith('launch.plan')),
    ['launch.plan'],
  );
});

test('environment, working directory, user, host name', { skip }, () => {
  const file = join(box.directory, 'vars.env');
  writeFileSync(file, '# comment\n\nFILE=from file\nA=file\nFROM_CALLER\n');
  const { stdout, stderr } = trees([
    'run',
    '--env-file',
    file,
    '-e',
    'A=flag',
    '--env',
    'NOT_SET_ANYWHERE',
    '-w',
    '/tmp',
    '-u',
    'app',
    '--hostname',
    'named',
    'tool',
    '--',
    'sh',
    '-c',
    'echo "$A|$FILE|$FROM_CALLER|${NOT_SET_ANYWHERE-unset}|$HOME|$container"; pwd; id -un; hostname; env | grep -c TREES',
  ]);
  assert.equal(stdout, 'flag|from file|caller|unset|/home/app|trees\n/tmp\napp\nnamed\n0\n', stderr);
});

test('what is written is kept by name, and forgotten with --rm, --ephemeral and --read-only', { skip }, () => {
  const sh = (options: string[], script: string): string =>
    trees(['run', ...options, 'tool', '--', 'sh', '-c', script]).stdout;
  assert.equal(sh(['--name', 'other'], 'cat /mine 2>/dev/null; echo other > /mine'), '');
  assert.equal(sh(['--name', 'other'], 'cat /mine'), 'other\n');
  // So that removing the app with --purge finds it.
  assert.equal(readFileSync(join(root, 'data/other/app'), 'utf8'), 'tool\n');
  assert.equal(sh([], 'cat /mine 2>/dev/null; echo none'), 'none\n');
  for (const option of ['--rm', '--ephemeral']) {
    assert.equal(sh([option], 'echo x > /forgotten; cat /forgotten'), 'x\n');
    assert.equal(sh([], 'ls /forgotten 2>/dev/null; echo gone'), 'gone\n');
  }
  assert.equal(
    sh(['--read-only'], 'touch /x 2>/dev/null || echo no; touch /tmp/x /run/x /var/tmp/x && echo yes'),
    'no\nyes\n',
  );
});

test('volumes: declared, named, bound; data survives --rm and is the app’s', { skip }, () => {
  const source = mkdtempSync(join(box.directory, 'source-'));
  writeFileSync(join(source, 'file'), 'bound\n');
  const first = trees([
    'run',
    '--rm',
    '-v',
    `${source}:/data:ro`,
    '-v',
    'cache:/cache',
    '--tmpfs',
    '/mem:size=64k,mode=700',
    '--mount',
    `type=bind,src=${source},dst=/again`,
    'tool',
    '--',
    'sh',
    '-c',
    'cat /data/file; echo c > /cache/c; echo v > /var/lib/tool/v; stat -c "%a %U" /var/lib/tool; touch /data/x; touch /again/new; stat -c %a /mem',
  ]);
  assert.equal(first.stdout, 'bound\n750 app\n700\n');
  assert.match(first.stderr, /Read-only file system/);
  assert.equal(existsSync(join(source, 'new')), true);
  const second = trees([
    'run',
    '--rm',
    '-v',
    'cache:/elsewhere',
    'tool',
    '--',
    'cat',
    '/elsewhere/c',
    '/var/lib/tool/v',
  ]);
  assert.equal(second.stdout, 'c\nv\n');
  assert.equal(readFileSync(join(root, 'data/tool/volumes/var-lib-tool/v'), 'utf8'), 'v\n');
  assert.equal(statSync(join(root, 'data/tool/volumes/var-lib-tool')).uid, 1000);
});

test('every instance has ids of its own, for good', { skip }, () => {
  const map = (name: string): string =>
    trees(['run', '--name', name, 'tool', '--', 'cat', '/proc/self/uid_map']).stdout.trim().replaceAll(/\s+/g, ' ');
  const [a, b, again] = [map('first'), map('second'), map('first')];
  assert.match(a, /^0 \d+ 65536$/);
  assert.notEqual(a, b);
  assert.equal(a, again);
  const host = trees(['run', '--userns', 'host', 'tool', '--', 'cat', '/proc/self/uid_map']).stdout;
  assert.match(host, /^\s+0\s+0\s+4294967295/);
});

test('capabilities and limits', { skip }, () => {
  const eff = (...options: string[]): string =>
    trees(['run', ...options, 'tool', '--', 'grep', 'CapEff', '/proc/self/status']).stdout.trim();
  assert.equal(eff(), 'CapEff:\t00000000a80425fb');
  assert.equal(eff('--cap-drop', 'ALL'), 'CapEff:\t0000000000000000');
  assert.equal(eff('--cap-drop', 'all', '--cap-add', 'CAP_NET_ADMIN,chown'), 'CapEff:\t0000000000001001');
  const limit = trees(['run', '--ulimit', 'nofile=64:128', 'tool', '--', 'sh', '-c', 'ulimit -Sn; ulimit -Hn']);
  assert.equal(limit.stdout, '64\n128\n');
});

test('the network is none unless the app declares ports', { skip }, () => {
  install('server', { exec: ['readlink', '/proc/self/ns/net'], ports: [80] });
  const own = spawnSync('readlink', ['/proc/self/ns/net'], { encoding: 'utf8' }).stdout;
  assert.equal(trees(['run', 'server']).stdout, own);
  assert.notEqual(trees(['run', '--net', 'none', 'server']).stdout, own);
  assert.notEqual(trees(['run', 'tool', '--', 'readlink', '/proc/self/ns/net']).stdout, own);
  assert.equal(trees(['run', '--network', 'host', 'tool', '--', 'readlink', '/proc/self/ns/net']).stdout, own);
});

test('wrong usage and everything that fails before the command is 125 with nothing on stdout', { skip }, () => {
  install('nothing', {});
  install('services', { mode: 'services' });
  const cases: [string[], RegExp][] = [
    [['tool', '--bogus'], /bogus/],
    [[], /Expected APP/],
    [['--net', 'bridge', 'tool'], /bridge|net/],
    [['-v', '/nowhere', 'tool'], /SOURCE:TARGET/],
    [['-v', '/no/such/path:/data', 'tool'], /\/no\/such\/path.*does not exist/],
    [['-v', '/tmp:/proc/x', 'tool'], /below \/proc/],
    [['-v', '/tmp:relative', 'tool'], /absolute/],
    [['-v', '/tmp:/a:shiny', 'tool'], /shiny/],
    [['--tmpfs', '/a:size=0', 'tool'], /positive/],
    [['--tmpfs', '/a:size=-5', 'tool'], /positive/],
    [['--tmpfs', '/a:size=18446744073709551616', 'tool'], /positive/],
    [['--cap-add', 'NONSENSE', 'tool'], /NONSENSE/],
    [['--ulimit', 'nofile=5:2', 'tool'], /at most the hard/],
    [['--name', '../x', 'tool'], /\.\.\/x/],
    [['--env-file', '/no/file', 'tool'], /\/no\/file/],
    [['--env', '=x', 'tool'], /NAME=VALUE/],
    [['-w', '/no/dir', 'tool'], /\/no\/dir/],
    [['-u', 'nosuch', 'tool'], /nosuch/],
    [['nothing'], /declares no command/],
    [['services'], /none are declared/],
    [['not-installed'], /not-installed/],
  ];
  for (const [words, message] of cases) {
    const { status, stdout, stderr } = trees(['run', ...words]);
    assert.deepEqual([status, stdout], [125, ''], `${words.join(' ')}: ${stderr}`);
    assert.match(stderr, message, words.join(' '));
  }
  assert.equal(trees(['run', 'services', '--', 'echo', 'ok']).stdout, 'ok\n');
  assert.equal(trees(['run', 'tool', '--', '/no/such']).status, 127);
  assert.equal(trees(['run', 'tool', '--', '/etc/passwd']).status, 126);
});

test('no Node process stays behind, signals go straight to the launcher, the generation is held', {
  skip,
}, async () => {
  const [node = '', ...args] = bin;
  const child = spawn(
    node,
    [...args, 'run', 'tool', '--', 'sh', '-c', "trap 'exit 21' TERM; echo up; while :; do sleep 0.05; done"],
    {
      cwd: project,
      env: environment(),
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const done = new Promise<number | null>((resolve) => child.once('close', resolve));
  await eventually(() => output.includes('up'), 'the command is up');
  const pid = child.pid ?? -1;
  assert.equal(readFileSync(`/proc/${pid}/comm`, 'utf8'), 'trees-launch\n');
  const names = descendants(pid).map((each) => readFileSync(`/proc/${each}/comm`, 'utf8').trim());
  assert.equal(names[0], 'trees-init');
  assert.equal(names.includes('node'), false);

  const lock = openSync(join(generation, '.in-use'), 'r');
  assert.equal(tryFlock(lock, 'exclusive'), false);
  const busy = trees(['run', 'tool']);
  assert.equal(busy.status, 125);
  assert.match(busy.stderr, /running already/);
  assert.equal(trees(['run', '--rm', 'tool', '--', 'echo', 'beside']).stdout, 'beside\n');

  child.kill('SIGTERM');
  assert.equal(await done, 21);
  assert.equal(tryFlock(lock, 'exclusive'), true);
  closeSync(lock);
  assert.equal(isAlive(pid), false);
});

test('--dry-run says what would run and changes nothing', { skip }, () => {
  const { status, stdout } = trees(['run', '--dry-run', '--json', '--name', 'never', 'tool']);
  assert.equal(status, 0);
  const parsed: unknown = JSON.parse(stdout);
  assert.match(JSON.stringify(parsed), /"argv":\["sh"/);
  assert.equal(existsSync(join(root, 'data/never')), false);
});
