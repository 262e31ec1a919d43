import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { isSettled, observe, observeVariable } from '../../trees/input-kinds.js';
import {
  existsSync,
  may,
  noteHeld,
  noteInput,
  readKernelFile,
  readTextFile,
  recorded,
  recordedEnvironment,
  startRecording,
} from '../../trees/inputs.js';
import { decodeEntry, type Entry, encodeEntry } from '../../trees/run/kept/entry.js';
import { readEntry, removeEntries, writeEntry } from '../../trees/run/kept/files.js';
import { fileNameOf, isSameLine, keptDirectory, type Line, seemingPrefix } from '../../trees/run/kept/line.js';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'trees-kept-'));
});
afterEach(() => rmSync(directory, { recursive: true }));
const path = (...parts: string[]): string => join(directory, ...parts);

const line: Line = { words: ['run', 'app'], cwd: '/', ids: '0 0 0 0', terminals: '000', node: 'v1' };

test('every part of a line makes another line', () => {
  const others: Line[] = [
    { ...line, words: ['run', 'ap', 'p'] },
    { ...line, words: ['run app'] },
    { ...line, words: ['run', 'app', ''] },
    { ...line, cwd: '/tmp' },
    { ...line, ids: '1 0 0 0' },
    { ...line, terminals: '100' },
    { ...line, node: 'v2' },
  ];
  const names = new Set([line, ...others].map(fileNameOf));
  assert.equal(names.size, others.length + 1);
  for (const other of others) assert.ok(!isSameLine(line, other));
  assert.ok(isSameLine(line, { ...line, words: [...line.words] }));
  for (const name of names) assert.match(name, /^[0-9a-f]{16}$/);
});

test('where launches are kept', () => {
  const at = { cwd: '/home/me', env: {}, uid: 1000 };
  assert.equal(keptDirectory('/p', at), '/p/run/trees/.kept');
  assert.equal(keptDirectory('p', at), '/home/me/p/run/trees/.kept');
  assert.equal(keptDirectory(undefined, { ...at, uid: 0 }), '/run/trees/.kept');
  assert.equal(keptDirectory('', { ...at, env: { XDG_RUNTIME_DIR: '/run/user/1' } }), '/run/user/1/trees/.kept');
  assert.equal(keptDirectory(undefined, { ...at, env: { HOME: '/h' } }), '/h/.local/share/trees/run/.kept');
  const relative = { XDG_RUNTIME_DIR: 'x', XDG_DATA_HOME: '/d', HOME: '/h' };
  assert.equal(keptDirectory(undefined, { ...at, env: relative }), '/d/trees/run/.kept');
  assert.equal(keptDirectory(undefined, at), undefined);
});

test('the prefix that a line seems to give', () => {
  const env = { TREES_ROOT: '/env' };
  assert.equal(seemingPrefix(['run', 'app'], env), '/env');
  assert.equal(seemingPrefix(['--root', '/a', 'run', 'app'], env), '/a');
  assert.equal(seemingPrefix(['run', '--root=/b', 'app', '--', '--root=/c'], env), '/b');
  assert.equal(seemingPrefix(['run', 'app'], {}), undefined);
});

test('observations differ when what they are of does', () => {
  const file = path('file');
  const seen = new Set([observe('file', file)]);
  assert.deepEqual([...seen], ['ENOENT']);
  const change = (what: () => void): void => {
    what();
    const now = observe('file', file);
    assert.ok(!seen.has(now), now);
    seen.add(now);
  };
  change(() => writeFileSync(file, 'a'));
  change(() => writeFileSync(file, 'ab'));
  change(() => utimesSync(file, 5, 5));
  // Another file of the same size and time.
  change(() => {
    writeFileSync(path('other'), 'ab');
    utimesSync(path('other'), 5, 5);
    rmSync(file);
    symlinkSync('other', file);
  });
  assert.equal(observe('there', file), 'yes');
  assert.equal(observe('there', path('none')), 'no');
  assert.equal(observe('link', file), 'to other');
  assert.equal(observe('link', path('other')), 'EINVAL');
  assert.equal(observe('text', file), '=ab');
  assert.equal(observe('visible', path('none')), 'ENOENT');
  assert.equal(observe('executable', '/bin/sh'), 'yes');
});

