import { type ChildProcess, spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { compilePlan } from '../../../trees/run/compile.js';
import type { ContainerSpec } from '../../../trees/run/container.js';
import { launcherPath } from '../../../trees/run/exec-launcher.js';
import { makeRootfs, missingForContainers } from '../../support/rootfs.js';

/** Everything one test file needs: a tree, an instance's directories, and containers that are reaped at the end. */
export interface Bench extends Disposable {
  readonly directory: string;
  readonly rootfs: string;
  /** The default container of this file with changes. */
  spec(change?: Partial<ContainerSpec>): ContainerSpec;
  /** A persistent upper directory. */
  persistent(): Extract<ContainerSpec['upper'], { kind: 'persistent' }>;
  planFile(container: ContainerSpec): string;
  /** Runs a container to its end. Words instead of a container are a command in the default one. */
  run(container: ContainerSpec | readonly string[], options?: RunOptions): Promise<Outcome>;
  sh(script: string, change?: Partial<ContainerSpec>, options?: RunOptions): Promise<Outcome>;
  start(container: ContainerSpec, options?: RunOptions): Running;
}

export interface RunOptions {
  readonly input?: string | Buffer;
  /** Leave standard input open; the test ends it. */
  readonly hold?: boolean;
  /** Words before the launcher on the command line, such as `setpriv …`. */
  readonly wrapper?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface Outcome {
  /** Exit status, or -1 with `signal`. */
  readonly status: number;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stdoutBytes: Buffer;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly done: Promise<Outcome>;
  /** Resolves when stdout contains the text; rejects if the container ends before. */
  waitFor(text: string): Promise<void>;
  output(): string;
}

export const RANGE = { start: 0x7ff0_0000 - 65_536, count: 65_536 } as const;

export function bench(): Bench {
  const directory = mkdtempSync(join(tmpdir(), 'trees-run-'));
  // Where there is no busybox every test of the file is skipped, by name.
  const rootfs = missingForContainers({ root: false }) === false ? makeRootfs(directory) : directory;
  const children = new Set<ChildProcess>();
  let plans = 0;
  let uppers = 0;

  const spec: Bench['spec'] = (change = {}) => ({
    lower: [rootfs],
    upper: { kind: 'ephemeral' },
    userns: process.geteuid?.() === 0 ? RANGE : 'self',
    net: 'none',
    argv: ['true'],
    env: { PATH: '/bin' },
    ...change,
  });
  const planFile: Bench['planFile'] = (container) => {
    const path = join(directory, `${++plans}.plan`);
    writeFileSync(path, compilePlan(container));
    return path;
  };
  const start: Bench['start'] = (container, options = {}) => {
    const words = [...(options.wrapper ?? []), launcherFor(options, directory), planFile(container)];
    const child = spawn(words[0] ?? '', words.slice(1), {
      stdio: 'pipe',
      env: options.env ?? { PATH: process.env['PATH'] ?? '' },
    });
    children.add(child);
    const running = watch(child);
    void running.done.finally(() => children.delete(child));
    child.stdin.on('error', () => undefined);
    if (options.hold === true) child.stdin.write(options.input ?? '');
    else if (options.input === undefined) child.stdin.end();
    else child.stdin.end(options.input);
    return running;
  };
  const run: Bench['run'] = (container, options) =>
    start('lower' in container ? container : spec({ argv: container }), options).done;
  return {
    directory,
    rootfs,
    spec,
    persistent: () => {
      const parent = join(directory, `overlay-${++uppers}`);
      const upper = { kind: 'persistent', upper: join(parent, 'upper'), work: join(parent, 'work') } as const;
      for (const path of [upper.upper, upper.work]) mkdirSync(path, { recursive: true });
      return upper;
    },
    planFile,
    run,
    sh: (script, change, options) => run(spec({ argv: ['sh', '-c', script], ...change }), options),
    start,
    [Symbol.dispose]: () => {
      for (const child of children) child.kill('SIGKILL');
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** With a wrapper the caller may be another user, who need not be able to reach the checkout: a copy. */
function launcherFor(options: RunOptions, directory: string): string {
  if (options.wrapper === undefined) return launcherPath();
  const copy = join(directory, 'bin', 'trees-launch');
  if (!existsSync(copy)) {
    mkdirSync(dirname(copy), { recursive: true });
    for (const name of ['trees-launch', 'trees-init']) {
      copyFileSync(join(dirname(launcherPath()), name), join(dirname(copy), name));
    }
  }
  return copy;
}

function watch(child: ChildProcess): Running {
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout?.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => err.push(chunk));
  const output = (): string => Buffer.concat(out).toString();
  let ended = false;
  const done = new Promise<Outcome>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status, signal) => {
      ended = true;
      const stdoutBytes = Buffer.concat(out);
      resolve({
        status: status ?? -1,
        signal,
        stdout: stdoutBytes.toString(),
        stdoutBytes,
        stderr: Buffer.concat(err).toString(),
      });
    });
  });
  return {
    child,
    pid: child.pid ?? -1,
    done,
    output,
    waitFor: async (text) => {
      while (!output().includes(text)) {
        if (ended) throw new Error(`ended without "${text}": ${output()}${Buffer.concat(err).toString()}`);
        await sleep(5);
      }
    },
  };
}

/** Host pids of a process's descendants, itself not included. One that ends meanwhile has none. */
export function descendants(pid: number): number[] {
  return childrenOf(pid).flatMap((child) => [child, ...descendants(child)]);
}

/** Host pids of the children of a process. */
export function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
  } catch (error) {
    // ESRCH: it ended between opening and reading.
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')) return [];
    throw error;
  }
}

export function isAlive(pid: number): boolean {
  try {
    // A zombie is not alive: its parent just has not read its status yet.
    return !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

/** Polls; for states that come true soon and without an event. */
export async function eventually(condition: () => boolean, what: string | (() => string)): Promise<void> {
  for (let i = 0; i < 1000; i++) {
    if (condition()) return;
    await sleep(10);
  }
  throw new Error(`never came true: ${typeof what === 'string' ? what : what()}`);
}
