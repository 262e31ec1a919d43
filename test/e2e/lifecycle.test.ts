import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createInstanceRig, type InstanceRig, serve } from '../support/instance-rig.js';
import { at } from '../support/json.js';
import { assertSameTree, listTree } from '../support/rig.js';
import { missingForContainers } from '../support/rootfs.js';

/** Instances from the command line: start, look, stop, and everything that can come between. */

const skip = missingForContainers();
let rig: InstanceRig;

before(async () => {
  if (skip !== false) return;
  rig = await createInstanceRig();
  rig.install('server', { exec: serve('up', 7) });
  rig.install('job', { exec: ['sh', '-c', 'echo done; exit 3'] });
  rig.install('stubborn', { exec: ['sh', '-c', "trap '' TERM; echo up; while :; do sleep 0.05; done"] });
});
after(async () => {
  if (skip === false) await rig[Symbol.asyncDispose]();
});

async function until(condition: () => Promise<boolean>, what: string): Promise<void> {
  for (let i = 0; i < 600; i++) {
    if (await condition()) return;
    await sleep(50);
  }
  throw new Error(`waited in vain: ${what}`);
}

test('the exit status is the command’s, 128+n, 127, 126 and 125, and nothing is left of what never ran', {
  skip,
}, async () => {
  const status = async (...command: string[]): Promise<number | null> =>
    (await rig.trees(['run', '--name', 'status', 'job', '--', ...command])).status;
  for (const code of [0, 1, 33, 255]) assert.equal(await status('sh', '-c', `exit ${code}`), code);
  assert.equal(await status('sh', '-c', 'kill -TERM $$'), 143);
  assert.equal(await status('sh', '-c', 'kill -KILL $$'), 137);
  assert.equal(await status('sh', '-c', 'kill -SEGV $$'), 139);
  await rig.ok(['rm', 'status']);
  const missing = await rig.trees(['run', '--name', 'never', 'job', '--', '/no/such']);
  assert.equal(missing.status, 127);
  assert.match(missing.stderr, /\/no\/such/);
  assert.equal((await rig.trees(['run', '--name', 'never', 'job', '--', '/etc/passwd'])).status, 126);
  assert.equal((await rig.trees(['run', '--name', 'never', 'job', '--bogus'])).status, 125);
  assert.equal((await rig.trees(['run', '-d', '--name', 'never', 'job', '--', '/no/such'])).status, 127);
  assert.equal((await rig.trees(['run', '-d', '--name', 'never', '-w', '/nowhere', 'job'])).status, 125);
  assert.equal(existsSync(rig.path('root/run/trees/never')), false);
});

