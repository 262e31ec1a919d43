import { type SpawnOptions, spawn } from 'node:child_process';
import { closeSync, existsSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { reasonOf, TreesError } from '../errors.js';
import { nativePath } from '../native-loader.js';
import { execve, memfd } from '../system/index.js';
import { compilePlan } from './compile.js';
import type { ContainerSpec } from './container.js';

/** Descriptor on which a spawned launcher gets its plan. */
const PLAN_FD = 3;
/** Seconds between TERM and KILL when a spawned container is aborted. */
const ABORT_GRACE = 10;

/**
 * Path of trees-launch; trees-init lies beside it.
 *
 * @throws TreesError `NATIVE_MISSING` when it was not built.
 */
export function launcherPath(): string {
  const path = join(dirname(nativePath('system')), 'trees-launch');
  if (!existsSync(path)) {
    throw new TreesError('NATIVE_MISSING', `cannot find the launcher: ${path} does not exist`, {
      hint: 'build it: node scripts/build-native.mjs trees-launch trees-init',
      status: 125,
      details: { path },
    });
  }
  return path;
}

export interface SpawnContainerOptions {
  /** Three entries as in `child_process.spawn`; default all inherited. */
  readonly stdio?: readonly [StdioEntry, StdioEntry, StdioEntry];
  /** Ends the container: TERM, and KILL 10 seconds later. The promise then resolves with 128+n as usual. */
  readonly signal?: AbortSignal | undefined;
  /** Called once with the pipes that `stdio` asked for. */
  readonly onSpawn?: (pipes: { stdin: Writable | null; stdout: Readable | null; stderr: Readable | null }) => void;
}

type StdioEntry = 'inherit' | 'ignore' | 'pipe' | number;

/**
 * Runs a container as a child and waits for it. It dies with this process, however that dies.
 *
 * @returns the command's exit status; 128+n for a signal, 125 when it could not be started (the reason is on its
 *   stderr), 126 and 127 when the command could not be executed.
 * @throws TreesError `LAUNCH_FAILED` when the launcher itself cannot be executed.
 */
export async function spawnContainer(container: ContainerSpec, options: SpawnContainerOptions = {}): Promise<number> {
  const plan = memfd('trees-plan', compilePlan(container));
  const spawnOptions: SpawnOptions = { env: {}, stdio: [...(options.stdio ?? inherited), plan] };
  const args = [`--die-with-parent=${process.pid}`, `--plan-fd=${PLAN_FD}`];
  try {
    options.signal?.throwIfAborted();
    const child = spawn(launcherPath(), args, spawnOptions);
    options.onSpawn?.({ stdin: child.stdin, stdout: child.stdout, stderr: child.stderr });
    let timer: NodeJS.Timeout | undefined;
    const abort = (): void => {
      child.kill('SIGTERM');
      timer = setTimeout(() => child.kill('SIGKILL'), ABORT_GRACE * 1000);
    };
    options.signal?.addEventListener('abort', abort, { once: true });
    try {
      return await new Promise<number>((resolve, reject) => {
        child.once('error', (error) => reject(launchFailed(error)));
        child.once('close', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
      });
    } finally {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', abort);
    }
  } finally {
    closeSync(plan);
  }
}

const inherited = ['inherit', 'inherit', 'inherit'] as const;

export interface ExecContainerOptions {
  /** Where the compiled plan is kept, if it is; otherwise it is passed on in memory. */
  readonly planFile?: string | undefined;
  /** Give the container a terminal of its own, connected to this process's standard streams. */
  readonly tty?: boolean | undefined;
}

/**
 * Replaces this process by the launcher, so that no Node process stays behind.
 *
 * @param container the container, or its compiled plan
 * @throws TreesError `LAUNCH_FAILED` when the launcher cannot be executed.
 */
export function execContainer(container: ContainerSpec | Uint8Array, options: ExecContainerOptions = {}): never {
  const launcher = launcherPath();
  const flags = options.tty === true ? ['--tty'] : [];
  if (options.planFile !== undefined) return exec(launcher, [...flags, options.planFile], []);
  const fd = memfd('trees-plan', container instanceof Uint8Array ? container : compilePlan(container));
  return exec(launcher, [...flags, `--plan-fd=${fd}`], [fd]);
}

function exec(launcher: string, args: readonly string[], keep: readonly number[]): never {
  try {
    return execve(launcher, ['trees-launch', ...args], { env: {}, keep });
  } catch (error) {
    throw launchFailed(error);
  }
}

function launchFailed(error: unknown): TreesError {
  const why = reasonOf(error);
  return new TreesError('LAUNCH_FAILED', `cannot execute the launcher: ${why}`, { cause: error, status: 125 });
}
