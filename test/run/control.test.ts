import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { missingForContainers } from '../support/rootfs.js';
import { bench, eventually, isAlive } from './support/container.js';
import { askRaw, instances } from './support/instance.js';

const skip = missingForContainers();
const box = bench();
const own = instances(box);
after(() => {
  own[Symbol.dispose]();
  box[Symbol.dispose]();
});

const has = (program: string): boolean => spawnSync(program, ['--version']).status === 0;
const launcherSources = fileURLToPath(new URL('../../trees/launcher/', import.meta.url));

async function connected(name: string): Promise<Socket> {
  const socket = connect(join(own.runDir(name), 'control'));
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  socket.on('error', () => undefined);
  return socket;
}

test('what makes no sense is answered with an error, and nothing else happens', { skip }, async () => {
  own.detach('patient', ['sleep', '300']);
  const before = own.state('patient');
  const wrong = [
    ['bogus\n', /^error unknown request\n$/],
    ['\n', /^error empty word in the request\n$/],
    ['stop  timeout=1\n', /^error empty word/],
    ['stop timeout=abc\n', /^error expected signal= and timeout= to be numbers\n$/],
    ['stop timeout=-1\n', /^error /],
    ['stop timeout=99999999999999999999\n', /^error /],
    ['stop signal=65\n', /^error /],
    ['stop signal=0\n', /^error /],
    ['stop =5\n', /^error value without a key\n$/],
    ['stop timeout=%zz\n', /^error broken percent-encoding\n$/],
    ['stop timeout=%00\n', /^error broken percent-encoding\n$/],
    ['kill signal=SIGTERM\n', /^error /],
    ['resize rows=10 cols=10\n', /^error the instance has no terminal\n$/],
    ['resize rows=70000 cols=1\n', /^error /],
    ['attach stdin=2\n', /^error /],
    [Buffer.from('stop\0\n'), /^error NUL in the request\n$/],
    [`stop ${'x'.repeat(8000)}\n`, /^error request too long\n$/],
    [`stop ${'x '.repeat(100)}\n`, /^error /],
  ] as const;
  for (const [request, expected] of wrong) {
    assert.match(
      await askRaw(own.runDir('patient'), request),
      expected,
      JSON.stringify(request.toString().slice(0, 40)),
    );
  }
  assert.deepEqual(own.state('patient'), before);
  assert.match(await own.ask('patient', 'kill signal=9'), /^ok\n$/);
});

test('status: the lines of the state, and ok', { skip }, async () => {
  own.detach('told', ['sleep', '300']);
  const lines = (await own.ask('told', 'status')).split('\n');
  assert.equal(lines.pop(), '');
  assert.equal(lines.pop(), 'ok');
  const state = Object.fromEntries(lines.map((line) => line.split('=')));
  assert.deepEqual(state, own.state('told'));
  await own.ask('told', 'kill');
});

test('clients are limited, and those that say nothing keep nobody else from asking', { skip }, async () => {
  own.detach('crowded', ['sleep', '300']);
  const silent = await Promise.all(Array.from({ length: 40 }, () => connected('crowded')));
  for (const socket of silent.slice(0, 20)) socket.write('sta'); // never goes on
  assert.match(await own.ask('crowded', 'status'), /\nok\n$/);
  const more = await Promise.all(Array.from({ length: 40 }, () => connected('crowded')));
  const answers: string[] = [];
  for (const socket of more) socket.on('data', (chunk: Buffer) => answers.push(chunk.toString()));
  await eventually(() => answers.some((answer) => answer === 'error too many clients\n'), 'some are refused');
  for (const socket of [...silent, ...more]) socket.destroy();
  await eventually(() => answers.length > 0, 'it goes on');
  assert.match(await own.ask('crowded', 'status'), /\nok\n$/);
  await own.ask('crowded', 'kill');
});

