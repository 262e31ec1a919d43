import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { layOutApp } from '../support/laid-out-app.js';
import { missingForContainers } from '../support/rootfs.js';

/** Services as a user meets them: the real binary, an app that is installed, an instance in the background. */

const skip = missingForContainers();
const directory = mkdtempSync(join(tmpdir(), 'trees-services-'));
const project = join(import.meta.dirname, '..', '..');
const bin = join(project, 'dist/cli/bin.js');
const running = new Set<string>();
after(() => {
  for (const name of running) trees('kill', name);
  rmSync(directory, { recursive: true, force: true });
});

const environment = { ...process.env, NODE_EXTRA_CA_CERTS: undefined, TREES_ROOT: directory, HOME: directory };

function trees(...words: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [bin, ...words], {
    cwd: directory,
    env: environment,
    timeout: 120_000,
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

const sh = (script: string): string[] => ['sh', '-c', script];
const loop = 'while :; do sleep 0.02; done';

if (skip === false) {
  layOutApp(join(directory, 'var/lib/trees'), 'stack', {
    services: {
      db: {
        exec: sh(`echo db up; touch /tmp/db; trap 'echo db stops; exit 0' TERM; ${loop}`),
        ready: 'health',
        health: { exec: ['test', '-e', '/tmp/db'] },
      },
      migrate: { exec: sh('echo migrated'), oneshot: true, requires: ['db'] },
      web: {
        exec: sh(`echo web up; trap 'echo reloaded' HUP; trap 'echo web stops; exit 17' TERM; ${loop}`),
        requires: ['migrate', 'db'],
        reloadSignal: 'HUP',
        main: true,
      },
      crash: { exec: ['false'], restart: { policy: 'on-failure', max: 2, delay: 0.01 } },
    },
  });
  layOutApp(join(directory, 'var/lib/trees'), 'tool', {});
}

interface Service {
  readonly name: string;
  readonly state: string;
  readonly pid?: number;
  readonly exit?: number;
  readonly restarts: number;
}

function services(instance: string): Service[] {
  const { stdout, stderr } = trees('service', 'ls', instance, '--json');
  const parsed: { services?: Service[] } = JSON.parse(stdout === '' ? '{}' : stdout);
  assert.ok(parsed.services !== undefined, stderr);
  return parsed.services;
}

function stateOf(instance: string, name: string): Service {
  const found = services(instance).find((service) => service.name === name);
  assert.ok(found !== undefined);
  return found;
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 100; i++) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`never came true: ${what}`);
}

