import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { ServiceSpec } from '../../trees/run/service-spec.js';
import { eventually } from '../support/eventually.js';
import { createInstanceRig, type InstanceRig } from '../support/instance-rig.js';
import { projectRoot, type RunResult } from '../support/rig.js';
import { missingForContainers } from '../support/rootfs.js';

/** A shell that acts on signals while it waits. */
const waiting = 'while :; do sleep 0.05; done';

describe('process 1 of an app, through the command line', { skip: missingForContainers() }, () => {
  let rig: InstanceRig;
  const children = new Set<ChildProcess>();
  before(async () => {
    rig = await createInstanceRig();
    rig.install('tool', {});
  });
  after(async () => {
    for (const child of children) child.kill('SIGKILL');
    await rig[Symbol.asyncDispose]();
  });

  const sh = (script: string, ...options: string[]): Promise<RunResult> =>
    rig.trees(['run', '--ephemeral', ...options, 'tool', '--', 'sh', '-c', script]);

  /** Until it has said "up"; the process is the launcher then, Node has gone. */
  async function start(script: string, ...options: string[]) {
    const bin = join(projectRoot, 'dist/cli/bin.js');
    const words = ['run', '--ephemeral', ...options, 'tool', '--', 'sh', '-c', script];
    const child = spawn(process.execPath, [bin, ...words], {
      env: { ...process.env, NODE_EXTRA_CA_CERTS: undefined, TREES_ROOT: rig.root },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.add(child);
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    const status = new Promise<number | null>((resolve) =>
      child.once('close', (code) => {
        children.delete(child);
        resolve(code);
      }),
    );
    const see = (text: string): Promise<void> =>
      eventually(`"${text}" in ${JSON.stringify(output)}`, () => output.includes(text));
    await see('up\n');
    return { child, pid: child.pid ?? -1, status, see, output: () => output };
  }

  const childrenOf = (pid: number): number[] =>
    readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
  const stateOf = (pid: number): string | undefined => {
    try {
      return /^State:\s+(\S)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    } catch {
      return undefined;
    }
  };

  const isKnown = (name: string): boolean => existsSync(join(rig.root, 'run/trees', name));

  it('passes on TERM: a handler’s status counts, and without a handler it is 143', async () => {
    const handler = await start(`trap 'echo got; exit 7' TERM; echo up; ${waiting}`);
    handler.child.kill('SIGTERM');
    assert.deepEqual([await handler.status, handler.output()], [7, 'up\ngot\n']);
    const plain = await start('echo up; exec sleep 600');
    plain.child.kill('SIGTERM');
    assert.equal(await plain.status, 143);
  });

  it('passes on every other signal once, in order', async () => {
    const names = ['HUP', 'INT', 'QUIT', 'USR1', 'USR2', 'WINCH', 'CONT'] as const;
    const traps = names.map((name) => `trap 'echo ${name}.' ${name}`).join('; ');
    const running = await start(`${traps}; trap 'exit 0' TERM; echo up; ${waiting}`);
    for (const name of names) {
      running.child.kill(`SIG${name}`);
      await running.see(`${name}.\n`);
    }
    running.child.kill('SIGTERM');
    assert.equal(await running.status, 0);
    assert.equal(running.output(), `up\n${names.map((name) => `${name}.\n`).join('')}`);
  });

  it('passes on INT to the whole group, as a terminal does: 130', async () => {
    const running = await start('echo up; sleep 600; true');
    running.child.kill('SIGINT');
    assert.equal(await running.status, 130);
  });

  it('stops and goes on with its command', async () => {
    const running = await start('echo up; exec sleep 600');
    const [init = 0] = childrenOf(running.pid);
    const [command = 0] = childrenOf(init);
    running.child.kill('SIGTSTP');
    await eventually('both are stopped', () => stateOf(running.pid) === 'T' && stateOf(command) === 'T');
    running.child.kill('SIGCONT');
    await eventually('both go on', () => stateOf(running.pid) !== 'T' && stateOf(command) !== 'T');
    running.child.kill('SIGTERM');
    assert.equal(await running.status, 143);
  });

  it('reaps orphans, is their parent, and does not mistake their end for that of the command', async () => {
    const { status, stdout } = await sh(`
      i=0; while [ $i -lt 300 ]; do (sleep 0 &); i=$((i + 1)); done
      (sh -c 'sleep 0.1; grep PPid /proc/$$/status; exit 5' &)
      sleep 0.4
      for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        zombies=$(grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l)
        [ "$zombies" = 0 ] && break
        sleep 0.1
      done
      echo zombies $zombies; exit 6`);
    assert.equal(status, 6);
    assert.match(stdout, /^PPid:\s+1\nzombies 0\n$/);
  });

  it('ends what the command leaves behind, at once; what ignores TERM after the grace period', async () => {
    const polite = await sh('sleep 600 & setsid sleep 601 & exit 3', '--stop-timeout', '300');
    assert.equal(polite.status, 3);
    const stubborn = await sh(`sh -c 'trap "" TERM; sleep 600' & sleep 0.2; exit 4`, '--stop-timeout', '1');
    assert.equal(stubborn.status, 4);
  });

  it('goes with its launcher, however that dies', async () => {
    const running = await start('sleep 600 & setsid sleep 601 & echo up; sleep 602');
    const [init = 0] = childrenOf(running.pid);
    const inside = [init, ...childrenOf(init)];
    running.child.kill('SIGKILL');
    await eventually('all are gone', () => inside.every((pid) => [undefined, 'Z', 'X'].includes(stateOf(pid))));
    await running.status;
  });

  it('cannot be killed or stopped from the inside', async () => {
    const { status, stdout } = await sh('kill -KILL 1; kill -STOP 1; kill -SEGV 1; sleep 0.05; echo alive');
    assert.deepEqual([status, stdout], [0, 'alive\n']);
  });

  it('gives its command default signals, and no descriptors but the three', async () => {
    const { stdout } = await sh(
      'cat /proc/1/comm; grep -E "^Sig(Blk|Ign|Cgt)" /proc/self/status | cut -f2; ls /proc/self/fd | tr "\\n" " "; echo $PPID',
    );
    const zero = '0'.repeat(16);
    assert.equal(stdout, `trees-init\n${zero}\n${zero}\n${zero}\n0 1 2 3 1\n`);
  });

  it('can be left out: the command is process 1 then', async () => {
    const { status, stdout } = await sh('echo $$; exit 12', '--no-init');
    assert.deepEqual([status, stdout], [12, '1\n']);
  });

  it('runs --initscript and --initcmd before every start; one that fails or is missing keeps it from starting', async () => {
    const rich = (...words: string[]): Promise<RunResult> => rig.trees(['run', '--rich', '--ephemeral', ...words]);
    const good = await rich('--initcmd', 'echo prepared >/tmp/x', 'tool', '--', 'cat', '/tmp/x');
    assert.deepEqual([good.status, good.stdout], [0, 'prepared\n'], good.stderr);
    await rig.ok([
      'run',
      '-d',
      '--rich',
      '--name',
      'rich',
      '--initcmd',
      'echo x >>/count',
      'tool',
      '--',
      'sleep',
      '600',
    ]);
    await rig.ok(['restart', '-t', '0', 'rich']);
    assert.equal(await rig.ok(['exec', 'rich', '--', 'cat', '/count']), 'x\nx\n');
    await rig.ok(['kill', 'rich']);
    for (const words of [
      ['--initcmd', 'exit 9'],
      ['--initscript', '/no/such'],
    ]) {
      const { status, stdout, stderr } = await rich(...words, 'tool', '--', 'echo', 'started');
      assert.deepEqual([status === 0, stdout], [false, ''], stderr);
      const behind = await rig.trees([
        'run',
        '-d',
        '--rich',
        '--name',
        'never',
        ...words,
        'tool',
        '--',
        'sleep',
        '600',
      ]);
      assert.notEqual(behind.status, 0);
      assert.equal(isKnown('never'), false);
    }
  });

  it('tells the caller in time that a main service cannot be executed, also with -d', async () => {
    const main = (exec: string): ServiceSpec => ({
      exec: [exec],
      main: true,
      restart: { policy: 'always', delay: 0.01 },
    });
    const other: ServiceSpec = { exec: ['sleep', '600'] };
    rig.install('broken', { services: { web: main('/no/such'), other } });
    rig.install('denied', { services: { web: main('/etc/passwd'), other } });
    rig.install('partly', {
      services: { web: { ...other, main: true }, bad: { exec: ['/no/such'], restart: 'never' } },
    });
    for (const options of [[], ['-d']]) {
      const missing = await rig.trees(['run', ...options, '--name', 'nope', 'broken']);
      assert.equal(missing.status, 127);
      assert.match(missing.stdout + missing.stderr, /error: cannot execute \/no\/such/);
      const denied = await rig.trees(['run', ...options, '--name', 'nope', 'denied']);
      assert.equal(denied.status, 126);
    }
    assert.equal(isKnown('nope'), false);
    // What is not the main service is the log's to tell.
    assert.equal(await rig.ok(['run', '-d', 'partly']), 'partly\n');
    await eventually('the log tells', async () =>
      (await rig.ok(['logs', 'partly'])).includes('cannot execute /no/such'),
    );
    await rig.ok(['stop', '-t', '0', 'partly']);
  });
});