test('a client that attaches and reads nothing blocks neither the container nor the monitor', { skip }, async () => {
  const script =
    'i=0; while [ $i -lt 40 ]; do dd if=/dev/zero bs=64k count=1 2>/dev/null; i=$((i + 1)); done; echo done; exec sleep 300';
  for (const tty of [false, true]) {
    const name = tty ? 'flooding-tty' : 'flooding';
    own.detach(name, ['sh', '-c', `sleep 0.3; ${script}`], { tty });
    const socket = await connected(name);
    socket.pause();
    socket.write('attach stdin=1 stdout=1\n');
    // Another client sees the end of it all.
    let seen = '';
    const other = await connected(name);
    other.on('data', (chunk: Buffer) => (seen = (seen + chunk.toString('latin1')).slice(-200)));
    other.write('attach stdin=0 stdout=1\n');
    await eventually(() => seen.includes('done'), 'all is written');
    assert.match(await own.ask(name, 'status'), /\nok\n$/);
    assert.equal(await own.ask(name, 'stop timeout=5000'), 'exit=143\nok\n');
    socket.destroy();
    other.destroy();
  }
});

test('only root and the owner may ask', { skip }, async () => {
  own.detach('private', ['sleep', '300']);
  const socket = join(own.runDir('private'), 'control');
  assert.equal(statSync(socket).mode & 0o777, 0o600);
  // Somebody opened the way to it: who asks is looked at all the same.
  for (const path of [box.directory, join(own.runDir('private'), '..'), own.runDir('private')]) chmodSync(path, 0o755);
  chmodSync(socket, 0o666);
  const program = `
    const socket = require('node:net').connect(${JSON.stringify(socket)}, () => socket.write('stop\\n'));
    socket.on('error', (error) => process.stdout.write(error.code));
    socket.pipe(process.stdout);`;
  const { stdout } = spawnSync(process.execPath, ['-e', program], { uid: 65_534, gid: 65_534, encoding: 'utf8' });
  // The refusal may be faster than the request.
  assert.match(stdout, /^(error the instance belongs to somebody else\n|EPIPE|ECONNRESET)/);
  assert.equal(own.state('private')['status'], 'running');
  await own.ask('private', 'kill');
});

test('service: an instance without services has nobody to ask', { skip }, async () => {
  own.detach('no-services', ['sleep', '300']);
  assert.match(await own.ask('no-services', 'service status'), /^error /);
  await own.ask('no-services', 'kill');
});

test('who waits is told the exit status, and so is who comes in the last moment', { skip }, async () => {
  own.detach('ending', ['sh', '-c', 'sleep 0.3; exit 12']);
  const answers = await Promise.all(Array.from({ length: 20 }, () => own.ask('ending', 'wait')));
  assert.ok(
    answers.every((answer) => answer === 'exit=12\nok\n'),
    String(answers),
  );
  const { monitor } = own.state('ending');
  await eventually(() => !isAlive(Number(monitor)), 'the monitor has ended');
  await sleep(0);
});

test('the parser of requests under sanitizers: mutations by the thousand', {
  skip: skip || (has('clang') ? false : 'needs clang with libFuzzer'),
}, (t) => {
  const fuzzer = join(box.directory, 'request-fuzz');
  const corpus = join(box.directory, 'corpus');
  const flags = '-std=c17 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined';
  const sources = ['fuzz/request-fuzz.c', 'request.c', 'detach-keys.c'].map((file) => join(launcherSources, file));
  const built = spawnSync('clang', [...flags.split(' '), ...sources, '-o', fuzzer], { encoding: 'utf8' });
  if (/fuzzer|libclang_rt/.test(built.stderr) && built.status !== 0) {
    t.skip('needs libFuzzer (package libclang-rt-14-dev)');
    return;
  }
  assert.equal(built.status, 0, built.stderr);
  mkdirSync(corpus);
  for (const [index, line] of [
    'stop signal=15 timeout=100',
    'service restart a%20b x=%41',
    'ctrl-p,ctrl-q',
  ].entries()) {
    writeFileSync(join(corpus, String(index)), line);
  }
  const run = spawnSync(fuzzer, ['-runs=60000', '-max_len=4200', '-seed=1', '-verbosity=0', corpus], {
    encoding: 'utf8',
    cwd: box.directory,
    timeout: 300_000,
  });
  assert.equal(run.status, 0, run.stderr.slice(-4000));
});