test('a detached instance: run, ps, inspect, wait, stop, start, kill, rm', { skip }, async () => {
  const started = await rig.json(['run', '-d', '--name', 'web', '--label', 'tier=front', 'server']);
  assert.deepEqual(started, { name: 'web', app: 'server', generation: 1, version: '1.0.0' });
  const up = await rig.instance('web');
  assert.equal(up['status'], 'running');
  assert.equal(up['app'], 'server');
  assert.equal(up['exit'], null);
  assert.equal(readFileSync(`/proc/${String(up['pid'])}/comm`, 'utf8'), 'trees-init\n');
  assert.match(await rig.ok(['ps']), /web +server +1 +\d+ +0 +Up /);
  assert.equal(await rig.ok(['ps', '-q', '--filter', 'label=tier=front']), 'web\n');
  assert.equal(await rig.ok(['ps', '-q', '--filter', 'label=tier=back']), '');
  assert.equal(await rig.ok(['ps', '--filter', 'name=^w', '--format', '{{.Name}} {{.State}}']), 'web running\n');

  const inspected = await rig.json(['inspect', 'web']);
  assert.equal(at(inspected, 'labels', 'tier'), 'front');
  assert.equal(at(inspected, 'paths', 'run'), rig.path('root/run/trees/web'));
  assert.match(await rig.ok(['inspect', '--plan', 'web']), /^command: sh -c/);
  assert.equal(at(await rig.json(['inspect', '--plan', 'web']), 'plan', 'root'), 'persistent');

  const second = await rig.trees(['run', '-d', '--name', 'web', 'server']);
  assert.equal(second.status, 125);
  assert.match(second.stderr, /cannot run web: an instance of that name is running already\nhint: .*--replace/);

  const waiting = rig.trees(['wait', 'web']);
  const stopped = await rig.json(['stop', 'web']);
  assert.deepEqual(at(stopped, 'instances', 0), { name: 'web', wasRunning: true });
  assert.equal((await waiting).stdout, '7\n');
  assert.deepEqual(at(await rig.json(['wait', 'web']), 'instances', 0), { name: 'web', exit: 7 });
  assert.equal((await rig.instance('web'))['status'], 'exited');
  assert.equal(await rig.ok(['ps', '-q']), '');
  // Once more is no error.
  assert.deepEqual(at(await rig.json(['stop', 'web']), 'instances', 0), { name: 'web', wasRunning: false });

  assert.equal(await rig.ok(['start', 'web']), 'web\n');
  assert.equal((await rig.instance('web'))['running'], true);
  assert.equal(at(await rig.json(['inspect', 'web']), 'labels', 'tier'), 'front');
  assert.equal(await rig.ok(['kill', '-s', 'TERM', 'web']), 'web\n');
  assert.equal(await rig.ok(['wait', 'web']), '7\n');
  const killed = await rig.trees(['kill', 'web']);
  assert.equal(killed.status, 1);
  assert.match(killed.stderr, /it is not running/);

  await rig.ok(['rm', 'web']);
  const gone = await rig.trees(['inspect', 'web', '--json']);
  assert.equal(gone.status, 1);
  assert.equal(at(JSON.parse(gone.stdout), 'error', 'code'), 'INSTANCE_NOT_FOUND');
});

test('stop escalates to KILL after its time, and several are stopped at once', { skip }, async () => {
  await rig.ok(['run', '-d', '--name', 'deaf', 'stubborn']);
  await rig.ok(['run', '-d', '--name', 'meek', 'server']);
  assert.equal(await rig.ok(['stop', '-t', '0.2', 'deaf', 'meek']), 'deaf\nmeek\n');
  assert.equal((await rig.instance('deaf'))['exit'], 137);
  assert.equal((await rig.instance('meek'))['exit'], 7);
  const mixed = await rig.trees(['stop', 'deaf', 'nobody', '--json']);
  assert.equal(mixed.status, 1);
  assert.equal(at(JSON.parse(mixed.stdout), 'instances', 1, 'error', 'code'), 'INSTANCE_NOT_FOUND');
  assert.equal((await rig.trees(['stop', '--ignore', 'nobody'])).status, 0);
});

test('what leaves nothing: --rm beside the instance of its app, and detached', { skip }, async () => {
  await rig.ok(['run', '-d', 'server']);
  const beside = await rig.trees(['run', '--rm', 'server', '--', 'sh', '-c', 'echo x > /x; hostname; cat /x']);
  assert.equal(beside.stdout, 'server\nx\n', beside.stderr);
  assert.equal(await rig.ok(['run', '--ephemeral', 'server', '--', 'echo', 'numbered']), 'numbered\n');
  const refused = await rig.trees(['run', 'server']);
  assert.equal(refused.status, 125);
  assert.match(refused.stderr, /running already/);
  await rig.ok(['stop', 'server']);
  await rig.ok(['run', '-d', '--rm', '--name', 'passing', 'server']);
  await rig.ok(['stop', 'passing']);
  assert.equal(existsSync(rig.path('root/run/trees/passing')), false);
});

test('--replace takes the place of what runs; its data stays', { skip }, async () => {
  await rig.ok(['run', '-d', '--name', 'one', 'server', '--', 'sh', '-c', 'echo kept > /kept; exec sleep 1000']);
  await until(async () => (await rig.ok(['diff', 'one'])).includes('/kept'), 'it has written');
  const before = await rig.instance('one');
  await rig.ok(['run', '-d', '--replace', '--name', 'one', 'server']);
  const now = await rig.instance('one');
  assert.notEqual(now['id'], before['id']);
  assert.match(await rig.ok(['diff', 'one']), /^A \/kept$/m);
  await rig.ok(['rm', '-f', 'one']);
});

