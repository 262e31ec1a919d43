import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { isAlive } from '../run/support/container.js';
import { onTerminal } from '../run/support/terminal.js';
import { testApart } from '../support/apart.js';
import { eventually } from '../support/eventually.js';
import { createInstanceRig, type InstanceRig, serve } from '../support/instance-rig.js';
import { at } from '../support/json.js';
import { projectRoot } from '../support/rig.js';

/** `--pid host` on the command line: whatever is done to such an instance is done to it alone. */
testApart(import.meta.url, () => {
  let rig: InstanceRig;
  let bystander: ChildProcess;
  before(async () => {
    rig = await createInstanceRig();
    rig.install('box', { exec: serve('up', 0), stopTimeout: 1 });
    rig.install('deaf', { exec: ['sh', '-c', `trap '' TERM; (sleep 9201 &); while :; do sleep 0.05; done`] });
    rig.install('pair', {
      services: {
        web: { exec: serve('web'), main: true },
        leaky: { exec: ['sh', '-c', '(setsid sleep 9211 &) ; sleep 9212 & exec sleep 9213'], stopTimeout: 1 },
      },
    });
    rig.install('crash', { exec: ['sh', '-c', '(sleep 9221 &) ; sleep 0.2; exit 5'], stopTimeout: 0.2 });
    mkdirSync(join(rig.install('vm', { mode: 'init', exec: ['/bin/sh', '-c', 'exit 0'] }), 'rootfs/sbin'), {
      recursive: true,
    });
    bystander = spawn('sleep', ['1000'], { detached: true, stdio: 'ignore' });
  });
  after(async () => {
    bystander.kill('SIGKILL');
    await rig[Symbol.asyncDispose]();
  });

  const commandOf = (pid: number): string => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ').trim();
    } catch {
      return '';
    }
  };
  const sleeping = (seconds: number): number[] =>
    readdirSync('/proc')
      .map(Number)
      .filter((pid) => pid > 0 && commandOf(pid) === `sleep ${seconds}`);
  const assertNothingElseEnded = (): void => {
    assert.deepEqual([bystander.exitCode, bystander.signalCode, isAlive(Number(bystander.pid))], [null, null, true]);
  };
  const run = async (name: string, app: string, ...options: string[]): Promise<number> => {
    await rig.ok(['run', '-d', '--pid', 'host', '--name', name, ...options, app]);
    return Number(at(await rig.instance(name), 'pid'));
  };

  test('it runs, is listed, looked at and stopped, and is alone in all that', async () => {
    const init = await run('one', 'box');
    assert.equal(readlinkSync(`/proc/${init}/ns/pid`), readlinkSync('/proc/self/ns/pid'));
    assert.equal(at(await rig.instance('one'), 'status'), 'running');
    const top = await rig.json(['top', 'one']);
    const processes = at(top, 'processes');
    assert.ok(Array.isArray(processes));
    assert.ok(processes.length >= 2 && processes.length <= 4, JSON.stringify(processes));
    assert.ok(processes.every((process) => at(process, 'pid') === at(process, 'hostPid')));
    assert.equal(at(processes[0], 'pid'), init);
    const stats = await rig.json(['stats', '--no-stream', 'one']);
    assert.ok(Number(at(stats, 'instances', 0, 'pids')) <= 4, JSON.stringify(stats));
    await rig.ok(['stop', 'one']);
    const state = await rig.instance('one');
    assert.deepEqual([at(state, 'status'), at(state, 'exit')], ['exited', 0]);
    assert.match(await rig.ok(['logs', 'one']), /up\nbye/);
    assertNothingElseEnded();
  });

  test('a command joins it; what it leaves behind ends with the instance, not before', async () => {
    const init = await run('two', 'box');
    const joined = await rig.trees([
      'exec',
      'two',
      '--',
      'sh',
      '-c',
      'exec 3>&1 >/dev/null 2>&1; (sleep 9231 3>&- &) ; sleep 9232 3>&- & readlink /proc/self/ns/mnt >&3; exit 9',
    ]);
    assert.deepEqual([joined.status, joined.stdout], [9, `${readlinkSync(`/proc/${init}/ns/mnt`)}\n`], joined.stderr);
    await rig.ok(['exec', '-d', 'two', '--', 'sleep', '9233']);
    assert.equal((await rig.trees(['exec', 'two', '--', '/no/such'])).status, 127);
    assert.deepEqual([sleeping(9231).length, sleeping(9232).length, sleeping(9233).length], [1, 1, 1]);
    const top = JSON.stringify(await rig.json(['top', 'two']));
    for (const seconds of [9231, 9232, 9233]) assert.match(top, new RegExp(`sleep ${seconds}`));
    assert.doesNotMatch(top, /sleep 1000/);
    const held = rig.trees(['exec', 'two', '--', 'sh', '-c', 'echo in; exec sleep 9234']);
    await eventually('it has joined', () => sleeping(9234).length === 1);
    await rig.ok(['kill', 'two']);
    assert.equal((await held).status, 137);
    assert.equal(at(await rig.instance('two'), 'exit'), 137);
    await eventually('what joined ends', () =>
      [9231, 9232, 9233, 9234].every((seconds) => sleeping(seconds).length === 0),
    );
    assertNothingElseEnded();
  });

  test('a command that joins it can be interrupted, on a terminal and without', async () => {
    await run('eight', 'box');
    const cli = [process.execPath, join(projectRoot, 'dist/cli/bin.js'), '--root', rig.root].join(' ');
    const terminal = onTerminal(`${cli} exec -t -i eight -- sh -c 'tty; echo in; sleep 9251; echo not reached'`);
    await terminal.see('in');
    await eventually('it has joined', () => sleeping(9251).length === 1);
    terminal.type('\x03');
    assert.equal(await terminal.done, 130, terminal.output());
    const joined = spawn('sh', ['-c', `exec ${cli} exec eight -- sh -c 'sleep 9252; echo not reached'`], {
      stdio: 'ignore',
    });
    await eventually('it has joined', () => sleeping(9252).length === 1);
    // To the group, as a terminal would.
    joined.kill('SIGINT');
    const [status] = await once(joined, 'exit');
    assert.deepEqual([status, sleeping(9251), sleeping(9252)], [130, [], []]);
    await rig.ok(['stop', 'eight']);
    assertNothingElseEnded();
  });

  test('it is paused, and nothing else is', async () => {
    const init = await run('three', 'box');
    await rig.ok(['exec', '-d', 'three', '--', 'sleep', '9241']);
    const paused = await rig.trees(['pause', 'three']);
    assert.equal(paused.status, 0, paused.stderr);
    const groups = (pid: number | string): string => readFileSync(`/proc/${pid}/cgroup`, 'utf8');
    assert.notEqual(groups(init), groups('self'));
    for (const pid of sleeping(9241)) assert.equal(groups(pid), groups(init));
    assert.equal(groups(bystander.pid ?? 0), groups('self'));
    assert.equal(at(await rig.instance('three'), 'status'), 'paused');
    await rig.ok(['unpause', 'three']);
    await rig.ok(['pause', 'three']);
    await rig.ok(['stop', '-t', '1', 'three']);
    await eventually('what was paused ends', () => sleeping(9241).length === 0);
    assertNothingElseEnded();
  });

  test('grace that runs out, a killed init, a killed monitor', async () => {
    await run('deaf', 'deaf');
    await rig.ok(['stop', '-t', '0.3', 'deaf']);
    assert.equal(at(await rig.instance('deaf'), 'exit'), 137);
    assert.deepEqual(sleeping(9201), []);
    for (const who of ['pid', 'monitor']) {
      const init = await run('deaf', 'deaf', '--replace');
      await eventually('it runs', () => sleeping(9201).length === 1);
      const report = await rig.json(['inspect', 'deaf']);
      process.kill(who === 'pid' ? init : Number(at(report, 'monitor')), 'SIGKILL');
      await eventually('its end is known', async () => at(await rig.instance('deaf'), 'status') !== 'running');
      await eventually('everything of it ends', () => sleeping(9201).length === 0 && !existsSync(`/proc/${init}`));
    }
    assertNothingElseEnded();
  });

  test('restarts: asked for, and by policy, each time with nothing left of the run before', async () => {
    const init = await run('five', 'box', '--userns', 'host');
    await rig.ok(['restart', 'five']);
    assert.notEqual(at(await rig.instance('five'), 'pid'), init);
    await rig.ok(['stop', 'five']);
    await rig.ok(['run', '-d', '--pid', 'host', '--name', 'crash', '--restart', 'on-failure:3', 'crash']);
    assert.equal((await rig.ok(['wait', 'crash'])).trim(), '5');
    assert.equal(at(await rig.instance('crash'), 'restarts'), 3);
    assert.deepEqual(sleeping(9221), []);
    assertNothingElseEnded();
  });

  test('services: one ends with what it has started, the others stay', async () => {
    await run('six', 'pair');
    const counts = (): number[] => [9211, 9212, 9213].map((seconds) => sleeping(seconds).length);
    await eventually('the service runs', () => counts().join() === '1,1,1');
    await rig.ok(['service', 'stop', 'six', 'leaky']);
    assert.deepEqual(counts(), [0, 0, 0]);
    assert.equal(at(await rig.instance('six'), 'status'), 'running');
    await rig.ok(['service', 'start', 'six', 'leaky']);
    await eventually('the service runs', () => counts().join() === '1,1,1');
    await rig.ok(['stop', '-t', '2', 'six']);
    assert.deepEqual(counts(), [0, 0, 0]);
    assertNothingElseEnded();
  });

  test('what is weaker is said; a system is refused', async () => {
    await run('seven', 'box');
    const { status, stdout } = await rig.trees(['inspect', '--security', '--policy', 'default', 'seven']);
    assert.equal(status, 1);
    assert.match(stdout, /^shared with the host +pid$/m);
    assert.match(stdout, /^finding +host-processes: sees the processes of the host/m);
    assert.doesNotMatch(stdout, /process-namespaces/);
    await rig.ok(['stop', 'seven']);
    const system = await rig.trees(['run', '--rm', '--pid', 'host', 'vm']);
    assert.equal(system.status, 125);
    assert.match(system.stderr, /cannot run vm as a system in the host’s pid namespace: its init has to be process 1/);
    const privately = await rig.trees(['run', '--rm', '--pid', 'private', 'box', '--', 'sh', '-c', 'echo $PPID']);
    assert.equal(privately.stdout, '1\n');
  });
});
