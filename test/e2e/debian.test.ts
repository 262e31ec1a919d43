import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { createDebianRig, type DebianApp, type DebianRig } from '../support/debian-rig.js';
import { stack } from '../support/debian-stack.js';
import { eventually } from '../support/eventually.js';
import { at } from '../support/json.js';
import { createRig, type RunResult } from '../support/rig.js';

const skip =
  process.getuid?.() !== 0
    ? 'needs root: builds Debian trees'
    : existsSync('/usr/bin/mmdebstrap')
      ? false
      : 'mmdebstrap is missing (package mmdebstrap)';

const probe = {
  path: '/etc/systemd/system/probe.service',
  content: '[Service]\nExecStart=/bin/sleep 1000\nExecStop=/bin/touch /var/lib/stopped\n',
};
const supervised = [
  { path: '/etc/sv/probe/run', mode: '0755', content: '#!/bin/sh\necho probe starts\nexec sleep 1000\n' },
  { path: '/etc/runit/runsvdir/default/probe', symlink: '/etc/sv/probe' },
];
const apps: Record<string, DebianApp> = {
  systemd: { packages: ['systemd', 'systemd-sysv', 'dbus'], files: [probe], run: { mode: 'init' } },
  sysv: { packages: ['sysvinit-core', 'sysv-rc', 'initscripts'], run: { mode: 'init' } },
  runit: { packages: ['runit-init'], files: supervised, run: { mode: 'init' } },
  stack,
};