test('a restart policy: on-failure as often as it says, never after stop', { skip }, async () => {
  await rig.ok(['run', '-d', '--name', 'again', '--restart', 'on-failure:2', 'job']);
  assert.equal(await rig.ok(['wait', 'again']), '3\n');
  assert.equal((await rig.instance('again'))['restarts'], 2);
  await rig.ok(['run', '-d', '--name', 'ever', '--restart', 'always', 'server']);
  await rig.ok(['stop', 'ever']);
  await sleep(300);
  assert.equal((await rig.instance('ever'))['status'], 'exited');
  const wrong = await rig.trees(['run', '--rm', '--restart', 'always', 'server']);
  assert.equal(wrong.status, 125);
  assert.match(wrong.stderr, /--rm or --restart/);
});

test('two at once: one starts, the other is told; stop while it starts; rm of what runs', { skip }, async () => {
  const both = await Promise.all([1, 2, 3].map(() => rig.trees(['run', '-d', '--name', 'race', 'server'])));
  assert.deepEqual(
    both.map(({ status }) => String(status)).sort(),
    ['0', '125', '125'],
    both.map(({ stderr }) => stderr).join(''),
  );
  for (const { status, stderr } of both) if (status !== 0) assert.match(stderr, /running already/);
  const refused = await rig.trees(['rm', 'race']);
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /cannot remove race: it is running/);
  await rig.ok(['rm', '-f', 'race']);
  for (let round = 0; round < 3; round++) {
    const [start, stop] = await Promise.all([
      rig.trees(['run', '-d', '--name', 'hasty', 'server']),
      sleep(round * 40).then(() => rig.trees(['stop', 'hasty'])),
    ]);
    assert.ok([0, 125].includes(start.status ?? -1), start.stderr);
    assert.ok([0, 1].includes(stop.status ?? -1), stop.stderr);
    await rig.ok(['stop', '--ignore', 'hasty']);
    assert.equal((await rig.instance('hasty'))['running'], false);
  }
});

test('after the launcher was killed ps tells the truth, and the same name starts again', { skip }, async () => {
  await rig.ok(['run', '-d', '--name', 'victim', 'server']);
  const monitor = Number(at(await rig.json(['inspect', 'victim']), 'monitor'));
  const init = Number((await rig.instance('victim'))['pid']);
  process.kill(monitor, 'SIGKILL');
  await until(async () => (await rig.instance('victim'))['running'] === false, 'it is seen');
  assert.equal((await rig.instance('victim'))['status'], 'dead');
  assert.equal((await rig.trees(['wait', 'victim'])).status, 1);
  await until(async () => await Promise.resolve(!existsSync(`/proc/${init}`)), 'its container is gone');
  await rig.ok(['start', 'victim']);
  assert.equal((await rig.instance('victim'))['status'], 'running');
  await rig.ok(['stop', 'victim']);
  // As after another boot.
  const state = rig.path('root/run/trees/victim/state');
  const text = readFileSync(state, 'utf8')
    .replace(/^status=.*$/m, 'status=running')
    .replace(/^boot=.*$/m, 'boot=other');
  writeFileSync(state, text.replace(/^monitor=.*$/m, `monitor=${process.pid}`));
  assert.equal((await rig.instance('victim'))['status'], 'dead');
  await rig.ok(['rm', 'victim']);
});

