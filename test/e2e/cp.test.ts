import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createInstanceRig, type InstanceRig, serve } from '../support/instance-rig.js';
import { projectRoot } from '../support/rig.js';
import { missingForContainers } from '../support/rootfs.js';

/** Files into instances and out of them. */

const skip = missingForContainers();
let rig: InstanceRig;
const NAME = 'box';

before(async () => {
  if (skip !== false) return;
  rig = await createInstanceRig();
  rig.install('app', { exec: serve('up'), volumes: [{ path: '/var/lib/app' }] });
  await rig.ok(['run', '-d', '--name', NAME, 'app']);
  mkdirSync(rig.path('in/sub'), { recursive: true });
  writeFileSync(rig.path('in/file'), 'content\n', { mode: 0o640 });
  writeFileSync(rig.path('in/sub/deep'), 'deep\n');
  symlinkSync('/etc/shadow', rig.path('in/link'));
});
after(async () => {
  if (skip === false) await rig[Symbol.asyncDispose]();
});

/** As a process in the container sees it, running or not. */
async function inside(script: string): Promise<string> {
  const running = (await rig.instance(NAME))['running'] === true;
  const line = running ? ['exec', NAME] : ['run', '--name', NAME, 'app'];
  return await rig.ok([...line, '--', 'sh', '-c', script]);
}

async function bothWays(where: string): Promise<void> {
  await rig.ok(['cp', rig.path('in/file'), `${NAME}:/etc/${where}`]);
  assert.equal(await inside(`cat /etc/${where}; stat -c '%a %u %g' /etc/${where}`), 'content\n640 0 0\n');
  await rig.ok(['cp', rig.path('in'), `${NAME}:/root/`]);
  await rig.ok(['cp', `${rig.path('in')}/.`, `${NAME}:/home/app`]);
  assert.equal(
    await inside('cat /root/in/sub/deep /home/app/file; readlink /root/in/link'),
    'deep\ncontent\n/etc/shadow\n',
  );
  await rig.ok(['cp', rig.path('in/file'), `${NAME}:/var/lib/app/${where}`]);
  assert.equal(await inside(`cat /var/lib/app/${where}`), 'content\n');

  const out = rig.path(`out-${where}`);
  await rig.ok(['cp', `${NAME}:/root/in`, out]);
  assert.equal(readFileSync(`${out}/sub/deep`, 'utf8'), 'deep\n');
  assert.equal(readlinkSync(`${out}/link`), '/etc/shadow');
  assert.equal(statSync(`${out}/file`).mode & 0o777, 0o640);
  await rig.ok(['cp', `${NAME}:/etc/${where}`, `${out}/`]);
  assert.equal(readFileSync(`${out}/${where}`, 'utf8'), 'content\n');
  // Once more replaces it.
  await rig.ok(['cp', rig.path('in/sub/deep'), `${NAME}:/etc/${where}`]);
  assert.equal(await inside(`cat /etc/${where}`), 'deep\n');
  for (const [from, to, message] of [
    [`${NAME}:/no/such`, rig.path('x'), /no is not there/],
    [`${NAME}:/etc/none`, rig.path('x'), /does not exist/],
    [rig.path('in/none'), `${NAME}:/etc/x`, /does not exist/],
    [rig.path('in/file'), `${NAME}:/no/where/x`, /no is not there/],
    [rig.path('in'), `${NAME}:/etc/passwd`, /no directory/],
    [rig.path('in/file'), rig.path('y'), /INSTANCE:PATH/],
    [rig.path('in/file'), 'nobody:/x', /no instance/],
  ] as const) {
    const wrong = await rig.trees(['cp', from, to]);
    assert.notEqual(wrong.status, 0, `${from} ${to}`);
    assert.match(wrong.stderr, message);
  }
}

test('of a running instance, owners as its root sees them', { skip }, async () => {
  await bothWays('running');
});

