import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  linkSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createKeptRig, type KeptRig } from '../support/kept-rig.js';
import { layOutApp } from '../support/laid-out-app.js';
import { missingForContainers } from '../support/rootfs.js';

/* Whom a kept launch is believed, what else happens to instances meanwhile, and that it leaves what any start leaves. */

const skip = missingForContainers();
let rig: KeptRig;
before(() => {
  if (skip !== false) return;
  rig = createKeptRig();
  layOutApp(rig.store, 'tool', { exec: ['echo', 'declared'] });
});
after(() => rig?.[Symbol.dispose]());

const LINE = ['tool', '--', 'echo', 'said'];

/** The one entry of `LINE`. */
async function entryOfLine(): Promise<string> {
  rmSync(rig.kept, { recursive: true, force: true });
  await rig.warm(LINE);
  const [name = '', ...others] = rig.entries();
  assert.deepEqual(others, []);
  return join(rig.kept, name);
}

test('only what its user alone can write is believed', { skip }, async (t) => {
  const spoilings: Readonly<Record<string, (entry: string) => void>> = {
    'readable by others': (entry) => chmodSync(entry, 0o644),
    'writable by others': (entry) => chmodSync(entry, 0o602),
    'somebody else’s': (entry) => chownSync(entry, 1, 1),
    'a link to another file': (entry) => {
      renameSync(entry, `${entry}.real`);
      symlinkSync(`${entry}.real`, entry);
    },
    'a file with two names': (entry) => linkSync(entry, rig.path('second-name')),
    'a directory that others can write to': () => chmodSync(rig.kept, 0o777),
    'a directory of somebody else': () => chownSync(rig.kept, 1, 1),
    'a directory that others can replace': () => chmodSync(rig.runtimeDir, 0o777),
  };
  for (const [what, spoil] of Object.entries(spoilings)) {
    await t.test(what, async () => {
      spoil(await entryOfLine());
      const { plan, stdout, status } = rig.run(LINE);
      assert.match(plan ?? '', /^compiled/);
      assert.deepEqual([stdout, status], ['said\n', 0]);
      chmodSync(rig.runtimeDir, 0o700);
    });
  }
});

test('a damaged one is not believed, and replaced', { skip }, async () => {
  const entry = await entryOfLine();
  const whole = readFileSync(entry);
  const damaged = [
    whole.subarray(0, whole.length - 1),
    whole.subarray(0, 10),
    Buffer.alloc(0),
    Buffer.alloc(whole.length),
  ];
  for (const at of [0, 5, 8, 12, 20, whole.length >> 1, whole.length - 1]) {
    const flipped = Buffer.from(whole);
    flipped[at] = (flipped[at] ?? 0) ^ 0x10;
    damaged.push(flipped);
  }
  for (const bytes of damaged) {
    writeFileSync(entry, bytes);
    const { plan, stdout, status } = rig.run(LINE);
    assert.deepEqual([plan, stdout, status], ['compiled', 'said\n', 0]);
    assert.equal(rig.run(LINE).plan, 'kept');
  }
  // Of another line, under this one's name.
  await rig.warm(['tool', '--', 'echo', 'other']);
  const other = rig.entries().find((name) => !entry.endsWith(name)) ?? '';
  copyFileSync(join(rig.kept, other), entry);
  assert.equal(rig.run(LINE).stdout, 'said\n');
});

test('of many that start at once one runs', { skip }, async () => {
  const line = ['run', '--name', 'single', 'tool', '--', 'sleep', '2'];
  await rig.warm(line.slice(1));
  const statuses = await Promise.all(
    Array.from({ length: 6 }, async () => {
      const env = { PATH: process.env['PATH'], HOME: rig.home, TREES_ROOT: rig.prefix, NO_COLOR: '1' };
      const words = ['run', '--explain-time', ...line.slice(1)];
      const child = spawn(process.execPath, ['--', rig.bin, ...words], { cwd: rig.path('work'), env, stdio: 'ignore' });
      return await new Promise<number | null>((resolve) => child.once('exit', resolve));
    }),
  );
  assert.deepEqual(
    statuses.toSorted((a, b) => Number(a) - Number(b)),
    [0, 125, 125, 125, 125, 125],
  );
  assert.equal((await rig.warm(line.slice(1))).status, 0);
});

