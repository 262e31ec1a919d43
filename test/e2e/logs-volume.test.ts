import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createInstanceRig, type InstanceRig } from '../support/instance-rig.js';
import { missingForContainers } from '../support/rootfs.js';

const LINES = 100_000;
const WRITERS = ['a', 'b', 'c', 'd'];

describe('much output, through the command line', { skip: missingForContainers() }, () => {
  let rig: InstanceRig;
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
  });
  after(() => rig[Symbol.asyncDispose]());

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
});
