import assert from 'node:assert/strict';
import { existsSync, readlinkSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { buildServiceHelper, missingForServices } from '../run/support/services.js';
import { eventually } from '../support/eventually.js';
import { createInstanceRig, type InstanceRig, serve } from '../support/instance-rig.js';
import { at } from '../support/json.js';
import { missingForContainers } from '../support/rootfs.js';
import { createRunningSample } from '../support/running-sample.js';

/** Restarts on other generations, and back. */

const skip = missingForContainers();
let rig: InstanceRig;

before(async () => {
  if (skip === false) rig = await createInstanceRig();
});
after(async () => {
  if (skip === false) await rig[Symbol.asyncDispose]();
});

const generationIn = async (where: InstanceRig, name: string): Promise<unknown> =>
  (await where.instance(name))['generation'];
const generationOf = async (name: string): Promise<unknown> => await generationIn(rig, name);

test('restart moves to the current generation, and goes back when that does not run or is not healthy', {
  skip,
}, async () => {
  rig.install('app', { exec: serve('one') });
  await rig.ok(['run', '-d', '--name', 'web', '-e', 'KEPT=yes', 'app']);
  rig.install('app', { exec: serve('two') }, 2);
  const would = await rig.json(['restart', 'web', '--dry-run']);
  assert.deepEqual(at(would, 'instances', 0), { name: 'web', app: 'app', from: 1, to: 2 });
  assert.equal(await generationOf('web'), 1);
  assert.deepEqual(await rig.json(['restart', 'web']), {
    dryRun: false,
    instances: [{ name: 'web', app: 'app', from: 1, to: 2 }],
  });
  assert.equal(await generationOf('web'), 2);
  assert.equal(await rig.ok(['exec', 'web', '--', 'sh', '-c', 'echo $KEPT']), 'yes\n');

  rig.install('app', { exec: ['sh', '-c', 'exit 5'] }, 3);
  const ended = await rig.trees(['restart', 'web', '--json']);
  assert.equal(ended.status, 1);
  assert.equal(at(JSON.parse(ended.stdout), 'error', 'code'), 'UNHEALTHY');
  assert.match(ended.stderr, /generation 3 of app: it ended .*; it runs on generation 2 again/);
  assert.equal(await generationOf('web'), 2);
  assert.equal((await rig.instance('web'))['running'], true);

  const health = { exec: ['false'], interval: 0.1, retries: 2 };
  rig.install('app', { exec: serve('four'), health }, 4);
  const unhealthy = await rig.trees(['restart', 'web']);
  assert.equal(unhealthy.status, 1);
  assert.match(unhealthy.stderr, /it is unhealthy; it runs on generation 2 again/);
  assert.equal(await generationOf('web'), 2);

  rig.install('app', { exec: serve('five'), health: { exec: ['true'], interval: 0.1 } }, 5);
  await rig.ok(['restart', 'web']);
  assert.equal(await generationOf('web'), 5);
  assert.equal((await rig.instance('web'))['health'], 'healthy');
  await rig.ok(['stop', 'web']);
  // One that has ended is started.
  await rig.ok(['restart', 'web']);
  assert.equal((await rig.instance('web'))['running'], true);
});

test('a system has booted when it says so, or goes back', { skip: missingForServices }, async () => {
  const install = (number: number): void => {
    const exec = ['/bin/systemd', 'system', '/run/lines'];
    const rootfs = join(rig.install('machine', { mode: 'init', exec }, number), 'rootfs');
    buildServiceHelper(rootfs);
    symlinkSync('helper', join(rootfs, 'bin/systemd'));
  };
  const say = (line: string): Promise<string> =>
    rig.ok(['exec', 'machine', '--', 'sh', '-c', `while ! test -p /run/lines; do :; done; echo '${line}' >/run/lines`]);
  install(1);
  await rig.ok(['run', '-d', 'machine']);
  await say('STATUS=Booting');
  const text = async (): Promise<unknown> => (await rig.instance('machine'))['statusText'];
  await eventually('what it says', async () => (await text()) === 'Booting');
  assert.equal((await rig.instance('machine'))['ready'], false);
  await say('READY=1;STATUS=Booted');
  await rig.ok(['wait', '--condition', 'ready', 'machine']);
  await eventually('what it says', async () => (await text()) === 'Booted');

  install(2);
  const moved = rig.trees(['restart', '-t', '0', 'machine']);
  await eventually('the other generation', async () => (await generationOf('machine')) === 2);
  await eventually('it running', async () => (await rig.instance('machine'))['status'] === 'running');
  await say('READY=1');
  const { status, stderr } = await moved;
  assert.equal(status, 0, stderr);

  install(3);
  const back = await rig.trees(['restart', '-t', '0', '--health-wait', '1', 'machine']);
  assert.equal(back.status, 1);
  assert.match(back.stderr, /it is not ready after 1 s; it runs on generation 2 again/);
  assert.equal(await generationOf('machine'), 2);
  await rig.ok(['stop', '-t', '0', 'machine']);
});

test('an instance in the foreground is restarted, too, and stays there', { skip }, async () => {
  rig.install('fore', { exec: serve('one') });
  const running = rig.trees(['run', '--name', 'fg', 'fore']);
  while ((await rig.ok(['ps', '-q', '--filter', 'name=^fg$', '--filter', 'status=running'])) === '') {
    // It is being started.
  }
  const before = (await rig.instance('fg'))['pid'];
  rig.install('fore', { exec: serve('two') }, 2);
  await rig.ok(['restart', 'fg']);
  assert.equal(await generationOf('fg'), 2);
  assert.notEqual((await rig.instance('fg'))['pid'], before);
  await rig.ok(['stop', 'fg']);
  const { stdout } = await running;
  assert.equal(stdout, 'one\nbye\ntwo\nbye\n');
});

test('update --restart moves what runs, and takes app and instances back when it is no good', { skip }, async () => {
  await using own = await createInstanceRig();
  const sample = await createRunningSample(own);
  await own.ok(['run', '-d', 'hello']);
  await own.ok(['run', '-d', '--name', 'other', 'hello']);
  await sample.writeApp({ version: '1.2.0', greeting: 'second' });
  await sample.publish();

  // Without --restart it goes on with what it was started on, and gc leaves that.
  await own.ok(['update']);
  await own.ok(['gc', '--keep', '0']);
  assert.equal(await generationIn(own, 'hello'), 1);
  assert.equal(existsSync(own.path('root/var/lib/trees/apps/hello/1/rootfs/etc/greeting')), true);
  assert.equal(await own.ok(['exec', 'hello', '--', 'cat', '/etc/greeting']), 'first\n');
  await own.ok(['restart', '--all']);
  assert.equal(await own.ok(['exec', 'hello', '--', 'cat', '/etc/greeting']), 'second\n');
  await own.ok(['gc', '--keep', '0']);
  assert.equal(existsSync(own.path('root/var/lib/trees/apps/hello/1')), false);

  await sample.writeApp({ version: '1.3.0', greeting: 'third' });
  await sample.publish();
  const updated = await own.json(['update', '--restart']);
  assert.deepEqual(at(updated, 'apps', 0, 'restarted'), ['hello', 'other']);
  assert.equal(await own.ok(['exec', 'other', '--', 'cat', '/etc/greeting']), 'third\n');

  await sample.writeApp({ version: '1.4.0', greeting: 'bad' });
  await sample.publish();
  const failed = await own.trees(['update', '--restart', '--json']);
  assert.equal(failed.status, 1, failed.stdout);
  assert.equal(at(JSON.parse(failed.stdout), 'apps', 0, 'error', 'code'), 'UNHEALTHY');
  assert.match(failed.stderr, /hello is at 1\.3\.0 again/);
  assert.equal(readlinkSync(own.path('root/var/lib/trees/apps/hello/current')), '3');
  for (const name of ['hello', 'other']) {
    assert.equal(await generationIn(own, name), 3);
    assert.equal((await own.instance(name))['running'], true);
  }
});