test('an app of services runs all of them in order; the main one’s status is the container’s', { skip }, async () => {
  const child = spawn(process.execPath, [bin, 'run', '--rm', 'stack'], {
    cwd: directory,
    env: environment,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const done = new Promise<number | null>((resolve) => child.once('close', resolve));
  await until(() => output.includes('web up'), 'web is up');
  child.kill('SIGTERM');
  assert.equal(await done, 17);
  assert.deepEqual(
    output.split('\n').filter((line) => line !== ''),
    ['db up', 'migrated', 'web up', 'web stops', 'db stops'].map((line) => {
      const service = line === 'migrated' ? 'migrate' : line.split(' ')[0];
      return `[${service} OUT] ${line}`;
    }),
  );
});

test('single services of an instance in the background are seen, stopped, started and reloaded', { skip }, async () => {
  const started = trees('run', '-d', 'stack');
  assert.deepEqual([started.status, started.stdout], [0, 'stack\n'], started.stderr);
  running.add('stack');
  await until(() => stateOf('stack', 'web').state === 'running', 'web runs');
  await until(() => stateOf('stack', 'crash').state === 'failed', 'crash has failed');
  const before = services('stack');
  assert.deepEqual(
    before.map(({ name, state, restarts }) => [name, state, restarts]),
    [
      ['db', 'ready', 0],
      ['migrate', 'stopped', 0],
      ['web', 'running', 0],
      ['crash', 'failed', 2],
    ],
  );
  const text = trees('service', 'ls', 'stack').stdout;
  assert.match(text, /^service +state +pid +exit +restarts +health/i);
  assert.match(text, /web\* +running/);
  assert.equal(trees('service', 'status', 'stack', 'db').status, 0);
  assert.equal(trees('service', 'status', 'stack', 'crash').status, 1);

  assert.equal(trees('service', 'reload', 'stack', 'web').status, 0);
  await until(() => trees('logs', 'stack').stdout.includes('reloaded'), 'web has reloaded');
  const cannot = trees('service', 'reload', 'stack', 'db');
  assert.equal(cannot.status, 1);
  assert.match(cannot.stderr, /says no way to reload/);

  // Ready as soon as it is started; what becomes of it is another matter.
  assert.equal(trees('service', 'start', 'stack', 'crash').status, 0);
  await until(() => stateOf('stack', 'crash').restarts === 4, 'crash has been tried three more times');
  const unknown = trees('service', 'stop', 'stack', 'nosuch');
  assert.equal(unknown.status, 1);
  assert.match(unknown.stderr, /no such service/);
  assert.equal(trees('service', 'ls', 'nosuch').status, 1);
  assert.equal(trees('service', 'stop', 'stack').status, 2);

  const pid = stateOf('stack', 'db').pid;
  assert.equal(trees('service', 'restart', 'stack', 'db').status, 0);
  const db = stateOf('stack', 'db');
  assert.equal(db.state, 'ready');
  assert.notEqual(db.pid, pid);
  // The main service requires it and was restarted with it: the container goes on.
  assert.equal(stateOf('stack', 'web').state, 'running');

  assert.equal(trees('service', 'stop', 'stack', 'web').status, 0);
  running.delete('stack');
  const end = trees('wait', 'stack');
  assert.equal(end.stdout, '17\n');
});

test('services from a file, YAML and JSON, and what is wrong with them', { skip }, () => {
  const yaml = join(directory, 'stack.yaml');
  writeFileSync(
    yaml,
    'services:\n  a:\n    exec: [echo, from yaml]\n    oneshot: true\n  b:\n    exec: [sh, -c, exit 3]\n    after: [a]\n    main: true\n',
  );
  const first = trees('run', '--rm', '--services', yaml, 'tool');
  assert.deepEqual([first.status, first.stdout], [3, '[a OUT] from yaml\n'], first.stderr);
  const json = join(directory, 'stack.json');
  writeFileSync(json, JSON.stringify({ a: { exec: ['echo', 'from json'], main: true } }));
  assert.equal(trees('run', '--rm', '--services', 'stack.json', 'tool').stdout, '[a OUT] from json\n');
  for (const [content, message] of [
    ['a:\n  exec: [x]\n  after: [b]\nb:\n  exec: [x]\n  requires: [a]\n', /without a cycle, got a → b → a/],
    ['a:\n  exec: [x]\n  when: {source: b, once: exit, each: exit}\nb:\n  exec: [x]\n', /once or each, not both/],
    ['a: {}\n', /exec/],
    ['{}', /there are none/],
    ['a: [', /stack\.yaml/],
  ] as const) {
    writeFileSync(yaml, content);
    const { status, stdout, stderr } = trees('run', '--rm', '--services', yaml, 'tool');
    assert.deepEqual([status, stdout], [125, ''], stderr);
    assert.match(stderr, message);
  }
  assert.match(trees('run', '--services', '/no/file', 'tool').stderr, /cannot read the services in \/no\/file/);
  assert.equal(trees('run', '--services', json, 'tool', '--', 'true').status, 125);
  assert.match(trees('run', '--rm', '-t', '--multi', 'tool', '--', 'true').stderr, /main service/);
});

test('--multi: several commands side by side, named for their programs', { skip }, () => {
  const { status, stdout } = trees(
    'run',
    '--rm',
    '--multi',
    'tool',
    '--',
    'echo',
    'a',
    'b',
    '--',
    '/bin/echo',
    'c',
    '--',
    'sh',
    '-c',
    'echo e >&2; exit 4',
  );
  assert.equal(status, 4);
  const lines = stdout.split('\n').filter((line) => line !== '');
  assert.deepEqual(lines.filter((line) => line.includes('OUT')).sort(), ['[echo-1 OUT] a b', '[echo-2 OUT] c']);
  assert.equal(trees('run', '--rm', '--multi', 'tool', '--').status, 125);
});

test('health of a command, as podman has it', { skip }, () => {
  const killed = trees(
    'run',
    '--rm',
    '--health-cmd',
    'exit 1',
    '--health-interval',
    '0.1s',
    '--health-retries',
    '2',
    '--health-on-failure',
    'kill',
    'tool',
    '--',
    'sleep',
    '1000',
  );
  assert.equal(killed.status, 137, killed.stderr);
});