describe('programs of Debian', { skip }, () => {
  let rig: DebianRig;
  before(async () => {
    rig = await createDebianRig(apps);
  });
  after(() => rig[Symbol.asyncDispose]());
  const ok = (args: readonly string[]): Promise<RunResult> => rig.ok(args);
  const inside = (name: string, ...words: string[]): Promise<RunResult> => rig.inside(name, ...words);

  it('systemd boots until it runs, without a failed unit', async () => {
    await ok(['run', '-d', 'systemd']);
    // Which it says itself.
    await ok(['wait', '--condition', 'ready', 'systemd']);
    const state = (await inside('systemd', 'systemctl', 'is-system-running')).stdout.trim();
    const failed = await inside('systemd', 'systemctl', '--failed', '--no-pager');
    assert.equal(state, 'running', failed.stdout);
    const virtual = await inside('systemd', 'systemd-detect-virt', '--container');
    assert.equal(virtual.status, 0);
    const first = await inside('systemd', 'cat', '/proc/1/comm');
    assert.equal(first.stdout, 'systemd\n');
  });

  it('starts and stops a unit, and its journal is readable', async () => {
    assert.equal((await inside('systemd', 'systemctl', 'start', 'probe')).status, 0);
    assert.equal((await inside('systemd', 'systemctl', 'is-active', 'probe')).stdout, 'active\n');
    assert.equal((await inside('systemd', 'systemctl', 'stop', 'probe')).status, 0);
    assert.equal((await inside('systemd', 'test', '-e', '/var/lib/stopped')).status, 0);
    const journal = await inside('systemd', 'journalctl', '-u', 'probe', '--no-pager', '-o', 'cat');
    assert.match(journal.stdout, /Started probe\.service/);
    assert.match(journal.stdout, /Stopped probe\.service/);
  });

  it('shows its console in the log, and does not touch the cgroups of others', async () => {
    const { stdout } = await ok(['logs', 'systemd']);
    assert.match(stdout, /Reached target .*multi-user\.target/);
    const cgroups = await inside('systemd', 'sh', '-c', 'cat /proc/1/cgroup; ls /sys/fs/cgroup');
    assert.match(cgroups.stdout, /^0::\/init\.scope$/m);
    assert.match(cgroups.stdout, /^system\.slice$/m);
  });

  it('keeps what was changed over a restart, and is the same machine', async () => {
    const id = (await inside('systemd', 'cat', '/etc/machine-id')).stdout;
    assert.match(id, /^[0-9a-f]{32}\n$/);
    await ok(['restart', 'systemd']);
    await eventually('another boot', async () =>
      (await inside('systemd', 'systemctl', 'is-system-running')).stdout.startsWith('running'),
    );
    assert.equal((await inside('systemd', 'cat', '/etc/machine-id')).stdout, id);
    assert.equal((await inside('systemd', 'test', '-e', '/var/lib/stopped')).status, 0);
  });

  it('shuts down cleanly when it is stopped: exit status 0, nothing left', async () => {
    await ok(['stop', 'systemd']);
    const list = await rig.json(['ps', '-a']);
    const instances = at(list, 'instances');
    assert.ok(Array.isArray(instances));
    const entry: unknown = instances.find((item) => at(item, 'name') === 'systemd');
    assert.deepEqual([at(entry, 'status'), at(entry, 'exit')], ['exited', 0]);
  });

  it('powers off from the inside', async () => {
    await ok(['start', 'systemd']);
    await eventually('booting', async () => (await inside('systemd', 'systemctl', 'list-jobs')).status === 0);
    await inside('systemd', 'systemctl', '--no-block', 'poweroff');
    const waited = await rig.trees(['wait', 'systemd']);
    assert.equal(waited.stdout.trim(), '0', waited.stderr);
  });

  it('ends with the status that is named inside, and boots again when it is started', async () => {
    await ok(['start', 'systemd']);
    await ok(['wait', '--condition', 'ready', 'systemd']);
    await inside('systemd', 'systemctl', '--no-block', 'exit', '7');
    const waited = await rig.trees(['wait', 'systemd']);
    assert.equal(waited.stdout.trim(), '7', waited.stderr);
  });

  it('sysvinit boots to its runlevel and ends in order', async () => {
    await ok(['run', '-d', 'sysv']);
    await eventually('runlevel 2', async () => (await inside('sysv', '/sbin/runlevel')).stdout.trim() === 'N 2');
    await ok(['stop', 'sysv']);
    const { stdout } = await ok(['logs', 'sysv']);
    assert.match(stdout, /INIT: Entering runlevel: 2/);
    assert.match(stdout, /Will now halt|INIT: Sending processes|runlevel: 0/);
  });

  it('runit boots, looks after a service, boots again, and ends in order', async () => {
    await ok(['run', '-d', 'runit']);
    // Once it is sleeping, it has written its line.
    const pid = async (): Promise<string | undefined> => {
      const { stdout } = await inside('runit', 'sv', 'status', 'probe');
      const found = /^run: probe: \(pid (\d+)\)/.exec(stdout)?.[1];
      return (await inside('runit', 'cat', `/proc/${found}/comm`)).stdout === 'sleep\n' ? found : undefined;
    };
    const running = (what: string, before?: string): Promise<void> =>
      eventually(what, async () => ![undefined, before].includes(await pid()));
    await running('the service');
    assert.equal((await inside('runit', 'cat', '/proc/1/comm')).stdout, 'runit\n');
    const first = await pid();
    // The tree has no program of that name, but its shell knows the word.
    assert.equal((await inside('runit', 'sh', '-c', `kill -KILL ${first}`)).status, 0);
    await running('another process of it', first);
    await ok(['restart', 'runit']);
    await running('the service after another boot');
    await ok(['stop', 'runit']);
    assert.equal((await rig.trees(['wait', 'runit'])).stdout.trim(), '0');
    const { stdout } = await ok(['logs', 'runit']);
    // The last thing to be seen: on the way Debian's scripts unmount /dev/console, which runit opens for each of its lines.
    const seen = stdout.match(/enter stage: \/etc\/runit\/\d|probe starts|ok: down: \S+\/probe|Will now halt/g);
    const boot = [1, 2].map((number) => `enter stage: /etc/runit/${number}`);
    const end = ['enter stage: /etc/runit/3', 'ok: down: /etc/service/probe', 'Will now halt'];
    const starts = 'probe starts';
    assert.deepEqual(seen, [...boot, starts, starts, ...end, ...boot, starts, ...end], stdout);
  });

  interface Service {
    readonly state: string;
    readonly pid: number;
    readonly restarts: number;
  }
  const service = async (name: string): Promise<Service> => {
    const document = await rig.json(['service', 'status', 'stack', name]);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the command's documented shape
    return at(document, 'services', 0) as Service;
  };
  const ready = (name: string): Promise<void> =>
    eventually(`${name} being ready`, async () => (await service(name)).state === 'ready');

  it('three services start in order, each when the one before is ready', async () => {
    await ok(['run', '-d', 'stack']);
    await ready('nginx');
    const { stdout } = await ok(['logs', '--json', 'stack']);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the command's documented shape
    const entries = JSON.parse(stdout) as { service: string; time: string; text: string }[];
    const time = (text: RegExp): string => {
      const entry = entries.find((each) => text.test(each.text));
      assert.ok(entry !== undefined, `${text} is not in the log:\n${entries.map((each) => each.text).join('\n')}`);
      return entry.time;
    };
    const order = [
      /^redis starts/,
      /Ready to accept connections/,
      /^php starts/,
      /ready to handle connections/,
      /^nginx starts/,
    ];
    const times = order.map(time);
    assert.deepEqual(times, times.toSorted());
  });

  it('and work together', async () => {
    const answer = await inside('stack', 'php8.2', '-r', 'readfile("http://127.0.0.1:8080/");');
    assert.match(answer.stdout, /^visit \d+$/);
  });

  it('each comes back when it is killed', async () => {
    for (const name of ['redis', 'php', 'nginx']) {
      const before = await service(name);
      assert.equal((await inside('stack', 'kill', '-KILL', String(before.pid))).status, 0);
      await eventually(`${name} starting again`, async () => (await service(name)).restarts > before.restarts);
      await ready(name);
      const again = await service(name);
      assert.equal(again.restarts, before.restarts + 1);
      assert.notEqual(again.pid, before.pid);
    }
  });

  it('one that does not answer its check is started again', async () => {
    const before = await service('redis');
    await inside('stack', 'kill', '-STOP', String(before.pid));
    await eventually('redis starting again', async () => (await service('redis')).restarts > before.restarts);
    await ready('redis');
  });

  it('stop in reverse order, with the status of the main one', async () => {
    await ok(['stop', 'stack']);
    const waited = await ok(['wait', 'stack']);
    assert.equal(waited.stdout.trim(), '0');
  });
});

describe('the options of rich containers', () => {
  for (const option of [
    ['--rich-mode', 'systemd'],
    ['--initscript', '/x'],
    ['--initcmd', 'x'],
  ] as const) {
    it(`${option[0]} without --rich is a mistake`, async () => {
      await using rig = await createRig();
      const { status, stdout, stderr } = await rig.trees(['run', 'none', ...option]);
      assert.deepEqual([status, stdout], [125, '']);
      assert.match(stderr, new RegExp(`Expected ${option[0]} together with --rich, got it alone`));
    });
  }
});