test('symlinks in the container never lead out of it', { skip }, async () => {
  const secret = rig.path('secret');
  writeFileSync(secret, 'host\n');
  await inside(`ln -s ${rig.dir} /escape; ln -s ../../../../../..${rig.dir} /root/up; ln -s loop /loop`);
  for (const path of ['/escape', '/root/up', '/proc/1/root/escape']) {
    const read = await rig.trees(['cp', `${NAME}:${path}/secret`, rig.path('leak')]);
    assert.notEqual(read.status, 0, path);
    const write = await rig.trees(['cp', rig.path('in/file'), `${NAME}:${path}/secret`]);
    assert.notEqual(write.status, 0, path);
  }
  assert.match((await rig.trees(['cp', `${NAME}:/loop/x`, rig.path('leak')])).stderr, /circles/);
  // A link that is the source itself is copied as what it is.
  await inside(`ln -s ${secret} /root/secret`);
  await rig.ok(['cp', `${NAME}:/root/secret`, rig.path('leak')]);
  assert.equal(lstatSync(rig.path('leak')).isSymbolicLink(), true);
  assert.match((await rig.trees(['cp', '-L', `${NAME}:/root/secret`, rig.path('leak2')])).stderr, /not there/);
  assert.equal(existsSync(rig.path('leak2')), false);
  assert.equal(readFileSync(secret, 'utf8'), 'host\n');
});

test('of one that does not run: what it wrote, what it removed, volumes', { skip }, async () => {
  await inside('rm /etc/marker; rm -r /home/app; echo w > /written');
  await rig.ok(['stop', NAME]);
  assert.match((await rig.trees(['cp', `${NAME}:/etc/marker`, rig.path('x')])).stderr, /does not exist/);
  await rig.ok(['cp', `${NAME}:/written`, rig.path('written')]);
  assert.equal(readFileSync(rig.path('written'), 'utf8'), 'w\n');
  // In the place of a directory that was removed nothing of it comes back.
  mkdirSync(rig.path('app/new'), { recursive: true });
  await rig.ok(['cp', rig.path('app'), `${NAME}:/home/`]);
  assert.equal(await inside('ls /home/app'), 'new\n');
  await bothWays('stopped');
});

test('--archive keeps numbers, --dry-run copies nothing', { skip }, async () => {
  await inside('touch /owned; chown 1000:2000 /owned');
  await rig.ok(['cp', '-a', `${NAME}:/owned`, rig.path('owned')]);
  const { uid, gid } = statSync(rig.path('owned'));
  assert.deepEqual([uid, gid], [1000, 2000]);
  await rig.ok(['start', NAME]);
  await rig.ok(['cp', '-a', rig.path('owned'), `${NAME}:/again`]);
  assert.equal(await inside('stat -c "%u %g" /again'), '1000 2000\n');
  await rig.ok(['cp', '-a', `${NAME}:/again`, rig.path('again')]);
  assert.equal(statSync(rig.path('again')).uid, 1000);
  await rig.ok(['cp', '--dry-run', rig.path('in/file'), `${NAME}:/never`]);
  assert.equal(await inside('test -e /never || echo no'), 'no\n');
});

test('through tar archives on standard output and input', { skip }, async () => {
  await rig.ok(['cp', rig.path('in'), `${NAME}:/srv`]);
  const command = [process.execPath, join(projectRoot, 'dist/cli/bin.js')];
  const env = { ...process.env, TREES_ROOT: rig.root };
  const archive = rig.path('out.tar');
  const line = `"$@" cp ${NAME}:/srv - > ${archive} && tar -tf ${archive} | sort`;
  const packed = spawnSync('sh', ['-c', line, 'sh', ...command], { encoding: 'utf8', env });
  assert.deepEqual(
    [packed.status, packed.stdout],
    [0, 'srv/\nsrv/file\nsrv/link\nsrv/sub/\nsrv/sub/deep\n'],
    packed.stderr,
  );
  const back = spawnSync('sh', ['-c', `tar -C ${rig.path('')} -c in | "$@" cp - ${NAME}:/opt`, 'sh', ...command], {
    encoding: 'utf8',
    env,
  });
  assert.equal(back.status, 0, back.stderr);
  assert.equal(
    await inside('cat /opt/in/sub/deep; stat -c %a /opt/in/file; readlink /opt/in/link'),
    'deep\n640\n/etc/shadow\n',
  );
  const wrong = await rig.trees(['cp', '-', `${NAME}:/opt`], {
    input: 'no archive at all, but long enough to be looked at',
  });
  assert.equal(wrong.status, 2);
  assert.match(wrong.stderr, /Expected a tar archive/);
});