test('what it wrote is kept, shown, forgotten and moved', { skip }, async () => {
  const write = 'echo mine > /mine; rm /etc/notexec; mkdir /d; echo x > /d/x';
  await rig.ok(['run', '--name', 'writer', 'job', '--', 'sh', '-c', write]);
  const changes = ['C /etc/', 'D /etc/notexec', 'A /d/', 'A /d/x', 'A /mine'].sort();
  assert.deepEqual((await rig.ok(['diff', 'writer'])).trim().split('\n').sort(), changes);
  assert.equal(await rig.ok(['run', '--name', 'writer', 'job', '--', 'cat', '/mine']), 'mine\n');
  const before = await listTree(rig.path('root/var/lib/trees'));
  for (const line of [
    ['reset', 'writer'],
    ['rename', 'writer', 'author'],
    ['rm', 'writer'],
    ['start', 'writer'],
    ['restart', 'writer'],
    ['stop', 'writer'],
  ]) {
    assert.equal((await rig.trees([...line, '--dry-run'])).status, 0, line.join(' '));
  }
  assertSameTree(await listTree(rig.path('root/var/lib/trees')), before);
  await rig.ok(['rename', 'writer', 'author']);
  assert.equal((await rig.trees(['diff', 'writer'])).status, 1);
  assert.equal(await rig.ok(['run', '--name', 'author', 'job', '--', 'cat', '/mine']), 'mine\n');
  await rig.ok(['reset', 'author']);
  assert.equal(await rig.ok(['diff', 'author']), '');
  assert.equal((await rig.trees(['run', '--name', 'author', 'job', '--', 'cat', '/mine'])).status, 1);
  await rig.ok(['run', '-d', '--name', 'taken', 'server']);
  assert.match((await rig.trees(['rename', 'author', 'taken'])).stderr, /there is an instance of that name/);
  assert.match((await rig.trees(['reset', 'taken'])).stderr, /it is running/);
  await rig.ok(['rm', '-f', 'taken', 'author']);
  assert.equal(existsSync(rig.path('root/var/lib/trees/data/author')), false);
});

test('podman’s other options of run', { skip }, async () => {
  const pid = rig.path('pid');
  const name = rig.path('name');
  await rig.ok(['run', '-d', '--pidfile', pid, '--cidfile', name, '--stop-signal', 'USR1', '--name', 'opts', 'server']);
  assert.equal(Number(readFileSync(pid, 'utf8')), (await rig.instance('opts'))['pid']);
  assert.equal(readFileSync(name, 'utf8'), 'opts\n');
  await rig.ok(['stop', 'opts']);
  assert.equal((await rig.instance('opts'))['exit'], 138);
  assert.match((await rig.trees(['run', '--cidfile', name, 'job'])).stderr, /new file/);
  const entry = await rig.ok(['run', '--rm', '--entrypoint', '["echo","a"]', '--env-host', 'job', '--', 'b']);
  assert.equal(entry, 'a b\n');
  const host = await rig.ok(['run', '--rm', '--env-host', 'job', '--', 'sh', '-c', 'echo $MINE'], {
    env: { MINE: 'm' },
  });
  assert.equal(host, 'm\n');
  for (const [line, message] of [
    [['--restart', 'sometimes'], /--restart to be/],
    [['--stop-signal', 'NOPE'], /to be a signal/],
    [['--health-interval', '3s'], /--health-cmd/],
    [['--health-cmd', 'true', '--health-interval', 'soon'], /duration/],
    [['--label', '=x'], /NAME=VALUE/],
    [['--preserve-fds', '2'], /to be open/],
  ] as const) {
    const wrong = await rig.trees(['run', ...line, 'job']);
    assert.equal(wrong.status, 125, line.join(' '));
    assert.match(wrong.stderr, message);
  }
});

test('conditions can be waited for', { skip }, async () => {
  const exec = ['run', '-d', '--name', 'ill', '--health-cmd', 'test -e /well', '--health-interval', '100ms'];
  await rig.ok([...exec, '--health-retries', '2', '--restart', 'no', 'server']);
  assert.equal(await rig.ok(['wait', '--condition', 'unhealthy', '--timeout', '60', 'ill']), 'unhealthy\n');
  assert.match(await rig.ok(['ps']), /ill .*\(unhealthy\)/);
  await rig.ok(['exec', 'ill', '--', 'touch', '/well']);
  assert.equal(await rig.ok(['wait', '--condition', 'healthy', '--timeout', '60', 'ill']), 'healthy\n');
  const late = await rig.trees(['wait', '--condition', 'stopped', '--timeout', '0.1', 'ill']);
  assert.equal(late.status, 1);
  await rig.ok(['rm', '-f', 'ill']);
});
