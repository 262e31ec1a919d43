import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { launcherPath } from '../../trees/run/exec-launcher.js';
import { missingForContainers } from '../support/rootfs.js';
import { bench, eventually } from './support/container.js';
import { attachClient, instances, launch } from './support/instance.js';
import { onTerminal } from './support/terminal.js';

const has = (program: string): boolean => spawnSync(program, ['--version']).status === 0;
const skip = missingForContainers();
const skipTerminal = skip || (has('script') ? false : 'needs script (package bsdutils)');
const box = bench();
const own = instances(box);
after(() => {
  own[Symbol.dispose]();
  box[Symbol.dispose]();
});

const attach = (name: string, flags = ''): string => `${launcherPath()} --attach ${own.runDir(name)} ${flags}`;
/** Answers line by line, on standard output and standard error. */
const echoes =
  'echo begin; while read -r line; do echo "out $line"; echo "err $line" >&2; [ "$line" = end ] && exit 7; done; exit 9';

test('output and errors apart, input passed on, and the exit status', { skip }, async () => {
  own.detach('lines', ['sh', '-c', echoes], { stdin: true });
  const client = attachClient(own.runDir('lines'));
  await client.see('begin\n'); // was written before
  client.child.stdin.write('one\n');
  await client.see('out one\n');
  client.child.stdin.write('end\n');
  assert.equal(await client.done, 7);
  assert.equal(client.stdout(), 'begin\nout one\nout end\n');
  assert.equal(client.stderr(), 'err one\nerr end\n');
});

test('several at once: each sees everything, each may type', { skip }, async () => {
  own.detach('shared', ['sh', '-c', echoes], { stdin: true });
  const clients = [0, 1, 2].map(() => attachClient(own.runDir('shared')));
  await Promise.all(clients.map((client) => client.see('begin\n')));
  for (const [index, client] of clients.entries()) {
    client.child.stdin.write(`from ${index}\n`);
    await Promise.all(clients.map((each) => each.see(`out from ${index}\n`)));
  }
  clients[0]?.child.stdin.write('end\n');
  assert.deepEqual(await Promise.all(clients.map((client) => client.done)), [7, 7, 7]);
});

test('the end of one’s input is not the end of the instance’s', { skip }, async () => {
  own.detach('lasting', ['sh', '-c', echoes], { stdin: true });
  const first = attachClient(own.runDir('lasting'));
  first.child.stdin.end('one\n');
  await first.see('out one\n');
  const second = attachClient(own.runDir('lasting'), ['--no-replay']);
  await eventually(() => second.child.pid !== undefined, 'it is there');
  second.child.stdin.write('end\n');
  assert.deepEqual(await Promise.all([first.done, second.done]), [7, 7]);
  assert.doesNotMatch(second.stdout(), /begin/);
});

test('input in frames, however they are cut, also together with the request', { skip }, async () => {
  own.detach('framed', ['sh', '-c', echoes], { stdin: true });
  const frame = (text: string, channel = 0): Buffer => {
    const head = Buffer.alloc(8);
    head.writeUInt8(channel, 0);
    head.writeUInt32BE(text.length, 4);
    return Buffer.concat([head, Buffer.from(text)]);
  };
  const all = Buffer.concat([
    Buffer.from('attach stdin=1 stdout=1\n'),
    frame('one\n'),
    frame(''),
    frame('not for standard input\n', 1),
    frame('tw'),
    frame('o\nend\n'),
  ]);
  const socket = connect(join(own.runDir('framed'), 'control'));
  let answer = '';
  socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')));
  const closed = new Promise((resolve) => socket.once('close', resolve));
  // The request and two and a half frames at once, then byte by byte.
  const first = 24 + 12 + 8 + 5;
  socket.write(all.subarray(0, first));
  for (const byte of all.subarray(first)) {
    await sleep(1);
    socket.write(Buffer.of(byte));
  }
  await closed;
  const start = 'tty=0 stdin=1\nok\n';
  assert.equal(answer.slice(0, start.length), start);
  const frames = Buffer.from(answer.slice(start.length), 'latin1');
  const channels = ['', '', ''];
  for (let at = 0; at < frames.length; ) {
    const length = frames.readUInt32BE(at + 4);
    channels[frames.readUInt8(at)] += frames.toString('latin1', at + 8, at + 8 + length);
    at += 8 + length;
  }
  assert.deepEqual(channels, ['', 'begin\nout one\nout two\nout end\n', 'err one\nerr two\nerr end\n']);
});

test('binary output arrives as it was written', { skip }, async () => {
  const script = 'read -r go; dd if=/dev/urandom of=/tmp/data bs=1024 count=1024 2>/dev/null; cat /tmp/data; sleep 1';
  own.detach('binary', ['sh', '-c', script], { stdin: true });
  const client = attachClient(own.runDir('binary'));
  client.child.stdin.write('go\n');
  assert.equal(await client.done, 0);
  assert.equal(client.stdout().length, 1024 * 1024);
});