test('a file that has just changed can change again unnoticed', () => {
  const at = (ns: bigint): string => `1 2 3 4 5 6 ${ns} ${ns}`;
  const second = 1_000_000_000n;
  const now = 1_700_000_000_000;
  const time = BigInt(now) * 1_000_000n;
  assert.ok(isSettled('ENOENT', now));
  assert.ok(!isSettled(at(time - 1_000_123n), now));
  assert.ok(isSettled(at(time - 30_000_123n), now));
  assert.ok(!isSettled(at(time + second + 1n), now));
  // A file system that keeps seconds only.
  assert.ok(!isSettled(at(time - second), now));
  assert.ok(isSettled(at(time - 3n * second), now));
});

test('what is read is noted, in order, and when the instance was held', () => {
  writeFileSync(path('text'), 'content');
  startRecording();
  const env = recordedEnvironment({ A: 'a', B: 'b', GH_TOKEN: 'secret' });
  assert.equal(readTextFile(path('text')), 'content');
  assert.throws(() => readTextFile(path('none')), { code: 'ENOENT' });
  assert.equal(existsSync(path('text')), true);
  noteHeld();
  assert.equal(may('writable', path('text')), true);
  readKernelFile('/proc/self/mountinfo');
  noteInput('there', path('text'));
  assert.deepEqual([env['A'], env['C'], 'B' in env, env['GH_TOKEN']], ['a', undefined, true, 'secret']);
  const { inputs, held, variables, unknowable } = recorded() ?? assert.fail();
  assert.deepEqual(
    inputs.map(([kind]) => kind),
    ['file', 'file', 'there', 'writable', 'cgroup-mounts'],
  );
  assert.equal(held, 3);
  for (const [kind, name, observed] of inputs) assert.equal(observe(kind, name), observed);
  assert.deepEqual(variables.slice(0, 3), [
    ['A', 'a'],
    ['C', null],
    ['B', 'b'],
  ]);
  assert.doesNotMatch(String(variables[3]), /secret/);
  assert.deepEqual(variables[3], ['GH_TOKEN', observeVariable('GH_TOKEN', 'secret')]);
  assert.notEqual(observeVariable('GH_TOKEN', 'secret'), observeVariable('GH_TOKEN', 'secrets'));
  assert.equal(unknowable, undefined);
});

test('what cannot be told to be unchanged is known', () => {
  startRecording();
  Object.entries(recordedEnvironment({ A: 'a' }));
  assert.match(recorded()?.unknowable ?? '', /all variables/);
  startRecording();
  readTextFile('/proc/self/status');
  assert.equal(recorded()?.unknowable, '/proc/self/status');
});

const entry = (words: readonly string[]): Entry => ({
  launch: {
    line: { ...line, words },
    app: 'app',
    variables: [['A', null]],
    inputs: [['there', '/', 'yes']],
    held: 1,
    start: { kind: 'exec', runDir: '/run/trees/app', flags: [] },
  },
  plan: Buffer.from('plan'),
});

test('an entry is read as it was written, or not at all', () => {
  const bytes = encodeEntry(entry(['ü', '\n']));
  const decoded = decodeEntry(bytes) ?? assert.fail();
  assert.deepEqual(decoded.launch, entry(['ü', '\n']).launch);
  assert.equal(decoded.plan.toString(), 'plan');
  for (let at = 0; at < bytes.length; at++) {
    const damaged = Buffer.from(bytes);
    damaged[at] = (damaged[at] ?? 0) ^ 1;
    assert.equal(decodeEntry(damaged), undefined, `byte ${at}`);
    assert.equal(decodeEntry(bytes.subarray(0, at)), undefined, `${at} bytes`);
  }
  assert.equal(decodeEntry(Buffer.concat([bytes, Buffer.alloc(1)])), undefined);
});

test('what was used longest ago makes room', () => {
  const kept = path('run', '.kept');
  for (let at = 0; at < 70; at++) {
    const name = at.toString(16).padStart(16, '0');
    assert.ok(writeEntry(kept, name, entry([String(at)])));
    const used = new Date(Date.now() - (at === 0 ? 0 : 1_000_000 - at * 1000));
    utimesSync(join(kept, name), used, used);
  }
  const names = readdirSync(kept).sort();
  assert.equal(names.length, 64);
  assert.equal(names[0], '0'.repeat(16));
  assert.equal(names[1], (7).toString(16).padStart(16, '0'));
  removeEntries(kept, ({ launch }) => launch.line.words[0] === '0');
  assert.deepEqual(readdirSync(kept), [names[0]]);
  assert.equal(readEntry(kept, 'none'), undefined);
  writeFileSync(path('file'), '');
  assert.equal(writeEntry(path('file'), 'name', entry(['x'])), false);
});
