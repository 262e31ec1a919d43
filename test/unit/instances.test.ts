import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { readHealth } from '../../trees/cli/run-options/health.js';
import { readLabels, readLifecycle } from '../../trees/cli/run-options/lifecycle.js';
import { TreesError } from '../../trees/errors.js';
import { askInstance, decodeWord, encodeWord } from '../../trees/run/control.js';
import { parseDuration } from '../../trees/run/duration.js';
import { claimInstance } from '../../trees/run/instance-claim.js';
import { parseFilters } from '../../trees/run/instance-filter.js';
import { tryClaim } from '../../trees/run/instance-locks.js';
import { describeStatus, type InstanceReport } from '../../trees/run/instance-report.js';
import { findInstanceSpec, type InstanceSpec, noteInstanceSpec } from '../../trees/run/instance-spec.js';
import { bootId, parseInstanceState } from '../../trees/run/instance-state.js';
import { findInstance, listInstances } from '../../trees/run/instances.js';
import { plainRequest } from '../../trees/run/resolve.js';
import { resolveIn } from '../../trees/run/root-view.js';
import { openSafeDirectory } from '../../trees/run/safe-directory.js';
import { parseSignal } from '../../trees/run/signals.js';
import { diffUpper } from '../../trees/run/upper-diff.js';
import { commandLine, isCommandName } from '../../trees/store/exports.js';
import { storePaths } from '../../trees/store/paths.js';

/** What is known about instances, and how it is asked for: no containers. */

const directory = mkdtempSync(join(tmpdir(), 'trees-instances-'));
after(() => rmSync(directory, { recursive: true, force: true }));
const usage = { code: 'USAGE' };

function placesIn(name: string) {
  const places = { root: join(directory, name, 'store'), runtimeDir: join(directory, name, 'run') };
  mkdirSync(join(places.root, 'data'), { recursive: true });
  mkdirSync(places.runtimeDir, { recursive: true });
  return places;
}

function stateText(change: Readonly<Record<string, string | number>> = {}): string {
  const values = {
    version: 1,
    name: 'web',
    app: 'nginx',
    generation: 4,
    'instance-id': '0123456789ab',
    boot: bootId(),
    status: 'running',
    monitor: process.pid,
    'monitor-start': readFileSync('/proc/self/stat', 'utf8').split(') ')[1]?.split(' ')[19] ?? '',
    init: 77,
    'init-start': 5,
    started: '1700000000123456789',
    restarts: 2,
    ...change,
  };
  return Object.entries(values)
    .map(([key, value]) => `${key}=${value}\n`)
    .join('');
}

test('signals by name, number and place among the real-time ones', () => {
  assert.deepEqual(
    ['TERM', 'sigterm', '15', 'SIGKILL', 'RTMIN+3', 'rtmax-1', 'RTMIN'].map((text) => parseSignal(text, 'x')),
    [15, 15, 15, 9, 37, 63, 34],
  );
  for (const text of ['', '0', '65', 'NOPE', 'RTMIN-1', 'RTMAX+1', 'RTMIN+31', '-9', '1.5']) {
    assert.throws(() => parseSignal(text, '--signal'), usage, text);
  }
});

test('durations as podman takes them', () => {
  assert.deepEqual(
    ['30s', '1m30s', '500ms', '2h', '1.5m', '7'].map((text) => parseDuration(text, 'x')),
    [30, 90, 0.5, 7200, 90, 7],
  );
  for (const text of ['', 's', '3x', '1m 3s', '-1s', '1s2'])
    assert.throws(() => parseDuration(text, '--x'), usage, text);
});

