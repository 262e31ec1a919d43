import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { isErrno } from '../../trees/errors.js';
import type { ContainerSpec } from '../../trees/run/container.js';
import { launcherPath } from '../../trees/run/exec-launcher.js';
import { testApart } from '../support/apart.js';
import { bench, childrenOf, eventually, isAlive, type Running } from './support/container.js';
import { onTerminal } from './support/terminal.js';

/** Containers whose processes are some of the host's: everything of theirs ends with them, and nothing else does. */
testApart(import.meta.url, () => {
  const box = bench();
  const bystander: ChildProcess = spawn('sleep', ['1000'], { detached: true, stdio: 'ignore' });
  after(() => {
    bystander.kill('SIGKILL');
    box[Symbol.dispose]();
  });

  const shared: Partial<ContainerSpec> = { security: { share: ['pid'] }, stopTimeout: 1 };
  const kinds: [string, Partial<ContainerSpec>][] = [
    ['own user ids', shared],
    ['root outside', { ...shared, userns: 'host' }],
  ];
  /** Of the container's own, by a number of seconds that no other process sleeps. */
  const sleeping = (...seconds: number[]): number[] =>
    readdirSync('/proc')
      .map(Number)
      .filter(
        (pid) => pid > 0 && seconds.includes(Number(/^sleep\0(\d+)\0/.exec(commandOf(pid))?.[1])) && isAlive(pid),
      );
  const commandOf = (pid: number): string => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
    } catch {
      return '';
    }
  };
  const onlyChild = (pid: number): number => {
    const [child, ...others] = childrenOf(pid);
    assert.ok(child !== undefined && others.length === 0, `one child of ${pid}: ${[child, ...others].join(' ')}`);
    return child;
  };
  const partsOf = ({ pid }: Running) => {
    const keeper = onlyChild(pid);
    return { keeper, init: onlyChild(keeper) };
  };
  const assertNothingElseEnded = (): void => {
    assert.deepEqual([bystander.exitCode, bystander.signalCode, isAlive(Number(bystander.pid))], [null, null, true]);
  };
  /** A child, an orphan, a daemon in a session of its own, and one that nobody can ask to end. */
  const family =
    "sleep 9101 & (sleep 9102 &) ; setsid sh -c 'sleep 9103 & exec sleep 9104' & (trap '' TERM; exec setsid sleep 9105) & ";
  const FAMILY = [9101, 9102, 9103, 9104, 9105];
  const started = async (running: Running): Promise<void> => {
    await running.waitFor('up');
    await eventually(
      () => sleeping(...FAMILY).length === FAMILY.length,
      () => `all run: ${sleeping(...FAMILY).join(' ')}`,
    );
  };

  for (const [name, change] of kinds) {
    test(`${name}: it sees the host's processes, and is one of them`, async () => {
      const script = `readlink /proc/self/ns/pid; test -d /proc/${bystander.pid} && echo seen; cat /proc/$PPID/comm
        head -c1 /proc/timer_list | wc -c; (echo 1 > /proc/sys/kernel/panic) 2>/dev/null || echo protected
        cat /proc/sys/user/max_user_namespaces; kill -0 ${bystander.pid} 2>/dev/null && echo may || echo may not`;
      const { stdout, stderr, status } = await box.sh(script, change);
      const own = change.userns === 'host' ? [/^\d+$/, /^may$/] : [/^0$/, /^may not$/];
      const expected = [readlinkSync('/proc/self/ns/pid'), 'seen', 'trees-init', '0', 'protected', ...own];
      for (const [index, line] of stdout.trimEnd().split('\n').entries()) {
        const want = expected[index];
        if (want instanceof RegExp) assert.match(line, want);
        else assert.equal(line, want, stdout + stderr);
      }
      assert.equal(status, 0);
    });

    test(`${name}: what the command leaves behind ends with it, asked first`, async () => {
      const script = `${family} sh -c 'trap "echo asked; exit" TERM; while :; do sleep 0.05; done' & echo up; sleep 0.3; exit 3`;
      const running = box.start(box.spec({ ...change, stopTimeout: 0.5, argv: ['sh', '-c', script] }));
      await started(running);
      const { status, stdout, stderr } = await running.done;
      assert.deepEqual([status, stdout], [3, 'up\nasked\n'], stderr);
      assert.deepEqual(sleeping(...FAMILY), []);
      assertNothingElseEnded();
    });

    for (const victim of ['init', 'keeper', 'launcher', 'command', 'launcher and init'] as const) {
      test(`${name}: ${victim} killed, and nothing is left`, async () => {
        const running = box.start(box.spec({ ...change, argv: ['sh', '-c', `${family} echo up; wait`] }));
        await started(running);
        const { keeper, init } = partsOf(running);
        const victims = {
          init: [init],
          keeper: [keeper],
          launcher: [running.pid],
          command: childrenOf(init).slice(0, 1),
          'launcher and init': [running.pid, init],
        }[victim];
        for (const pid of victims) {
          try {
            process.kill(pid, 'SIGKILL');
          } catch (error) {
            // The end of the first may already have been that of the second.
            if (!isErrno(error, 'ESRCH')) throw error;
          }
        }
        const { status, signal } = await running.done;
        assert.deepEqual([status, signal], victims.includes(running.pid) ? [-1, 'SIGKILL'] : [137, null]);
        // The launcher waits for everything; without it that takes a moment.
        await eventually(() => sleeping(...FAMILY).length === 0 && !isAlive(keeper) && !isAlive(init), 'all ended');
        if (!victims.includes(running.pid) && victim !== 'keeper') assert.deepEqual(sleeping(...FAMILY), []);
        assertNothingElseEnded();
      });
    }

    test(`${name}: without an init, orphans are waited for and ended all the same`, async () => {
      const script = `${family} (sh -c 'sleep 0.1; exit 1' &) ; echo up; sleep 0.5; kill -TERM $$`;
      const running = box.start(box.spec({ ...change, noInit: true, argv: ['sh', '-c', script] }));
      await started(running);
      const keeper = onlyChild(running.pid);
      const { status } = await running.done;
      assert.equal(status, 143);
      assert.deepEqual([sleeping(...FAMILY), isAlive(keeper)], [[], false]);
      assertNothingElseEnded();
    });
  }

  test('a process that forks and ends all the time does not escape', async () => {
    const script = `echo '(sh "$0" &)' > /tmp/comet; sh /tmp/comet; sh /tmp/comet; echo up; sleep 0.5; exit 4`;
    const comets = (): string[] =>
      readdirSync('/proc').filter((pid) => commandOf(Number(pid)).startsWith('sh\0/tmp/comet\0'));
    const running = box.start(box.spec({ ...shared, stopTimeout: 0, argv: ['sh', '-c', script] }));
    await running.waitFor('up');
    await eventually(() => comets().length > 0, 'one is seen');
    assert.equal((await running.done).status, 4);
    assert.deepEqual(comets(), []);
    assertNothingElseEnded();
  });

  test("children that the launcher was executed with, and their orphans, are not the container's", async () => {
    const plan = box.planFile(box.spec({ ...shared, argv: ['sh', '-c', 'sleep 9111 & sleep 0.4'] }));
    const script = `sleep 9112 & (sh -c 'sleep 0.1; sleep 9113 & exec true' &) ; exec ${launcherPath()} ${plan}`;
    const child = spawn('sh', ['-c', script], { stdio: 'ignore' });
    const code = await new Promise((resolve) => {
      child.once('exit', resolve);
    });
    assert.equal(code, 0);
    assert.deepEqual([sleeping(9111).length, sleeping(9112).length, sleeping(9113).length], [0, 1, 1]);
    for (const pid of sleeping(9112, 9113)) process.kill(pid, 'SIGKILL');
    assertNothingElseEnded();
  });

  test('signals reach the command', async () => {
    const script = "trap 'echo got; exit 7' TERM; echo up; while :; do sleep 0.05; done";
    const running = box.start(box.spec({ ...shared, argv: ['sh', '-c', script] }));
    await running.waitFor('up');
    running.child.kill('SIGTERM');
    const { status, stdout } = await running.done;
    assert.deepEqual([status, stdout], [7, 'up\ngot\n']);
    assertNothingElseEnded();
  });

  test('TSTP stops launcher and command, CONT resumes both', async () => {
    const running = box.start(box.spec({ ...shared, argv: ['sh', '-c', 'echo up; exec sleep 1'] }));
    await running.waitFor('up');
    const command = onlyChild(partsOf(running).init);
    const state = (pid: number): string =>
      /^State:\s+(\S)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '';
    running.child.kill('SIGTSTP');
    await eventually(() => state(running.pid) === 'T' && state(command) === 'T', 'both are stopped');
    running.child.kill('SIGCONT');
    assert.equal((await running.done).status, 0);
  });

  test('a terminal of its own: ^C and ^Z reach the foreground job', async () => {
    const plan = box.planFile(box.spec({ ...shared, argv: ['sh'] }));
    const terminal = onTerminal(`${launcherPath()} --tty ${plan}`);
    await terminal.see('# ');
    terminal.type("sh -c 'echo go; exec sleep 9121'\n");
    await terminal.see('\ngo\r\n');
    terminal.type('\x03');
    await terminal.see('# ');
    terminal.type("sh -c 'echo again; exec sleep 9122'\n");
    await terminal.see('\nagain\r\n');
    terminal.type('\x1a');
    await terminal.see('Stopped');
    terminal.type('exit 5\n');
    terminal.type('exit 5\n');
    assert.deepEqual([await terminal.done, sleeping(9121, 9122)], [5, []]);
    assertNothingElseEnded();
  });

  test('options of /proc hold, and processes of others can be hidden', async () => {
    const script = `test -d /proc/${bystander.pid} && echo seen; test -d /proc/$$ && echo own; ls /proc | grep -c '^[0-9]'`;
    const security = { share: ['pid'], procOptions: ['hidepid=invisible'] } as const;
    const { stdout } = await box.sh(script, { security });
    assert.match(stdout, /^own\n[1-9]\n$/);
  });

  test('an unprivileged caller has the same, with /proc as the host has it', async () => {
    chmodSync(box.directory, 0o755);
    const wrapper = ['setpriv', '--reuid', '61236', '--regid', '61236', '--clear-groups'];
    if (spawnSync('setpriv', [...wrapper.slice(1), 'unshare', '-U', 'true']).status !== 0) return;
    const running = box.start(
      box.spec({
        ...shared,
        userns: 'self',
        argv: [
          'sh',
          '-c',
          `${family} test -d /proc/${bystander.pid} && echo seen; cat /proc/sys/user/max_user_namespaces; echo up; wait`,
        ],
      }),
      { wrapper },
    );
    await started(running);
    const [keeper = 0] = childrenOf(running.pid);
    const [init = 0] = childrenOf(keeper);
    process.kill(init, 'SIGKILL');
    const { status, stdout } = await running.done;
    assert.deepEqual([status, stdout, sleeping(...FAMILY)], [137, 'seen\n0\nup\n', []]);
    assertNothingElseEnded();
  });

  test('the init signals everything as process 1 only: started as another one it refuses', () => {
    const plan = openSync(box.planFile(box.spec({ argv: ['true'] })), 'r');
    const { status, stderr } = spawnSync(join(dirname(launcherPath()), 'trees-init'), [], {
      stdio: ['ignore', 'pipe', 'pipe', plan],
      env: { TREES_PLAN_FD: '3' },
      encoding: 'utf8',
    });
    assert.equal(status, 125);
    assert.match(stderr, /not process 1, and no \/proc was passed on/);
    assertNothingElseEnded();
  });
});
