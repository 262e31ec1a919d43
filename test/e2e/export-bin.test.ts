import assert from 'node:assert/strict';
import { appendFileSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createInstanceRig, type InstanceRig } from '../support/instance-rig.js';
import { at } from '../support/json.js';
import { runProgram } from '../support/rig.js';
import { missingForContainers } from '../support/rootfs.js';
import { createRunningSample } from '../support/running-sample.js';
import type { Sample } from '../support/sample.js';

/** Commands of apps in directories of PATH. */

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

const call = async (file: string, ...args: string[]): Promise<string> => {
  const result = await runProgram(file, args, { cwd: '/', env: { PATH: process.env['PATH'] } });
  assert.equal(result.status, 0, result.stderr);
  return result.stdout;
};

test('a command runs the current generation, through updates, rollbacks and gc, from the same file', {
  skip,
}, async () => {
  const file = rig.path('root/usr/local/bin/hello');
  const planned = await rig.json(['export-bin', 'hello', 'hello', '--dry-run']);
  assert.equal(at(planned, 'file'), file);
  assert.equal(existsSync(file), false);
  const made = await rig.trees(['export-bin', 'hello', 'hello']);
  assert.equal(made.stdout, `${file}\n`, made.stderr);
  assert.match(made.stderr, /is not in PATH/);
  const line = readFileSync(file, 'utf8');
  assert.match(line, /^#!\/.*\/trees-launch --command=\/.*\/apps\/hello\/current\/commands\/hello\n$/);
  assert.equal(statSync(file).mode & 0o777, 0o755);
  assert.equal(await call(file, 'a', 'b c', ''), 'first a b c \n');
  // Many at once, and nothing is kept.
  await Promise.all(Array.from({ length: 8 }, async (_, i) => assert.equal(await call(file, `${i}`), `first ${i}\n`)));
  assert.equal(await rig.ok(['ps', '-aq', '--filter', 'status=running']), '');

  await sample.writeApp({ version: '1.2.0', greeting: 'second' });
  await sample.publish();
  await rig.ok(['update']);
  assert.equal(await call(file, 'x'), 'second x\n');
  await rig.ok(['rollback', 'hello']);
  assert.equal(await call(file, 'x'), 'first x\n');
  await rig.ok(['rollback', 'hello', '2']);
  await rig.ok(['gc', '--keep', '0']);
  assert.equal(await call(file, 'x'), 'second x\n');
  assert.equal(readFileSync(file, 'utf8'), line);
  assert.equal((await rig.trees(['fsck'])).status, 0);
});

test('options, names, directories, and what is in the way', { skip }, async () => {
  const bin = rig.path('bin');
  const data = rig.path('shared');
  mkdirSync(data);
  writeFileSync(join(data, 'file'), 'from the host\n');
  await rig.ok(['export-bin', 'hello', 'cat', '--as', 'show', '--dir', bin, '-v', `${data}:/data:ro`]);
  assert.equal(await call(join(bin, 'show'), '/data/file'), 'from the host\n');
  await rig.ok([
    'export-bin',
    'hello',
    'sh',
    '--as',
    'once',
    '--dir',
    bin,
    '--',
    '-c',
    'echo $0 $1; echo x > /x; cat /x',
  ]);
  assert.equal(await call(join(bin, 'once'), 'a', 'b'), 'a b\nx\n');
  const failing = await runProgram(join(bin, 'once'), [], { cwd: '/' });
  assert.equal(failing.status, 0);
  writeFileSync(join(bin, 'mine'), 'something else\n');
  const refused = await rig.trees(['export-bin', 'hello', 'cat', '--as', 'mine', '--dir', bin, '--json']);
  assert.equal(refused.status, 1);
  assert.equal(at(JSON.parse(refused.stdout), 'error', 'code'), 'PATH_CONFLICT');
  assert.equal(readFileSync(join(bin, 'mine'), 'utf8'), 'something else\n');
  await rig.ok(['export-bin', 'hello', 'cat', '--as', 'mine', '--dir', bin, '--force']);
  assert.match(readFileSync(join(bin, 'mine'), 'utf8'), /^#!/);
  assert.equal((await rig.trees(['export-bin', 'hello', 'cat', '--as', '../up', '--dir', bin])).status, 2);
  const far = await rig.trees(['export-bin', 'hello', 'cat', '--as', 'x'.repeat(64), '--dir', bin], {
    env: { TREES_ROOT: rig.root },
  });
  const length = readFileSync(join(bin, 'show'), 'utf8').length - 'show'.length + 64;
  assert.equal(far.status, length > 256 ? 1 : 0, far.stderr);
  await rig.ok(['export-bin', 'hello', 'show', '--remove']);
  assert.equal(existsSync(join(bin, 'show')), false);
  assert.equal((await rig.trees(['export-bin', 'hello', 'show', '--remove'])).status, 1);
  // One that somebody has replaced is not ours to delete.
  writeFileSync(join(bin, 'once'), 'mine now\n');
  await rig.ok(['export-bin', 'hello', 'once', '--remove']);
  assert.equal(readFileSync(join(bin, 'once'), 'utf8'), 'mine now\n');
});

test('commands that an app declares come and go with its versions, and with the app', { skip }, async () => {
  const bin = rig.path('root/usr/local/bin');
  const declare = async (version: string, commands: string): Promise<void> => {
    await sample.writeApp({ version, greeting: version });
    appendFileSync(join(sample.definitions, 'hello.yaml'), `  commands: ${commands}\n`);
    await sample.publish();
    const { stderr, status } = await rig.trees(['update']);
    assert.equal(status, 0, stderr);
  };
  writeFileSync(join(bin, 'foreign'), 'not ours\n');
  await declare(
    '2.0.0',
    '{ greet: [/usr/bin/hello, said], foreign: [/usr/bin/hello], zz-other: [/usr/bin/hello, other] }',
  );
  assert.equal(await call(join(bin, 'greet'), 'x'), '2.0.0 said x\n');
  assert.equal(await call(join(bin, 'zz-other')), '2.0.0 other\n');
  assert.equal(readFileSync(join(bin, 'foreign'), 'utf8'), 'not ours\n');
  await rig.ok(['export-bin', 'hello', 'zz-other', '--remove']);
  await declare('2.1.0', '{ greet: [/usr/bin/hello, says], zz-other: [/usr/bin/hello, other] }');
  assert.equal(await call(join(bin, 'greet')), '2.1.0 says\n');
  assert.equal(existsSync(join(bin, 'zz-other')), false, 'it is not wanted');
  await declare('2.2.0', '{}');
  assert.equal(existsSync(join(bin, 'greet')), false);
  assert.equal(await call(join(bin, 'hello'), 'x'), '2.2.0 x\n', 'what was asked for stays');
  await rig.ok(['rm', 'hello']);
  assert.equal(existsSync(join(bin, 'hello')), false);
  assert.equal(readFileSync(join(bin, 'foreign'), 'utf8'), 'not ours\n');
});