test('restart policies, labels and checks from options', () => {
  const restart = (text: string): unknown => readLifecycle({ rest: [], restart: text }).supervision?.restart;
  assert.deepEqual(restart('on-failure:3'), { policy: 'on-failure', max: 3 });
  assert.deepEqual(restart('always'), { policy: 'always' });
  assert.deepEqual(restart('no'), { policy: 'no' });
  for (const text of ['always:3', 'on-failure:x', 'maybe', 'no:1']) assert.throws(() => restart(text), usage, text);
  assert.throws(() => readLifecycle({ rest: [], rm: true, restart: 'always' }), usage);
  assert.deepEqual(readLabels({ rest: [], label: ['a=b=c', 'd'] }), { a: 'b=c', d: '' });
  assert.deepEqual(readHealth({ rest: [], 'health-cmd': 'curl -f x', 'health-interval': '5s', 'health-retries': 2 }), {
    exec: ['/bin/sh', '-c', 'curl -f x'],
    interval: 5,
    retries: 2,
  });
  assert.deepEqual(readHealth({ rest: [], 'health-cmd': '["test","-e","/x"]' }), { exec: ['test', '-e', '/x'] });
  assert.equal(readHealth({ rest: [], 'no-healthcheck': true }), 'none');
  assert.throws(() => readHealth({ rest: [], 'health-cmd': '["x", 3]' }), usage);
  assert.throws(() => readHealth({ rest: [], 'health-timeout': '1s' }), usage);
});

test('a state file: known keys, cgroups, times; damage is no state', () => {
  const state = parseInstanceState(
    `${stateText({ health: 'healthy', ready: 1, later: 'x' })}cgroup=memory:/a:b\ncgroup=:/c\n`,
  );
  assert.equal(state?.name, 'web');
  assert.equal(state.generation, 4);
  assert.equal(state.started, 1_700_000_000_123);
  assert.equal(state.health, 'healthy');
  assert.equal(state.exit, undefined);
  assert.deepEqual(state.init, { pid: 77, start: '5' });
  assert.deepEqual(state.cgroups, [
    { controllers: 'memory', path: '/a:b' },
    { controllers: '', path: '/c' },
  ]);
  for (const change of [{ version: 2 }, { status: 'odd' }, { name: '' }, { monitor: 'x' }]) {
    assert.equal(parseInstanceState(stateText(change)), undefined);
  }
  assert.equal(parseInstanceState(''), undefined);
});

test('the truth: alive, dead after a kill or another boot, stopped with data only', () => {
  const places = placesIn('truth');
  const put = (name: string, text: string): void => {
    mkdirSync(join(places.runtimeDir, name));
    writeFileSync(join(places.runtimeDir, name, 'state'), text);
    writeFileSync(join(places.runtimeDir, name, 'lock'), '');
  };
  put('alive', stateText({ name: 'alive' }));
  put('reused', stateText({ name: 'reused', 'monitor-start': 1 }));
  put('booted', stateText({ name: 'booted', boot: 'other' }));
  put('ended', stateText({ name: 'ended', status: 'exited', exit: 3, monitor: 1, 'monitor-start': 0 }));
  mkdirSync(join(places.root, 'data/kept'));
  const status = Object.fromEntries(listInstances(places, { all: true }).map(({ name, status: is }) => [name, is]));
  assert.deepEqual(status, { alive: 'running', booted: 'dead', ended: 'exited', kept: 'stopped', reused: 'dead' });
  assert.deepEqual(
    listInstances(places, { all: false }).map(({ name }) => name),
    ['alive'],
  );
  assert.equal(findInstance(places, 'none'), undefined);
  assert.equal(findInstance(places, '../x'), undefined);
});

test('an instance is claimed once; who waits gets it afterwards; a directory that went away is made again', async () => {
  const runDir = join(placesIn('claim').runtimeDir, 'web');
  const first = await claimInstance(runDir, 'web', { what: 'run', timeout: 1 });
  assert.equal(tryClaim(runDir), 'busy');
  await assert.rejects(claimInstance(runDir, 'web', { what: 'run', timeout: 0 }), { code: 'LOCKED' });
  const waiting = claimInstance(runDir, 'web', { what: 'run', timeout: 60 });
  rmSync(runDir, { recursive: true });
  first[Symbol.dispose]();
  using second = await waiting;
  assert.equal(tryClaim(runDir), 'busy');
  assert.ok(second.fd > 2);
});