test('the last lines from before, from the beginning of a line', { skip }, async () => {
  own.detach('talked', ['sh', '-c', 'seq 1 20000; echo ready; exec sleep 300']);
  await attachClient(own.runDir('talked')).see('ready\n');
  const client = attachClient(own.runDir('talked'));
  await client.see('ready\n');
  const lines = client.stdout().trimEnd().split('\n').slice(0, -1).map(Number);
  assert.ok(lines.length > 1000 && lines.length < 20_000, `${lines.length} lines`);
  assert.ok(lines.every((line, index) => line === 20_000 - lines.length + 1 + index));
  await own.ask('talked', 'kill');
  assert.equal(await client.done, 137);
});

test('signals are passed on, unless that is not wanted', { skip }, async () => {
  own.detach('caught', ['sh', '-c', 'trap "echo usr" USR1; trap "exit 6" INT; echo up; while :; do sleep 0.05; done']);
  const quiet = attachClient(own.runDir('caught'), ['--sig-proxy=false']);
  const client = attachClient(own.runDir('caught'));
  await Promise.all([quiet.see('up'), client.see('up')]);
  client.child.kill('SIGUSR1');
  await client.see('usr');
  quiet.child.kill('SIGINT');
  assert.equal(await quiet.done, 130);
  assert.equal(own.state('caught')['status'], 'running');
  client.child.kill('SIGINT');
  assert.equal(await client.done, 6);
});

test('what cannot be attached to says so: 125', { skip }, async () => {
  const attachTo = (directory: string) => launch(['--attach', directory]);
  assert.match(attachTo('/no/such').stderr, /cannot attach to the instance in \/no\/such: No such file/);
  own.detach('over', ['true']);
  await own.waitForState('over', 'status', 'exited');
  const over = attachTo(own.runDir('over'));
  assert.deepEqual([over.status, over.stdout], [125, '']);
  assert.match(over.stderr, /is not running/);
  assert.match(launch(['--attach']).stderr, /expected the directory of an instance/);
  assert.match(launch(['--attach', '/x', '--detach-keys=ctrl-']).stderr, /expected --detach-keys to be/);
  assert.match(launch(['--attach', '/x', '--bogus']).stderr, /unknown option --bogus/);
  // Started in the foreground, with the caller's own streams.
  const child = spawn(launcherPath(), [own.plan('direct', ['sleep', '300'])], { stdio: 'ignore' });
  await own.waitForState('direct', 'status', 'running');
  assert.match(attachTo(own.runDir('direct')).stderr, /its output goes to where it was started/);
  child.kill('SIGTERM');
});

test('the monitor is killed: 125, not the status of anything', { skip }, async () => {
  own.detach('shot', ['sh', '-c', 'echo up; exec sleep 300']);
  const client = attachClient(own.runDir('shot'));
  await client.see('up');
  process.kill(Number(own.state('shot')['monitor']), 'SIGKILL');
  assert.equal(await client.done, 125);
  assert.match(client.stderr(), /has gone, and the instance with it/);
});

test('a terminal: its size at once and when it changes, keys, detaching and coming back', {
  skip: skipTerminal,
}, async () => {
  own.detach('shell', ['sh'], { tty: true });
  const first = onTerminal(attach('shell'));
  await first.see('# ');
  first.type('stty size\n');
  await first.see('40 111');
  first.type('x=kept\n');
  first.type('\x10\x11'); // ctrl-p ctrl-q
  assert.equal(await first.done, 0);
  assert.equal(own.state('shell')['status'], 'running');

  const second = onTerminal(`stty rows 20 cols 70; ${attach('shell', '--detach-keys=ctrl-x,q')}`);
  await second.see('# ');
  second.type('echo $x; stty size\n');
  await second.see('kept');
  await second.see('20 70');
  // The default keys are only keys now, and half of the sequence is not lost.
  second.type('cat\n');
  second.type('\x10 a\x18b\n');
  await second.see('\x10 a\x18b\r\n');
  second.type('\x04');
  await second.see('# ');
  second.type('\x18q');
  assert.equal(await second.done, 0);

  const third = onTerminal(
    `before=$(stty -g); ${attach('shell')}; echo status $?; [ "$before" = "$(stty -g)" ] && echo restored`,
  );
  await third.see('# ');
  third.type('exit 5\n');
  await third.see('status 5');
  await third.see('restored');
  await third.done;
});

test('a foreground terminal can be joined by others', { skip: skipTerminal }, async () => {
  const plan = own.plan('joined', ['sh'], { tty: true });
  const owner = onTerminal(`${launcherPath()} ${plan}`);
  await owner.see('# ');
  const guest = onTerminal(attach('joined'));
  await guest.see('# ');
  guest.type('echo from the guest\n');
  await owner.see('\nfrom the guest');
  owner.type('exit 3\n');
  assert.deepEqual(await Promise.all([owner.done, guest.done]), [3, 3]);
});

test('resizing asks for numbers and a terminal', { skip }, async () => {
  own.detach('sized', ['sh', '-c', "trap 'stty size' WINCH; echo up; while :; do sleep 0.05; done"], { tty: true });
  const client = attachClient(own.runDir('sized'));
  await client.see('up');
  assert.equal(await own.ask('sized', 'resize rows=12 cols=34'), 'ok\n');
  await client.see('12 34');
  assert.match(await own.ask('sized', 'resize rows=0 cols=34'), /^error /);
  await own.ask('sized', 'kill');
  await client.done;
  await sleep(0);
});
