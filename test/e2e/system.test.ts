import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { at } from '../support/json.js';
import { createRig, type Rig, type RunResult } from '../support/rig.js';

const skip =
  process.getuid?.() !== 0
    ? 'needs root: builds Debian trees'
    : existsSync('/usr/bin/mmdebstrap')
      ? false
      : 'mmdebstrap is missing (package mmdebstrap)';

/** Whole systems: Debian's systemd and sysvinit, from a definition to a running container. */
const apps = {
  systemd: ['systemd', 'systemd-sysv', 'dbus'],
  sysv: ['sysvinit-core', 'sysv-rc', 'initscripts'],
} as const;

const definition = (name: string, packages: readonly string[]): object => ({
  kind: 'app',
  name,
  summary: `${name} as process 1`,
  from: { base: 'deb', range: '*' },
  version: { fixed: '1.0.0' },
  build: {
    packages,
    files: [
      {
        path: '/etc/systemd/system/probe.service',
        content: '[Service]\nExecStart=/bin/sleep 1000\nExecStop=/bin/touch /var/lib/stopped\n',
      },
    ],
  },
  run: { mode: 'init' },
});

describe('a system in a container', { skip }, () => {
  let rig: Rig;
  before(async () => {
    rig = await createRig();
    await mkdir(rig.path('defs'));
    for (const [name, packages] of Object.entries(apps)) {
      await writeFile(rig.path('defs', `${name}.json`), JSON.stringify(definition(name, packages)));
    }
    const files = Object.keys(apps).map((name) => rig.path('defs', `${name}.json`));
    const built = await rig.json(['build', 'deb', ...files], { timeout: 600_000 });
    const images = Object.keys(apps).map((_, index) => index + 1);
    for (const index of [0, ...images]) {
      const ref = String(at(built, 'images', index, 'ref'));
      const file = rig.path(`${index}.delta.zst`);
      await ok(['bundle', 'create', '--quick', '--repo', `${rig.store}/build/repo`, '--to', ref, '-o', file]);
      await ok(['bundle', 'install', file, '--trust-unsigned']);
    }
  });
  after(async () => {
    await rig.trees(['stop', '--all', '-t', '1']);
    await rig[Symbol.asyncDispose]();
  });

  async function ok(args: readonly string[]): Promise<RunResult> {
    const result = await rig.trees(args, { timeout: 300_000 });
    assert.equal(result.status, 0, `trees ${args.join(' ')}: ${result.stdout}${result.stderr}`);
    return result;
  }
  const inside = (name: string, ...words: string[]): Promise<RunResult> => rig.trees(['exec', name, '--', ...words]);

  async function until(what: string, done: () => Promise<boolean>): Promise<void> {
    for (let i = 0; i < 600; i++) {
      if (await done()) return;
      await sleep(100);
    }
    assert.fail(`${what} did not happen`);
  }

  it('systemd boots until it runs, without a failed unit', async () => {
    await ok(['run', '-d', 'systemd']);
    let last = '';
    await until('the end of booting', async () => {
      last = (await inside('systemd', 'systemctl', 'is-system-running')).stdout.trim();
      return last === 'running' || last === 'degraded';
    });
    const failed = await inside('systemd', 'systemctl', '--failed', '--no-pager');
    assert.equal(last, 'running', failed.stdout);
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
    await until('another boot', async () =>
      (await inside('systemd', 'systemctl', 'is-system-running')).stdout.startsWith('running'),
    );
    assert.equal((await inside('systemd', 'cat', '/etc/machine-id')).stdout, id);
    assert.equal((await inside('systemd', 'test', '-e', '/var/lib/stopped')).status, 0);
  });

  it('shuts down cleanly when it is stopped: exit status 0, nothing left', async () => {
    await ok(['stop', 'systemd']);
    const list = await rig.json(['ps', '-a']);
    const [entry] = (at(list, 'instances') as unknown[]).filter((item) => at(item, 'name') === 'systemd');
    assert.deepEqual([at(entry, 'status'), at(entry, 'exit')], ['exited', 0]);
  });

  it('powers off from the inside', async () => {
    await ok(['start', 'systemd']);
    await until('booting', async () => (await inside('systemd', 'systemctl', 'list-jobs')).status === 0);
    await inside('systemd', 'systemctl', '--no-block', 'poweroff');
    const waited = await rig.trees(['wait', 'systemd']);
    assert.equal(waited.stdout.trim(), '0', waited.stderr);
  });

  it('sysvinit boots to its runlevel and ends in order', async () => {
    await ok(['run', '-d', 'sysv']);
    await until('runlevel 2', async () => (await inside('sysv', '/sbin/runlevel')).stdout.trim() === 'N 2');
    await ok(['stop', 'sysv']);
    const { stdout } = await ok(['logs', 'sysv']);
    assert.match(stdout, /INIT: Entering runlevel: 2/);
    assert.match(stdout, /Will now halt|INIT: Sending processes|runlevel: 0/);
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
