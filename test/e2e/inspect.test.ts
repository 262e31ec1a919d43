import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createInstanceRig, type InstanceRig, serve } from '../support/instance-rig.js';
import { at } from '../support/json.js';
import { missingForContainers } from '../support/rootfs.js';

/** What is told about an instance: how it is, what was started, what it may do. */

const skip = missingForContainers();
let rig: InstanceRig;

before(async () => {
  if (skip !== false) return;
  rig = await createInstanceRig();
  rig.install('app', { exec: serve('up') });
});
after(async () => {
  if (skip === false) await rig[Symbol.asyncDispose]();
});

test('everything it was run with, also after it has ended', { skip }, async () => {
  await rig.ok(['run', '-d', '--name', 'one', '-e', 'A=1', '--ulimit', 'core=0:-1', '-v', 'cache:/cache', 'app']);
  const up = await rig.json(['inspect', 'one']);
  assert.equal(at(up, 'request', 'env', 'A'), '1');
  assert.equal(at(up, 'request', 'rlimits', 0, 'hard'), 'Infinity');
  assert.equal(at(up, 'version'), '1.0.0');
  assert.equal(typeof at(up, 'monitor'), 'number');
  await rig.ok(['stop', 'one']);
  const down = await rig.json(['inspect', 'one']);
  assert.deepEqual(
    [at(down, 'status'), at(down, 'exit'), at(down, 'pid'), at(down, 'monitor')],
    ['exited', 0, null, null],
  );
  assert.deepEqual(at(down, 'request'), at(up, 'request'));
  // It starts with the limit and the variable again.
  await rig.ok(['start', 'one']);
  assert.equal(await rig.ok(['exec', 'one', '--', 'sh', '-c', 'echo $A; ulimit -Sc']), '1\n0\n');
  await rig.ok(['rm', '-f', 'one']);
});

test('the plan, readably and as data', { skip }, async () => {
  await rig.ok(['run', '-d', '--name', 'two', '-e', 'WORD=two words', '--cap-drop', 'ALL', 'app']);
  const text = await rig.ok(['inspect', '--plan', 'two']);
  assert.match(text, /^command: sh -c "trap/m);
  assert.match(text, /^ {2}"WORD=two words"$/m);
  assert.match(text, /^capabilities: 0x0{16}$/m);
  assert.match(text, /^ {2}proc +flags=nosuid,nodev,noexec,realDir target=\/proc$/m);
  const plan = await rig.json(['inspect', '--plan', 'two']);
  assert.equal(at(plan, 'plan', 'hostname'), 'two');
  assert.equal(at(plan, 'plan', 'capabilities'), '0');
  await rig.ok(['rm', '-f', 'two']);
});

test('a security report fails below a policy', { skip }, async () => {
  await rig.ok(['run', '-d', '--name', 'usual', 'app']);
  await rig.ok(['run', '-d', '--name', 'tight', '--cap-drop', 'ALL', '--read-only', 'app']);
  await rig.ok(['run', '-d', '--name', 'loose', '--cap-add', 'SYS_ADMIN', 'app']);
  const verdict = async (name: string, policy: string): Promise<[number | null, unknown]> => {
    const { status, stdout } = await rig.trees(['inspect', '--security', '--policy', policy, name, '--json']);
    const document: unknown = JSON.parse(stdout);
    return [status, at(document, 'findings', 0, 'code')];
  };
  assert.deepEqual(await verdict('usual', 'default'), [0, undefined]);
  assert.deepEqual(await verdict('usual', 'strict'), [1, 'capabilities']);
  assert.deepEqual(await verdict('tight', 'strict'), [0, undefined]);
  assert.deepEqual(await verdict('loose', 'default'), [1, 'capabilities']);
  const report = await rig.json(['inspect', '--security', 'usual']);
  assert.equal(at(report, 'report', 'source'), 'running');
  assert.equal(at(report, 'report', 'process', 'seccomp'), 2);
  await rig.ok(['rm', '-f', 'usual', 'tight', 'loose']);
});
