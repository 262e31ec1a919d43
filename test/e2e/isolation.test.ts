import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createInstanceRig, type InstanceRig, serve } from '../support/instance-rig.js';
import { at } from '../support/json.js';
import { missingForContainers } from '../support/rootfs.js';

/** What containers may do, from the command line. */

const skip = missingForContainers();
let rig: InstanceRig;

before(async () => {
  if (skip !== false) return;
  rig = await createInstanceRig();
  const tree = join(rig.install('box', { exec: serve('up', 0) }), 'rootfs');
  mkdirSync(join(tree, 'srv/data/deep'), { recursive: true });
  writeFileSync(join(tree, 'srv/data/deep/file'), 'from the tree\n');
  chmodSync(join(tree, 'srv/data'), 0o2750);
});
after(async () => {
  if (skip === false) await rig[Symbol.asyncDispose]();
});

const sh = async (options: readonly string[], script: string) =>
  await rig.trees(['run', '--rm', ...options, 'box', '--', 'sh', '-c', script]);

test('wrong usage is 125, says what was expected, and runs nothing', { skip }, async () => {
  const file = rig.path('profile.json');
  writeFileSync(file, '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["opne"],"action":"SCMP_ACT_ERRNO"}]}');
  const refused: [string[], RegExp][] = [
    [['--security-opt', 'nonsense'], /--security-opt to be no-new-privileges/],
    [['--security-opt', 'label=type:svirt_t'], /no SELinux and AppArmor labels/],
    [['--security-opt', `seccomp=${file}`], /unknown system call "opne"/],
    [['--security-opt', 'seccomp=/none.json'], /cannot read the seccomp profile \/none\.json/],
    [['--userns', 'nonsense'], /--userns to be auto, host, keep-id or INSIDE:OUTSIDE:COUNT/],
    [['--userns', 'keep-id'], /keep-id from an unprivileged user/],
    [['--uidmap', '1:100000:10'], /map id 0/],
    [['--uidmap', '0:100000:10', '--uidmap', '5:200000:10'], /not to overlap/],
    [['--pid', 'container:other'], /--pid/],
    [['--uts', 'host', '--hostname', 'x'], /--hostname or --uts host/],
    [['--sysctl', 'kernel.panic=1'], /kernel\.panic: it is not separate/],
    [['--net', 'host', '--sysctl', 'net.ipv4.ip_forward=1'], /network is the host/],
    [['--oom-score-adj', '2000'], /--oom-score-adj/],
    [['--umask', '9'], /--umask to be octal/],
    [['--add-host', 'x'], /--add-host to be NAME:ADDRESS/],
    [['--dns', 'x'], /--dns to be an address/],
    [['--device', 'x'], /--device to be HOST/],
    [['--clock-offset', 'realtime=1'], /--clock-offset/],
    [['--landlock-rw', 'relative'], /absolute/],
    [['-v', '/a:/b:U'], /without U/],
  ];
  for (const [options, message] of refused) {
    const { status, stdout, stderr } = await sh(options, 'echo ran');
    assert.deepEqual([status, stdout], [125, ''], `${options.join(' ')}: ${stderr}`);
    assert.match(stderr, message);
  }
});

test('options reach the container', { skip }, async () => {
  const script =
    'umask; cat /proc/self/oom_score_adj /proc/sys/net/ipv4/ip_unprivileged_port_start; grep -c elsewhere /etc/hosts; cat /etc/resolv.conf; grep Seccomp: /proc/self/status';
  const { stdout, stderr } = await sh(
    [
      '--umask=027',
      '--oom-score-adj=100',
      '--sysctl=net.ipv4.ip_unprivileged_port_start=80',
      '--add-host=elsewhere:192.0.2.1',
      '--dns=192.0.2.53',
      '--security-opt=seccomp=unconfined',
    ],
    script,
  );
  assert.equal(stdout, '0027\n100\n80\n1\nnameserver 192.0.2.53\nSeccomp:\t0\n', stderr);
});

test('privileged: every capability, no filter, nothing hidden; still its own user ids', { skip }, async () => {
  const { stdout, stderr } = await sh(
    ['--privileged'],
    'grep -E "^(CapBnd|NoNewPrivs|Seccomp):" /proc/self/status; tr -s " " < /proc/self/uid_map; head -c1 /proc/timer_list >/dev/null && echo shown; mount -t tmpfs t /tmp && echo mounted',
  );
  assert.match(stdout, /^NoNewPrivs:\t0\nSeccomp:\t0$/m, stderr);
  assert.match(stdout, /CapBnd:\t0+1f{10}$/m);
  assert.doesNotMatch(stdout, /^ 0 0 /m);
  assert.match(stdout, /mounted\n$/);
});

