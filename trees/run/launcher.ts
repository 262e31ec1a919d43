import type { SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, readlinkSync } from 'node:fs';
import { constants } from 'node:os';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { isErrno, TreesError, usageError } from '../errors.js';
import { memfd } from '../system/index.js';
import { compilePlan } from './compile.js';
import type { ContainerSpec } from './container.js';
import { execLauncher, launcherPath, launchFailed } from './exec-launcher.js';

/** Descriptor on which a spawned launcher gets its plan. */
const PLAN_FD = 3;
/** The first that is no standard stream. */
const FIRST_PRESERVED = 3;
const LAST_WORDS_MS = 500;
/** Seconds between TERM and KILL when a spawned container is aborted. */
const ABORT_GRACE = 10;

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
    const { spawn } = await import('node:child_process');
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

export interface LaunchOptions {
  /** Leave it running: this process ends when the command was executed, and says the instance's name. */
  readonly detach?: boolean | undefined;
  /** Say nothing but warnings and errors. */
  readonly quiet?: boolean | undefined;
  /** Where the compiled plan is kept, if it is; otherwise it is passed on in memory. */
  readonly planFile?: string | undefined;
  /** Give the container a terminal of its own, connected to this process's standard streams. */
  readonly tty?: boolean | undefined;
  /** File that gets the number of the container's first process. */
  readonly pidFile?: string | undefined;
  /** podman's `--sdnotify`; only with a `notifySocket`. */
  readonly sdnotify?: string | undefined;
  readonly notifySocket?: string | undefined;
  /** Descriptors 3, 4… that the command gets. */
  readonly preserveFds?: number | undefined;
  /** Where the launcher writes the number of the first process and the exit status, as lines of JSON. */
  readonly statusFd?: number | undefined;
  /** Have the launcher say what each step took, on standard error. */
  readonly explainTime?: 'text' | 'json' | undefined;
  /** Sockets that the service manager has passed on as descriptors 3, 4…, for the command (sd_listen_fds(3)). */
  readonly sockets?: { readonly count: number; readonly names?: string | undefined } | undefined;
  /** Descriptors that the launcher keeps open for as long as it lives: locks. Above those of `preserveFds`. */
  readonly hold?: readonly number[] | undefined;
}

/** Words for the launcher that say the same at every start. */
export function launchFlags(options: LaunchOptions): string[] {
  return [
    ...(options.detach === true ? ['--detach'] : []),
    ...(options.tty === true ? ['--tty'] : []),
    ...(options.quiet === true ? ['--quiet'] : []),
    ...(options.pidFile === undefined ? [] : [`--pid-file=${options.pidFile}`]),
    ...(options.sdnotify === undefined ? [] : [`--sdnotify=${options.sdnotify}`]),
    ...(options.explainTime === undefined ? [] : [`--explain-time${options.explainTime === 'json' ? '=json' : ''}`]),
    ...(options.preserveFds === undefined || options.preserveFds === 0
      ? []
      : [`--preserve-fds=${options.preserveFds}`]),
    ...(options.sockets === undefined ? [] : [`--listen-fds=${options.sockets.count}`]),
  ];
}

export function launcherEnvironment(options: LaunchOptions): Record<string, string> {
  const names = options.sockets?.names;
  return {
    ...(options.notifySocket === undefined ? {} : { NOTIFY_SOCKET: options.notifySocket }),
    ...(names === undefined ? {} : { LISTEN_FDNAMES: names }),
  };
}

function passedOn(options: LaunchOptions): number {
  return Math.max(options.preserveFds ?? 0, options.sockets?.count ?? 0);
}

/** Where the caller left none open Node has taken the number: the first one that it takes is its event loop's. */
function isCallers(fd: number): boolean {
  try {
    return !/^anon_inode:\[(eventpoll|eventfd|io_uring)\]$/.test(readlinkSync(`/proc/self/fd/${fd}`));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false;
    throw error;
  }
}

/** The descriptors 3, 4… that the command is to get. @throws TreesError `USAGE` unless all are open */
export function preserved(count: number): number[] {
  const fds = Array.from({ length: count }, (_, index) => FIRST_PRESERVED + index);
  for (const fd of fds) {
    if (!isCallers(fd)) {
      throw usageError(`Expected descriptors 3 to ${FIRST_PRESERVED + count - 1} to be open, ${fd} is not`);
    }
  }
  return fds;
}

