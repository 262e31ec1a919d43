import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../support/eventually.js';
import { createInstanceRig, type InstanceRig } from '../support/instance-rig.js';
import { projectRoot } from '../support/rig.js';
import { missingForContainers } from '../support/rootfs.js';

const LINES = 100_000;
const WRITERS = ['a', 'b', 'c', 'd'];

describe('much output, through the command line', { skip: missingForContainers() }, () => {
  let rig: InstanceRig;
  const children = new Set<ChildProcess>();
  before(async () => {
    rig = await createInstanceRig();
    const write = (name: string): string => `seq 1 ${LINES}; touch /tmp/${name}`;
    const others = WRITERS.slice(1);
    rig.install('four', {
      services: {
        ...Object.fromEntries(others.map((name) => [name, { exec: ['sh', '-c', write(name)], oneshot: true }])),
        a: {
          exec: [
            'sh',
            '-c',
            `${write('a')}; for i in ${others.join(' ')}; do while [ ! -e /tmp/$i ]; do sleep 0.05; done; done`,
          ],
          main: true,
        },
      },
    });
    rig.install('loud', {
      services: { main: { exec: ['sh', '-c', 'touch /out/started; seq 1 300000; touch /out/done'], main: true } },
    });
  });
  after(async () => {
    for (const child of children) child.kill('SIGKILL');
    await rig[Symbol.asyncDispose]();
  });

  const numbers = Array.from({ length: LINES }, (_, i) => `${i + 1}`).join('\n');
  function check(output: string, what: string): void {
    for (const name of WRITERS) {
      const label = `[${name} OUT] `;
      const lines = output.split('\n').filter((line) => line.startsWith(label));
      assert.equal(lines.length, LINES, `${what}: lines of ${name}`);
      assert.ok(lines.map((line) => line.slice(label.length)).join('\n') === numbers, `${what}: ${name} in order`);
    }
    assert.equal(output.split('\n').length, WRITERS.length * LINES + 1, `${what}: nothing else`);
  }

  it('four writers with 100,000 lines each: none is lost or torn, stored or followed across rotations', async () => {
    await rig.ok(['run', '-d', '--log-opt', 'max-size=1m', '--log-opt', 'max-file=100', 'four']);
    const followed = rig.trees(['logs', '-f', 'four']);
    await rig.ok(['wait', 'four']);
    const files = readdirSync(join(rig.root, 'var/log/trees/four'));
    for (const name of WRITERS) {
      assert.ok(files.filter((file) => file.startsWith(`${name}.log.`)).length >= 3, files.join(' '));
    }
    check(await rig.ok(['logs', 'four']), 'stored');
    check((await followed).stdout, 'followed');
  });

  /** In the foreground, with nobody who reads. */
  function stalled(name: string, ...options: string[]) {
    const out = rig.path(name);
    mkdirSync(out);
    const words = ['run', '--ephemeral', '--name', name, '-v', `${out}:/out`, ...options, 'loud'];
    const child = spawn(process.execPath, [join(projectRoot, 'dist/cli/bin.js'), ...words], {
      env: { ...process.env, NODE_EXTRA_CA_CERTS: undefined, TREES_ROOT: rig.root },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.add(child);
    child.once('close', () => children.delete(child));
    const read = async (): Promise<string> => {
      let output = '';
      child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
      await new Promise((resolve) => child.once('close', resolve));
      return output;
    };
    const exists = (file: string) => (): boolean => existsSync(join(out, file));
    return { started: exists('started'), done: exists('done'), read };
  }

  it('a reader that stalls holds nobody up, and is told what it missed', async () => {
    const { done, read } = stalled('stalls');
    await eventually('the end of the writer', done);
    const output = await read();
    const missed = Number(/\[trees\] (\d+) lines not shown: the reader was too slow/.exec(output)?.[1]);
    assert.ok(missed > 0, output.slice(-200));
    assert.match(await rig.ok(['logs', '--tail', '1', 'stalls']), /300000/, 'all of it is stored');
  });

  it('with --log-mode blocking it holds up the writer, and misses nothing', async () => {
    const { started, done, read } = stalled('blocks', '--log-mode', 'blocking');
    await eventually('the start of the writer', started);
    // Many times what the writer needs when it is not held up.
    await sleep(1500);
    assert.equal(done(), false);
    const lines = (await read()).trimEnd().split('\n');
    assert.equal(lines.length, 300_000);
    assert.ok(lines.every((line, i) => line.replace('[main OUT] ', '') === `${i + 1}`));
    assert.equal(done(), true);
  });
});