test('user ids as they are mapped on the command line', { skip }, async () => {
  const { stdout, stderr } = await sh(
    ['--userns', '0:1900000000:1000,1000:1900100000:100'],
    'tr -s " " < /proc/self/uid_map; stat -c %u /etc/passwd',
  );
  assert.equal(stdout, ' 0 1900000000 1000\n 1000 1900100000 100\n0\n', stderr);
});

test('a new volume begins with what the tree has there, an old one stays as it is', { skip }, async () => {
  const list = 'cat /srv/data/deep/file; stat -c %a /srv/data; echo own > /srv/data/deep/file';
  const first = await rig.trees(['run', '--name', 'vol', '-v', 'data:/srv/data', 'box', '--', 'sh', '-c', list]);
  assert.equal(first.stdout, 'from the tree\n2750\n', first.stderr);
  const second = await rig.trees(['run', '--name', 'vol', '-v', 'data:/srv/data', 'box', '--', 'sh', '-c', list]);
  assert.equal(second.stdout, 'own\n2750\n', second.stderr);
  const empty = await rig.trees([
    'run',
    '--name',
    'vol',
    '-v',
    'bare:/srv/data:nocopy',
    'box',
    '--',
    'ls',
    '-A',
    '/srv/data',
  ]);
  assert.deepEqual([empty.status, empty.stdout], [0, ''], empty.stderr);
});

test('--explain-time names steps of both sides, for people and for programs', { skip }, async () => {
  const text = await rig.trees(['run', '--rm', '--explain-time', 'box', '--', 'true']);
  assert.match(
    text.stderr,
    /^plan: compiled, not kept: .+\nstart took \d+ us until the init was executed; slowest: .+ \((launcher|container)\), \d+ us\n/,
  );
  assert.match(text.stderr, /^ +[\d.]+ us {2}container {2}make \/proc$/m);
  const json = await rig.trees(['--json', 'run', '--rm', '--explain-time', 'box', '--', 'true']);
  const steps = at(JSON.parse(json.stderr), 'steps');
  assert.ok(Array.isArray(steps) && steps.length > 20, json.stderr);
});

test('inspect --security: what an instance may do, by plan and process; policies by exit status', {
  skip,
}, async () => {
  await rig.json(['run', '-d', '--name', 'safe', 'box']);
  const report = await rig.json(['inspect', '--security', 'safe']);
  assert.equal(at(report, 'report', 'source'), 'running');
  assert.equal(at(report, 'report', 'seccomp', 'profile'), 'built-in');
  assert.match(String(at(report, 'report', 'seccomp', 'hash')), /^[0-9a-f]{64}$/);
  assert.equal(at(report, 'report', 'process', 'seccomp'), 2);
  assert.deepEqual(at(report, 'report', 'process', 'sharedNamespaces'), []);
  assert.deepEqual(at(report, 'report', 'unmasked'), []);
  assert.equal((await rig.trees(['inspect', '--security', '--policy', 'default', 'safe'])).status, 0);
  const strict = await rig.trees(['inspect', '--security', '--policy', 'strict', 'safe']);
  assert.equal(strict.status, 1);
  assert.match(strict.stdout, /finding +capabilities: has the capabilities .*CHOWN/);
  assert.match(strict.stdout, /finding +root: the root is writable/);

  const weak = [
    '--security-opt',
    'seccomp=unconfined',
    '--security-opt',
    'unmask=ALL',
    '--cap-add',
    'SYS_ADMIN',
    '--ipc',
    'host',
  ];
  await rig.json(['run', '-d', '--name', 'weak', ...weak, '-v', `${rig.path('.')}:/host:suid,dev`, 'box']);
  const found = await rig.trees(['--json', 'inspect', '--security', '--policy', 'default', 'weak']);
  assert.equal(found.status, 1);
  const findings = at(JSON.parse(found.stdout), 'findings');
  assert.ok(Array.isArray(findings));
  assert.deepEqual(
    findings.map((finding) => at(finding, 'code')),
    ['capabilities', 'seccomp', 'shared-namespaces', 'unmasked', 'mount-options'].concat(
      readFileSync('/proc/sys/dev/tty/legacy_tiocsti', 'utf8').trim() === '0' ? [] : ['tiocsti'],
    ),
  );

  await rig.json(['run', '-d', '--name', 'tight', '--cap-drop', 'ALL', '--read-only', 'box']);
  const tight = await rig.trees(['inspect', '--security', '--policy', 'strict', 'tight']);
  assert.equal(tight.status, 0, tight.stdout);
  for (const name of ['safe', 'weak', 'tight']) await rig.ok(['stop', '-t', '1', name]);
});