test('what an instance was asked to be survives writing and reading, limits without limit too', () => {
  const places = placesIn('spec');
  const spec: InstanceSpec = {
    schema: 1,
    app: 'nginx',
    request: { ...plainRequest, env: { A: 'ä\n' }, rlimits: [{ name: 'core', soft: 0, hard: Infinity }] },
    userns: 'auto',
    tty: false,
    created: new Date(0).toISOString(),
    labels: { a: 'b' },
  };
  noteInstanceSpec(places, { name: 'web', keeps: true, spec });
  const runDir = join(places.runtimeDir, 'web');
  const data = join(places.root, 'data/web');
  assert.deepEqual(findInstanceSpec({ runDir, data }), spec);
  rmSync(runDir, { recursive: true });
  assert.deepEqual(findInstanceSpec({ runDir, data }), spec, 'after the machine was started again');
  noteInstanceSpec({ ...places }, { name: 'web', keeps: true, spec: undefined });
  assert.equal(findInstanceSpec({ runDir, data }), undefined);
  writeFileSync(join(data, 'spec.json'), '{"schema":9}');
  assert.throws(() => findInstanceSpec({ runDir, data }), { code: 'STORE_CORRUPT' });
});

const blank: InstanceReport = {
  name: 'web',
  app: 'app',
  id: null,
  generation: 1,
  status: 'running',
  running: true,
  health: null,
  ready: null,
  pid: null,
  started: null,
  finished: null,
  exit: null,
  oom: false,
  restarts: 0,
  detached: null,
  tty: null,
  error: null,
  statusText: null,
  labels: {},
};

test('filters: of one key any, of different keys all', () => {
  const report: InstanceReport = {
    ...blank,
    name: 'web-1',
    app: 'nginx',
    status: 'exited',
    exit: 3,
    id: 'abc',
    labels: { t: 'x' },
  };
  const fits = (...texts: string[]): boolean => parseFilters(texts)(report);
  assert.ok(
    fits('name=^web', 'app=nginx', 'status=running', 'status=exited', 'exited=3', 'label=t', 'label=t=x', 'id=a'),
  );
  for (const text of ['name=^x', 'app=other', 'exited=0', 'label=u', 'label=t=y', 'health=healthy'])
    assert.equal(fits(text), false);
  for (const text of ['odd=1', 'name', '=x', 'name=(']) assert.throws(() => fits(text), usage, text);
});

test('how long it has been so', () => {
  const report = (change: Partial<InstanceReport>): InstanceReport => ({
    ...blank,
    started: new Date(0).toISOString(),
    ...change,
  });
  assert.equal(describeStatus(report({}), 1000), 'Up 1 second');
  assert.equal(
    describeStatus(report({ health: 'healthy', status: 'paused' }), 7_200_000),
    'Up 2 hours (healthy, paused)',
  );
  const ended = { status: 'exited' as const, exit: 137, oom: true, finished: new Date(0).toISOString() };
  assert.equal(describeStatus(report(ended), 200_000_000), 'Exited (137, out of memory) 2 days ago');
});

test('control: words are encoded; answers, refusals, silence and nobody', async () => {
  assert.equal(decodeWord(encodeWord('a b=c%\n')), 'a b=c%\n');
  assert.equal(encodeWord('a b'), 'a%20b');
  // Longer than the address of a socket may be.
  const runDir = join(directory, 'x'.repeat(60), 'y'.repeat(60));
  mkdirSync(runDir, { recursive: true });
  const short = join(directory, 'c');
  const requests: string[] = [];
  const server = createServer((socket) => {
    socket.on('data', (bytes) => {
      const line = bytes.toString();
      requests.push(line);
      if (line.startsWith('status')) socket.end('a=1 b=two%20words\nc=3\nok\n');
      else if (line.startsWith('stop')) socket.end('error it will not\n');
      else if (line.startsWith('late')) socket.end('error the instance has ended\n');
      else if (line.startsWith('wait')) socket.end('exit=4\n');
    });
  });
  await new Promise<void>((resolve) => server.listen(short, resolve));
  try {
    symlinkSync(short, join(runDir, 'control'));
    const instance = { name: 'web', runDir };
    const reply = await askInstance(instance, 'status', { text: 'x y', none: undefined, number: 3 });
    assert.deepEqual(reply, { complete: true, lines: [{ a: '1', b: 'two words' }, { c: '3' }] });
    assert.equal(requests[0], 'status text=x%20y number=3\n');
    await assert.rejects(askInstance(instance, 'stop'), {
      code: 'CONTROL_FAILED',
      message: 'cannot stop web: it will not',
    });
    await assert.rejects(askInstance(instance, 'late'), { code: 'INSTANCE_NOT_RUNNING' });
    assert.deepEqual(await askInstance(instance, 'wait'), { complete: false, lines: [{ exit: '4' }] });
    await assert.rejects(askInstance(instance, 'silent', {}, { timeout: 50 }), { code: 'CONTROL_FAILED' });
    await assert.rejects(askInstance(instance, 'silent', {}, { signal: AbortSignal.timeout(50) }));
    await assert.rejects(askInstance({ name: 'web', runDir: directory }, 'status'), { code: 'INSTANCE_NOT_RUNNING' });
  } finally {
    server.close();
  }
});