/** @throws TreesError `USAGE` unless it is the caller's */
function statusDescriptor({ statusFd }: LaunchOptions): number[] {
  if (statusFd === undefined) return [];
  if (!isCallers(statusFd)) throw usageError(`Expected descriptor ${statusFd} (--status-fd) to be open, it is not`);
  return [statusFd];
}

/**
 * Replaces this process by the launcher, so that no Node process stays behind.
 *
 * @param plan the container's compiled plan
 * @throws TreesError `LAUNCH_FAILED` when the launcher cannot be executed.
 */
export function execContainer(plan: Uint8Array, options: LaunchOptions = {}): never {
  const flags = launchFlags(options);
  const env = launcherEnvironment(options);
  const hold = options.hold ?? [];
  const status = statusDescriptor(options);
  const keep = [...preserved(passedOn(options)), ...hold, ...status];
  flags.push(...status.map((fd) => `--status-fd=${fd}`));
  flags.push(...hold.map((fd) => `--hold-fd=${fd}`));
  if (options.planFile !== undefined) return execLauncher([...flags, options.planFile], { keep, env });
  const fd = memfd('trees-plan', plan);
  return execLauncher([...flags, `--plan-fd=${fd}`], { keep: [...keep, fd], env });
}

/**
 * Starts a container that outlives this process, and waits until its command was executed.
 *
 * @throws TreesError with the launcher's words, and its status: 125 to 127
 */
export async function startContainer(plan: Uint8Array, options: LaunchOptions = {}): Promise<void> {
  const fd = memfd('trees-plan', plan);
  try {
    const keep = preserved(passedOn(options));
    const hold = options.hold ?? [];
    const planAt = FIRST_PRESERVED + keep.length;
    const holding = hold.map((_, index) => `--hold-fd=${planAt + 1 + index}`);
    const told = statusDescriptor(options);
    const telling = told.map(() => `--status-fd=${planAt + 1 + hold.length}`);
    const args = [...launchFlags({ ...options, detach: true }), ...holding, ...telling, `--plan-fd=${planAt}`];
    const { spawn } = await import('node:child_process');
    const child = spawn(launcherPath(), args, {
      env: launcherEnvironment(options),
      stdio: ['ignore', 'ignore', 'pipe', ...keep, fd, ...hold, ...told],
    });
    const { stderr } = child;
    let words = '';
    stderr?.setEncoding('utf8').on('data', (chunk: string) => (words += chunk));
    const status = await new Promise<number>((resolve, reject) => {
      child.once('error', (error) => reject(launchFailed(error)));
      // Not "close": it does not matter here who else has the pipe.
      child.once('exit', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
    });
    // What it said is there by now, or comes with the end of the pipe, unless somebody keeps that open.
    if (stderr !== null && !stderr.readableEnded) {
      await Promise.race([once(stderr, 'end'), sleep(LAST_WORDS_MS, undefined, { ref: false })]);
    }
    stderr?.destroy();
    if (status !== 0) throw detachFailed(words, status);
  } finally {
    closeSync(fd);
  }
}

const MESSAGE = /^error: (.*)$/m;
const HINT = /^hint: (.*)$/m;

function detachFailed(words: string, status: number): TreesError {
  const code = status === 127 ? 'COMMAND_NOT_FOUND' : status === 126 ? 'COMMAND_NOT_EXECUTABLE' : 'LAUNCH_FAILED';
  const why = MESSAGE.exec(words)?.[1] ?? (words.trim() || `the launcher ended with ${status}`);
  const hint = HINT.exec(words)?.[1];
  return new TreesError(code, why, { status, ...(hint === undefined ? {} : { hint }) });
}

export interface AttachOptions {
  readonly detachKeys?: string | undefined;
  /** Default true. */
  readonly stdin?: boolean | undefined;
}

/** Replaces this process by one that connects its standard streams to an instance. */
export function execAttach(runDir: string, options: AttachOptions): never {
  const flags = [
    ...(options.detachKeys === undefined ? [] : [`--detach-keys=${options.detachKeys}`]),
    ...(options.stdin === false ? ['--no-stdin'] : []),
  ];
  return execLauncher(['--attach', runDir, ...flags]);
}