test('what it leaves is what any start leaves', { skip }, async () => {
  const words = ['-d', '--name', 'seen', '-e', 'A=1', '-l', 'kind=test', '--restart', 'on-failure:2', 'tool', '--'];
  const line = [...words, 'sh', '-c', 'echo logged; sleep 600'];
  const look = () => {
    const inspected = rig.trees(['inspect', 'seen', '--json']).stdout;
    const listed = rig.trees(['ps', '--json']).stdout;
    const logged = rig.trees(['logs', '--tail', '1', 'seen']).stdout;
    const plan = rig.trees(['inspect', 'seen', '--plan', '--json']).stdout;
    const spec = readFileSync(join(rig.runtimeDir, 'seen/spec.json'), 'utf8');
    assert.equal(readFileSync(join(rig.store, 'data/seen/spec.json'), 'utf8'), spec);
    return [inspected, listed, logged, plan, spec].map(withoutWhatDiffers);
  };
  const stop = () => assert.equal(rig.trees(['stop', '-t', '1', 'seen']).status, 0);
  let states: string[] | undefined;
  for (const expected of ['compiled', 'compiled', 'kept']) {
    const started = rig.run(line);
    assert.deepEqual([started.status, started.stdout, started.plan], [0, 'seen\n', expected], started.stderr);
    const now = look();
    if (states !== undefined) assert.deepEqual(now, states);
    states = now;
    if (expected === 'compiled') stop();
  }
  assert.equal(rig.trees(['restart', 'seen']).status, 0);
  const after = rig.trees(['inspect', 'seen', '--json']).stdout;
  assert.match(after, /"running"/);
  stop();
});

/** Numbers, times and ids are new with every start. */
function withoutWhatDiffers(text: string): string {
  return text
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
    .replaceAll(
      /"(id|pid|monitor|init|start|boot|uptime|started|finished|startedAt|created)":\s*("[^"]*"|\d+)/g,
      '"$1": X',
    )
    .replaceAll(/\d+ (seconds?|s|ms)\b/g, 'AGE');
}

test('a paused, a stopped and a running instance are told apart when a command joins', { skip }, async () => {
  assert.equal(rig.trees(['run', '-d', '--memory', '64m', '--name', 'joined', 'tool', '--', 'sleep', '600']).status, 0);
  const join = (env: Record<string, string> = {}) =>
    rig.trees(['exec', '-e', 'V', 'joined', '--', 'sh', '-c', 'echo joined $V; exit 7'], { env });
  for (let time = 0; time < 3; time++) {
    const { status, stdout } = join({ V: 'x' });
    assert.deepEqual([status, stdout], [7, 'joined x\n']);
  }
  assert.equal(join({ V: 'y' }).stdout, 'joined y\n');
  const pause = rig.trees(['pause', 'joined']);
  assert.equal(pause.status, 0, pause.stderr);
  const paused = join({ V: 'y' });
  assert.deepEqual([paused.status, /it is paused/.test(paused.stderr)], [125, true]);
  assert.equal(rig.trees(['unpause', 'joined']).status, 0);
  assert.equal(join({ V: 'y' }).status, 7);
  assert.equal(rig.trees(['stop', '-t', '1', 'joined']).status, 0);
  const stopped = join({ V: 'y' });
  assert.deepEqual([stopped.status, /it is not running/.test(stopped.stderr)], [125, true]);
  assert.equal(rig.trees(['start', 'joined']).status, 0);
  assert.equal(join({ V: 'y' }).stdout, 'joined y\n');
  assert.equal(rig.trees(['stop', '-t', '1', 'joined']).status, 0);
});

test('what is kept of an app goes with it', { skip }, async () => {
  const made = spawnSync('ostree', ['init', `--repo=${join(rig.store, 'repo')}`, '--mode=bare'], { encoding: 'utf8' });
  assert.equal(made.status, 0, made.stderr);
  layOutApp(rig.store, 'gone', { exec: ['true'] });
  await rig.warm(['gone']);
  await rig.warm(LINE);
  const before = rig.entries().length;
  const removed = rig.trees(['rm', 'gone']);
  assert.equal(removed.status, 0, removed.stderr);
  assert.equal(rig.entries().length, before - 1);
  assert.equal(rig.run(LINE).plan, 'kept');
  writeFileSync(join(rig.kept, 'damaged'), 'x');
  layOutApp(rig.store, 'gone', { exec: ['true'] });
  await rig.warm(['gone']);
  rmSync(join(rig.store, 'apps/gone'), { recursive: true });
  assert.equal(rig.trees(['gc']).status, 0);
  assert.equal(rig.entries().length, before - 1);
  assert.ok(!existsSync(join(rig.kept, 'damaged')));
});

