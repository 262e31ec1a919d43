import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { cgroupHost, planCgroups } from '../../trees/run/cgroup-plan.js';
import { missingForContainers } from '../support/rootfs.js';
import { bench, descendants, eventually } from './support/container.js';

/** Where systemd manages the machine (`scripts/test-vm --systemd`): limited containers are scopes of it. */

const box = bench();
after(() => box[Symbol.dispose]());
const host = cgroupHost();
const systemd = host.input.systemd && existsSync('/run/dbus/system_bus_socket');
const skip =
  missingForContainers() || (systemd && host.layout.kind === 'v2' ? false : 'needs systemd with cgroup 2 only');

test('a limited container is in a scope that systemd has delegated, and that goes with it', { skip }, async () => {
  const name = `scope-${process.pid}`;
  const limits = { memory: 64 << 20, pids: 50 };
  const planned = planCgroups(limits, name, host, new Set(['memory', 'pids']));
  assert.deepEqual(
    planned.cgroups.map(({ scope }) => scope),
    ['system'],
  );
  const resources = { limits, ...planned };
  const running = box.start(box.spec({ argv: ['sh', '-c', 'echo up; read x; exit 3'], resources }), { hold: true });
  await running.waitFor('up');
  const [init = -1] = descendants(running.pid);
  const own = readFileSync(`/proc/${init}/cgroup`, 'utf8').trim();
  assert.match(own, new RegExp(`^0::/.*/trees-${name}-${running.pid}\\.scope/trees/${name}$`));
  const directory = join('/sys/fs/cgroup', own.slice('0::'.length));
  assert.equal(readFileSync(join(directory, 'memory.max'), 'utf8'), `${64 << 20}\n`);
  assert.equal(readFileSync(join(directory, 'pids.max'), 'utf8'), '50\n');
  running.child.stdin?.end('\n');
  const outcome = await running.done;
  assert.deepEqual([outcome.status, outcome.stderr], [3, '']);
  await eventually(() => !existsSync(join(directory, '../..')), 'systemd has removed the scope');
});
