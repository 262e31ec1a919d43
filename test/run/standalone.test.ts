import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { launcherPath } from '../../trees/run/exec-launcher.js';
import { bench } from './support/container.js';

/** trees-init under the names tini and dumb-init, beside the programs of that name. */

interface Ended {
  readonly status: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

const INSTALLED = { tini: '/usr/bin/tini', 'dumb-init': '/usr/bin/dumb-init' } as const;
type Name = keyof typeof INSTALLED;

describe('trees-init as tini and as dumb-init', () => {
  const directory = mkdtempSync(join(tmpdir(), 'trees-init-'));
  const children = new Set<ChildProcess>();
  before(() => {
    for (const name of Object.keys(INSTALLED)) {
      symlinkSync(join(dirname(launcherPath()), 'trees-init'), join(directory, name));
    }
  });
  after(() => {
    for (const child of children) child.kill('SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  });

  type Act = (child: ChildProcess, waitFor: (text: string) => Promise<void>) => Promise<void> | void;

  async function run(program: string, args: readonly string[], env: Record<string, string>, act?: Act): Promise<Ended> {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: '/usr/bin:/bin', ...env } });
    children.add(child);
    let stdout = '';
    let stderr = '';
    let changed: (() => void) | undefined;
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      changed?.();
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    const closed = new Promise<number | string>((resolve) => {
      child.once('close', (code, signal) => resolve(code ?? signal ?? ''));
    });
    const waitFor = async (text: string): Promise<void> => {
      const ended = closed.then((status) =>
        Promise.reject(new Error(`ended with ${status} without "${text}": ${stderr}`)),
      );
      ended.catch(() => undefined);
      while (!stdout.includes(text)) await Promise.race([new Promise<void>((resolve) => (changed = resolve)), ended]);
    };
    await act?.(child, waitFor);
    const status = await closed;
    children.delete(child);
    return { status, stdout, stderr };
  }

  /** What both say that is no question of wording: pids, versions and the name they were called by. */
  const plain = (text: string): string =>
    text
      .replaceAll(/\d{2,}/g, 'N')
      .replaceAll(/[^\s:]*\/(tini|dumb-init)/g, '$1')
      .replaceAll('Inappropriate ioctl for device', 'Not a tty') // glibc's words and musl's
      .split('\n')
      .filter(
        (line) =>
          !/^Terminated$|^User defined signal|^(TRACE|\[TRACE)|^\S+: (invalid|unrecognized) option|version/.test(line),
      )
      .join('\n');

  function behavesAlike(
    what: string,
    name: Name,
    args: readonly string[],
    { env = {}, act, messages = true }: { env?: Record<string, string>; act?: Act; messages?: boolean } = {},
  ): void {
    const skip = existsSync(INSTALLED[name]) ? false : `${INSTALLED[name]} is missing`;
    // The programs' own readers of options differ in whether one after the command is theirs: -- ends them for all.
    const at = args.indexOf('sh');
    const line = at < 0 || args.includes('--') ? args : [...args.slice(0, at), '--', ...args.slice(at)];
    it(`${name} ${what}`, { skip }, async () => {
      const own = await run(join(directory, name), line, env, act);
      const other = await run(INSTALLED[name], line, env, act);
      assert.deepEqual([own.status, plain(own.stdout)], [other.status, plain(other.stdout)]);
      // Parent and child write at once.
      if (messages) assert.deepEqual(plain(own.stderr).split('\n').sort(), plain(other.stderr).split('\n').sort());
    });
  }

  const signalWhenReady =
    (...signals: NodeJS.Signals[]): Act =>
    async (child, waitFor) => {
      for (const [index, signal] of signals.entries()) {
        await waitFor(index === 0 ? 'ready\n' : `got ${signals[index - 1]?.slice(3)}\n`);
        child.kill(signal);
      }
    };
  const script = (...names: string[]): string =>
    `${names.map((name) => `trap 'echo got ${name}' ${name}; `).join('')}trap 'echo got TERM; exit 7' TERM; echo ready; ` +
    'while :; do sleep 0.05; done';

  for (const name of ['tini', 'dumb-init'] as const) {
    behavesAlike('passes on every exit status', name, ['sh', '-c', 'exit 5'], {});
    behavesAlike('exits 128+n for a signal', name, ['sh', '-c', 'kill -9 $$'], {});
    behavesAlike('says which program is missing', name, ['/nonexistent']);
    behavesAlike('says which program cannot be executed', name, ['/etc/passwd']);
    behavesAlike('searches PATH', name, ['true']);
    behavesAlike('refuses unknown options', name, ['-x', 'true'], { messages: false });
    behavesAlike('wants a program', name, [], { messages: false });
    behavesAlike('takes everything after -- as it is', name, ['--', 'sh', '-c', 'echo "$@"', 'x', '-g', '--version']);
    behavesAlike('forwards TERM', name, ['sh', '-c', script()], { act: signalWhenReady('SIGTERM') });
    behavesAlike('forwards signals once each, in order', name, ['sh', '-c', script('HUP', 'USR1', 'USR2', 'WINCH')], {
      act: signalWhenReady('SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGWINCH', 'SIGTERM'),
      messages: false, // the shell’s, about its own children
    });
    behavesAlike('dies by the signal that its child dies by', name, ['sh', '-c', 'echo ready; exec sleep 60'], {
      act: signalWhenReady('SIGTERM'),
    });
    // The mask and the ignored signals of the child are those of an ordinary shell.
    behavesAlike('leaves no signal blocked or ignored', name, ['grep', '^Sig[BI]', '/proc/self/status']);
    behavesAlike('tells what it does when asked to', name, [name === 'tini' ? '-vv' : '-v', 'true']);
  }

  behavesAlike('maps exit statuses to 0', 'tini', ['-e', '143', '-e', '5', 'sh', '-c', 'exit 5']);
  behavesAlike('leaves other exit statuses alone', 'tini', ['-e', '143', 'sh', '-c', 'exit 5']);
  behavesAlike('refuses an exit status that is none', 'tini', ['-e', '256', 'true']);
  behavesAlike('refuses a signal that is none', 'tini', ['-p', 'SIGFOO', 'true']);
  behavesAlike('takes a signal for the parent’s death', 'tini', ['-p', 'SIGKILL', 'sh', '-c', 'exit 3']);
  behavesAlike('says what it reaps', 'tini', ['-s', '-w', 'sh', '-c', '(sleep 0.1 &); sleep 0.4']);
  behavesAlike('is a subreaper by its environment', 'tini', ['sh', '-c', '(sleep 0.1 &); sleep 0.3; exit 2'], {
    env: { TINI_SUBREAPER: '', TINI_VERBOSITY: '1' },
  });
  behavesAlike('is quiet when told to', 'tini', ['true'], { env: { TINI_VERBOSITY: '0' } });
  const group = [
    'sh',
    '-c',
    `sh -c "trap 'echo inner; exit' INT; echo ready; while :; do sleep 0.05; done"; echo outer`,
  ];
  behavesAlike('signals the process group with -g', 'tini', ['-g', '-s', ...group], { act: signalWhenReady('SIGINT') });
  behavesAlike('and by its environment', 'tini', ['-s', ...group], {
    env: { TINI_KILL_PROCESS_GROUP: '1' },
    act: signalWhenReady('SIGINT'),
  });

  behavesAlike('rewrites signals', 'dumb-init', ['-r', '1:10', 'sh', '-c', script('HUP', 'USR1')], {
    act: async (child, waitFor) => {
      await waitFor('ready\n');
      child.kill('SIGHUP');
      await waitFor('got USR1\n');
      child.kill('SIGTERM');
    },
  });
  behavesAlike('keeps signals that are rewritten to 0', 'dumb-init', ['--rewrite', '1:0', 'sh', '-c', script('HUP')], {
    act: async (child, waitFor) => {
      await waitFor('ready\n');
      child.kill('SIGHUP');
      child.kill('SIGTERM');
    },
  });
  for (const wrong of ['1', '0:1', '32:1', '1:32', 'a:b']) {
    behavesAlike(`refuses the rewrite ${wrong}`, 'dumb-init', ['-r', wrong, 'true']);
  }
  behavesAlike('signals the whole session', 'dumb-init', group, { act: signalWhenReady('SIGINT') });
  behavesAlike('gives the child a session', 'dumb-init', [
    'sh',
    '-c',
    'test "$(cut -d" " -f6 /proc/$$/stat)" = $$ && echo leader',
  ]);
  for (const [how, args, env] of [
    ['-c', ['-c'], {}],
    ['its environment', [], { DUMB_INIT_SETSID: '0' }],
  ] as const) {
    behavesAlike(`signals only the child with ${how}`, 'dumb-init', [...args, 'sh', '-c', script('INT')], {
      env,
      act: signalWhenReady('SIGINT', 'SIGTERM'),
    });
  }
  behavesAlike('ends what the child leaves behind', 'dumb-init', [
    'sh',
    '-c',
    '(trap "echo ended" TERM; sleep 1 & wait) & sleep 0.2',
  ]);
  behavesAlike('works in /', 'dumb-init', ['sh', '-c', 'sleep 0.1; readlink /proc/$PPID/cwd']);

  it('stop reading options at the program', async () => {
    for (const name of ['tini', 'dumb-init']) {
      const { stdout } = await run(join(directory, name), ['sh', '-c', 'echo "$@"', 'x', '-v', '-c'], {});
      assert.equal(stdout, '-v -c\n');
    }
  });

  it('is there for trees that name one and do not bring it along', async () => {
    using b = bench();
    const tini = await b.run(['tini', '-vv', '--', 'sh', '-c', 'exit 9']);
    assert.equal(tini.status, 9);
    assert.match(tini.stdout, /Main child exited normally \(with status '9'\)/);
    assert.equal((await b.run(['/usr/bin/dumb-init', 'sh', '-c', 'echo $HOME; exit 4'])).status, 4);
    assert.equal((await b.run(['/sbin/docker-init', '--', 'sh', '-c', 'kill -TERM $$'])).status, 143);
  });
});

// Wakeups of an idle one: none, where tini has one a second.
describe('trees-init as tini', () => {
  it('sleeps while its child does', { skip: existsSync('/proc/self/schedstat') ? false : 'no schedstat' }, async () => {
    const directory = mkdtempSync(join(tmpdir(), 'trees-init-'));
    symlinkSync(join(dirname(launcherPath()), 'trees-init'), join(directory, 'tini'));
    const child = spawn(join(directory, 'tini'), ['-s', '--', 'sleep', '3'], { stdio: 'ignore' });
    const switches = (): number =>
      Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]);
    const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
    try {
      await new Promise((resolve) => setTimeout(resolve, 400));
      const before = switches();
      await new Promise((resolve) => setTimeout(resolve, 1500));
      assert.equal(switches(), before);
    } finally {
      child.kill('SIGTERM');
      await ended;
      rmSync(directory, { recursive: true });
    }
  });
});
