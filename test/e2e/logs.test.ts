import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { layOutApp } from '../support/laid-out-app.js';
import { createRig, type Rig, type RunResult } from '../support/rig.js';
import { missingForContainers } from '../support/rootfs.js';

const sh = (script: string): string[] => ['sh', '-c', script];

describe('output of instances, through the command line', { skip: missingForContainers() }, () => {
  let rig: Rig;
  before(async () => {
    rig = await createRig();
    layOutApp(rig.store, 'pair', {
      services: {
        a: { exec: sh('echo a1; sleep 0.2; echo a2 >&2; exec sleep 300') },
        b: { exec: sh('sleep 0.1; echo b1; sleep 0.3; printf "b end"; exec sleep 300'), main: true },
      },
    });
    layOutApp(rig.store, 'tool', {});
  });
  after(async () => {
    await rig.trees(['stop', '--all', '-t', '0']);
    await rig[Symbol.asyncDispose]();
  });
  const ok = async (...args: string[]): Promise<RunResult> => {
    const result = await rig.trees(args);
    assert.equal(result.status, 0, `trees ${args.join(' ')}: ${result.stderr}`);
    return result;
  };

  it('is kept of detached services, merged by time, and labelled', async () => {
    await ok('run', '-d', 'pair');
    const followed = rig.trees(['logs', '-f', 'pair']);
    const raw = rig.trees(['logs', '-f', '--json', '--service', 'b', 'pair']);
    for (let i = 0; i < 100 && !(await ok('logs', 'pair')).stdout.includes('a2'); i++);
    await ok('stop', 'pair');
    const expected = '[a OUT] a1\n[b OUT] b1\n[a ERR] a2\n';
    const { stdout } = await ok('logs', 'pair');
    assert.equal(stdout.replace(/\[b OUT\] b end$/, ''), expected);
    assert.equal((await followed).stdout, stdout, 'what was followed is what is stored');
    const lines = (await raw).stdout.trimEnd().split('\n');
    const first: unknown = JSON.parse(lines[0] ?? '');
    assert.ok(typeof first === 'object' && first !== null && 'text' in first && first.text === 'b1');
  });

  it('can be narrowed down', async () => {
    assert.equal((await ok('logs', '--service', 'a', '--stream', 'stdout', 'pair')).stdout, '[a OUT] a1\n');
    assert.equal((await ok('logs', '--tail', '0', 'pair')).stdout, '');
    assert.equal((await ok('logs', '--no-prefix', '--service', 'a', 'pair')).stdout, 'a1\na2\n');
    assert.match((await ok('logs', '-t', '-n', '1', '--service', 'a', 'pair')).stdout, /^\d{4}-\S+Z \[a ERR\] a2\n$/);
    assert.equal((await ok('logs', '--since', '2001-01-01', '--until', '2001-01-02', 'pair')).stdout, '');
    const all: unknown = JSON.parse((await ok('logs', '--json', 'pair')).stdout);
    assert.ok(Array.isArray(all) && all.length >= 3);
  });

  it('is rotated and compressed as told, and read across it', async () => {
    await ok(
      'run',
      '-d',
      '--name',
      'many',
      '--log-opt',
      'max-size=20k',
      '--log-opt',
      'max-file=100',
      '--log-opt',
      'compress=gzip',
      'tool',
      '--',
      ...sh('seq 1 3000'),
    );
    await ok('wait', 'many');
    const names = readdirSync(rig.path('root/var/log/trees/many'));
    assert.ok(names.length >= 5, names.join(' '));
    const { stdout } = await ok('logs', 'many');
    assert.equal(stdout, Array.from({ length: 3000 }, (_, i) => `${i + 1}\n`).join(''));
    assert.equal((await ok('logs', '--tail', '2', 'many')).stdout, '2999\n3000\n');
  });

  it('is shown labelled in the foreground, and ends with a reader who goes away', async () => {
    const child = spawn(
      'sh',
      [
        '-c',
        '"$0" "$1" run --ephemeral --name front pair | head -1',
        process.execPath,
        new URL('../../dist/cli/bin.js', import.meta.url).pathname,
      ],
      {
        env: { ...process.env, NODE_EXTRA_CA_CERTS: undefined, TREES_ROOT: rig.root },
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    await new Promise((resolve) => child.once('close', resolve));
    assert.equal(output, '[a OUT] a1\n');
  });

  it('is not kept where nobody wants it', async () => {
    await ok('run', '-d', '--name', 'quiet', '--log-driver', 'none', 'tool', '--', 'echo', 'x');
    await ok('wait', 'quiet');
    assert.equal((await ok('logs', 'quiet')).stdout, '');
  });

  it('of an instance that does not exist is an error that names it', async () => {
    const { status, stdout, stderr } = await rig.trees(['logs', 'nobody']);
    assert.deepEqual([status, stdout], [1, '']);
    assert.match(stderr, /^error: cannot show the output of "nobody": there is no instance of that name\nhint: /);
  });

  for (const [args, message] of [
    [['--since', 'yesterday'], /Expected --since to be a time, got "yesterday"/],
    [['--tail', '-1'], /Expected --tail to be a number of lines, got -1/],
    [['--service', 'c'], /Expected --service to name a service that has written something, got "c"/],
  ] as const) {
    it(`${args.join(' ')} is a mistake`, async () => {
      const { status, stderr } = await rig.trees(['logs', ...args, 'pair']);
      assert.equal(status, 2);
      assert.match(stderr, message);
    });
  }

  for (const [options, message] of [
    [['--log-opt', 'max-size=lots'], /Expected --log-opt max-size to be bytes such as 512k or 10m, got "lots"/],
    [['--log-opt', 'colour=red'], /Expected --log-opt to be NAME=VALUE, got "colour=red"/],
    [['--log-driver', 'carrier-pigeon'], /carrier-pigeon/],
  ] as const) {
    it(`run ${options.join(' ')} is a mistake`, async () => {
      const { status, stderr } = await rig.trees(['run', ...options, 'tool', '--', 'true']);
      assert.equal(status, 125);
      assert.match(stderr, message);
    });
  }
});