test('everything that is read on the long way is noted', { skip: skip || missingStrace() }, async () => {
  writeFileSync(rig.path('work/vars'), 'A=1\n');
  const words = ['--memory', '64m', '--env-file', 'vars', '-v', 'things:/things', 'tool', '--', 'true'];
  await rig.warm(words);
  rmSync(rig.kept, { recursive: true });
  const lines = trace(['run', ...words]);
  const [name = ''] = rig.entries();
  const entry = readFileSync(join(rig.kept, name));
  const kept: unknown = JSON.parse(entry.toString('utf8', 16, 16 + entry.readUInt32LE(8)));
  const inputs: unknown = Reflect.get(Object(kept), 'inputs');
  assert.ok(Array.isArray(inputs));
  const noted = new Set(inputs.map((input: unknown) => String(Reflect.get(Object(input), 1))));
  const begin = lines.findIndex((line) => line.includes(`"${rig.bin}"`) && !line.includes('execve'));
  const end = lines.findIndex((line) => /execve\(".*trees-launch"/.test(line));
  assert.ok(begin > 0 && end > begin);
  const paths = lines.slice(begin, end).flatMap((line) => /\((?:AT_FDCWD, )?"(\/[^"]*)"/.exec(line)?.[1] ?? []);
  const missed = [...new Set(paths)].filter((path) => !noted.has(path) && !isOfNoConsequence(path));
  assert.deepEqual(missed, []);
});

test('a kept launch loads nothing of the command', { skip: skip || missingStrace() }, async () => {
  await rig.warm(LINE);
  assert.equal(rig.trees(['run', '-d', '--name', 'joined', 'tool', '--', 'sleep', '600']).status, 0);
  const join = ['exec', 'joined', '--', 'true'];
  for (let time = 0; time < 2; time++) assert.equal(rig.trees(join).status, 0);
  const loaded = (line: readonly string[]): boolean =>
    trace(line).some((call) => /open.*\/dist\/cli\/list-/.test(call));
  assert.ok(loaded(['ps']));
  for (const line of [['run', '--explain-time', ...LINE], join]) assert.ok(!loaded(line), line.join(' '));
  assert.equal(rig.trees(['stop', '-t', '1', 'joined']).status, 0);
});

/** System calls about files while a line runs, one a line. */
function trace(words: readonly string[]): string[] {
  const file = rig.path('trace');
  const strace = ['-f', '-qq', '-e', 'trace=%file', '-s', '4096', '-o', file, process.execPath, '--', rig.bin];
  const env = { PATH: process.env['PATH'], HOME: rig.home, TREES_ROOT: rig.prefix, NO_COLOR: '1' };
  const run = spawnSync('strace', [...strace, ...words], { cwd: rig.path('work'), env, encoding: 'utf8' });
  assert.equal(run.status, 0, run.stderr);
  return readFileSync(file, 'utf8').split('\n');
}

/** Why system calls cannot be seen. */
function missingStrace(): string | false {
  return spawnSync('strace', ['-V']).status === 0 ? false : 'strace is missing';
}

/** What is made or held anew at every start, and the program itself. */
function isOfNoConsequence(path: string): boolean {
  const anew = [
    rig.installation,
    rig.runtimeDir,
    join(rig.store, 'data/tool/spec.json'),
    join(rig.store, 'data/tool/spec.json.new'),
    '/var/cache/trees',
    '/proc/self/fd',
    // What Node does for the time zone and for memory.
    '/etc/localtime',
    '/usr/share/zoneinfo',
    '/dev/null',
    '/proc/sys/vm/overcommit_memory',
  ];
  const above = [tmpdir(), '/etc', '/usr', '/usr/share', rig.path('work'), rig.store, rig.prefix, rig.directory].concat(
    join(rig.store, 'data'),
    join(rig.store, 'data/tool'),
  );
  return anew.some((known) => path.startsWith(known)) || above.includes(path) || /^\/proc\/\d+\/limits$/.test(path);
}