test('paths in a root are followed inside of it only', () => {
  const root = join(directory, 'root');
  mkdirSync(join(root, 'a/b'), { recursive: true });
  writeFileSync(join(root, 'a/b/file'), 'x');
  symlinkSync('/a', join(root, 'absolute'));
  symlinkSync('../../../../..', join(root, 'a/up'));
  symlinkSync('loop', join(root, 'loop'));
  using top = openSafeDirectory(root);
  const place = (path: string, follow = true): string | undefined => {
    using found = resolveIn(top, path, { follow });
    return found.name === undefined ? '(root)' : `${found.directory.own().ino}:${found.name}`;
  };
  assert.equal(place('/absolute/b/file'), place('/a/b/file'));
  assert.equal(place('/a/up/a/b/file'), place('/a/b/file'));
  assert.equal(place('../../a/b/../b/file'), place('/a/b/file'));
  assert.equal(place('/'), '(root)');
  assert.equal(place('/absolute'), place('/a'));
  assert.notEqual(place('/absolute', false), place('/a'));
  assert.throws(() => place('/loop/x'), TreesError);
  assert.throws(() => place('/none/x'), { code: 'PATH_CONFLICT' });
  assert.throws(() => top.look('../x'), TypeError);
});

test('what differs from the tree below', () => {
  const [upper, lower] = [join(directory, 'upper'), join(directory, 'lower')];
  mkdirSync(join(upper, 'etc'), { recursive: true });
  mkdirSync(join(lower, 'etc'), { recursive: true });
  writeFileSync(join(lower, 'etc/old'), 'x');
  assert.deepEqual(diffUpper(join(directory, 'nothing'), lower), []);
  assert.deepEqual(diffUpper(upper, lower), [], 'a directory that is the same is no change');
  writeFileSync(join(upper, 'etc/hosts'), '');
  assert.deepEqual(diffUpper(upper, lower), [], 'a mount point is no change');
  writeFileSync(join(upper, 'etc/old'), 'new');
  writeFileSync(join(upper, 'made'), '');
  assert.deepEqual(diffUpper(upper, lower), [
    { change: 'C', path: '/etc/' },
    { change: 'C', path: '/etc/old', size: 3 },
    { change: 'A', path: '/made', size: 0 },
  ]);
});

test('the line of an exported command: no longer than the kernel reads, no blanks in the interpreter', () => {
  const line = (root: string, launcher = '/usr/lib/trees-launch'): string =>
    commandLine(storePaths(root), launcher, { name: 'etcd', command: 'etcdctl' });
  assert.equal(line('/s'), '#!/usr/lib/trees-launch --command=/s/apps/etcd/current/commands/etcdctl');
  const room = 255 - line('/').length;
  assert.equal(line(`/${'x'.repeat(room - 1)}`).length, 255);
  assert.throws(() => line(`/${'x'.repeat(room)}`), { code: 'UNSUPPORTED' });
  assert.throws(() => line('/s', '/my programs/trees-launch'), { code: 'UNSUPPORTED' });
  for (const name of ['', '.x', 'a/b', 'a b', '-x', 'x'.repeat(65)]) assert.equal(isCommandName(name), false, name);
  assert.ok(isCommandName('g++') && isCommandName('7z') && isCommandName('X_y.z-1'));
});
