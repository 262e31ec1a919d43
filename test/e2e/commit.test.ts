import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { createInstanceRig, type InstanceRig } from '../support/instance-rig.js';
import { at } from '../support/json.js';
import { missingForContainers } from '../support/rootfs.js';
import { createRunningSample } from '../support/running-sample.js';
import type { Sample } from '../support/sample.js';

/** What an instance wrote becomes a version of its app that others install. */

const skip = missingForContainers();
let rig: InstanceRig;
let sample: Sample;

before(async () => {
  if (skip !== false) return;
  rig = await createInstanceRig();
  sample = await createRunningSample(rig);
});
after(async () => {
  if (skip === false) await rig[Symbol.asyncDispose]();
});

test('commit, release, install: added, changed, removed, replaced', { skip }, async () => {
  await rig.ok(['run', '-d', '--name', 'work', 'hello']);
  const script = [
    'echo tuned > /etc/greeting', // of the app's layer
    'echo kept by me > /etc/kept', // of the base
    'rm /etc/replaced', // a file that the layer has in place of the base's directory
    'mkdir /etc/replaced && echo in > /etc/replaced/mine',
    'mkdir -p /opt/new && echo n > /opt/new/n && chown 5:6 /opt/new/n',
    'rm -r /etc/emptied',
    'echo t > /tmp/t',
  ].join(' && ');
  await rig.ok(['exec', 'work', '--', 'sh', '-c', script]);
  const would = await rig.json(['commit', 'work', '--dry-run']);
  assert.equal(at(would, 'dryRun'), true);
  assert.equal(existsSync(rig.path('root/var/lib/trees/build')), false);
  const made = await rig.json(['commit', 'work', '-m', 'tuned', '--version', '1.9.0']);
  assert.equal(at(made, 'ref'), 'layer/hello/x86_64/1.9.0');
  assert.equal((await rig.instance('work'))['status'], 'running', 'it goes on');
  const repo = rig.path('root/var/lib/trees/build/repo');
  const names = await rig.ostree(['ls', '-R', `--repo=${repo}`, 'layer/hello/x86_64/1.9.0']);
  assert.match(names, / \/etc\/\.wh\.emptied$/m);
  assert.match(names, / \/etc\/replaced\/mine$/m);
  assert.doesNotMatch(names, /\/tmp\/t$/m);
  assert.match((await rig.trees(['commit', 'work', '--version', '1.9.0'])).stderr, /it is there already/);
  assert.equal(at(await rig.json(['commit', 'work', '--as', 'tuned']), 'app'), 'tuned');

  const feed = rig.path('feed-2');
  await rig.ok(['release', 'hello', '--to', `dir:${feed}`, '--key', sample.secretKey]);
  const elsewhere = { env: { TREES_ROOT: rig.path('elsewhere') } };
  await rig.ok(['feed', 'add', `dir:${feed}`, '--key', sample.publicKey], elsewhere);
  await rig.ok(['install', 'hello'], elsewhere);
  const look = 'cat /etc/greeting /etc/kept; ls /etc/replaced; ls -d /etc/emptied; stat -c "%u:%g" /opt/new/n; ls /tmp';
  const seen = await rig.trees(['run', '--rm', 'hello', '--', 'sh', '-c', `${look} 2>/dev/null`], elsewhere);
  assert.equal(seen.stdout, 'tuned\nkept by me\nmine\n5:6\n', seen.stderr);
});

test('nothing written, no instance, wrong versions', { skip }, async () => {
  await rig.ok(['run', '-d', '--read-only', '--name', 'bare', 'hello']);
  assert.match((await rig.trees(['commit', 'bare'])).stderr, /written nothing/);
  assert.equal((await rig.trees(['commit', 'nobody'])).status, 1);
  assert.equal((await rig.trees(['commit', 'work', '--version', 'new'])).status, 2);
});
