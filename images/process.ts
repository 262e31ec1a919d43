import { spawn } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { TreesError } from '../trees/errors.js';
import type { Reporter } from '../trees/reporter.js';
import { openLog } from './log.js';

/** What every program that a build starts is given. */
export interface ProcessContext {
  /** File that collects the output of the whole build; kept when it fails. */
  readonly log: string;
  readonly reporter: Reporter;
  readonly signal: AbortSignal;
}

export interface ProcessOptions {
  /** What it is for, for messages: `install packages`. */
  readonly step: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Return stdout instead of logging it. */
  readonly capture?: boolean;
}

/** The locale and search path that programs of the host get, so that their output and order do not depend on the caller. */
export const hostEnvironment: Readonly<Record<string, string>> = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LC_ALL: 'C',
  TZ: 'UTC',
  HOME: '/root',
  DEBIAN_FRONTEND: 'noninteractive',
};

/**
 * Runs a program to its end. Its output goes to the log; with `capture`, stdout is returned.
 *
 * @throws TreesError `TOOL_MISSING` when the program is not there, `CANCELLED` when aborted, and `BUILD_FAILED` with the
 * step, the exit status, the last lines of output and the path of the log otherwise
 */
export async function runProcess(
  context: ProcessContext,
  argv: readonly [string, ...string[]],
  options: ProcessOptions,
): Promise<string> {
  context.signal.throwIfAborted();
  const [program, ...args] = argv;
  const title = argv.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word}'`)).join(' ');
  const log = openLog(context.log, title, context.reporter);
  const child = spawn(program, args, {
    cwd: options.cwd,
    env: options.env ?? hostEnvironment,
    stdio: ['ignore', 'pipe', 'pipe'],
    // Its own group, so that stopping reaches what it started.
    detached: true,
  });
  const stop = (): void => {
    if (child.pid !== undefined && child.exitCode === null) killGroup(child.pid);
  };
  context.signal.addEventListener('abort', stop, { once: true });
  const captured: Buffer[] = [];
  if (options.capture === true) child.stdout.on('data', (chunk: Buffer) => captured.push(chunk));
  else log.follow(child.stdout);
  log.follow(child.stderr);
  try {
    const ended = await new Promise<{ status: number | null; signal: NodeJS.Signals | null }>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (status, signal) => resolve({ status, signal }));
    });
    if (context.signal.aborted) throw cancelled(options.step);
    if (ended.status === 0) return Buffer.concat(captured).toString('utf8');
    const how = ended.status === null ? `was killed by ${ended.signal}` : `exited with status ${ended.status}`;
    throw failed(options.step, `${argv[argv.lastIndexOf('--') + 1] ?? program} ${how}`, log.tail, context.log);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') throw toolMissing(program, options.step);
    throw error;
  } finally {
    context.signal.removeEventListener('abort', stop);
    await log.close();
  }
}

/** @param tail last lines of the output */
export function failed(step: string, why: string, tail: readonly string[], log: string): TreesError {
  const lines = tail.filter((line) => line.trim() !== '').map((line) => `\n  ${line}`);
  return new TreesError('BUILD_FAILED', `build failed: ${step}: ${why}${lines.join('')}`, {
    hint: `the whole output is in ${log}`,
    details: { step, log },
  });
}

export function cancelled(step: string): TreesError {
  return new TreesError('CANCELLED', `build cancelled: ${step} was stopped`);
}

const debianPackages: Readonly<Record<string, string>> = {
  'apt-get': 'apt',
  setpriv: 'util-linux',
  unshare: 'util-linux',
};

function toolMissing(program: string, step: string): TreesError {
  const name = debianPackages[program] ?? program;
  return new TreesError('TOOL_MISSING', `cannot ${step}: ${program} was not found`, {
    hint: `apt-get install ${name}`,
    details: { tool: program },
  });
}

/** Where a program is, in the search path that `runProcess` uses. */
export async function findProgram(name: string): Promise<string | undefined> {
  for (const directory of (hostEnvironment['PATH'] ?? '').split(delimiter)) {
    const path = join(directory, name);
    if (
      await access(path, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  return undefined;
}

const GRACE_MS = 2000;

/** unshare(1) ignores TERM while it waits, and a first process of a namespace does too unless it has a handler. */
function killGroup(pid: number): void {
  const send = (signal: NodeJS.Signals): void => {
    try {
      process.kill(-pid, signal);
    } catch {
      // It has ended in the meantime.
    }
  };
  send('SIGTERM');
  setTimeout(() => send('SIGKILL'), GRACE_MS).unref();
}

/**
 * Words to put before a host program that mounts things: it gets its own mount and process namespaces, and dies with
 * us, so that nothing of it is left behind however this process ends.
 */
export const ownNamespaces: readonly [string, ...string[]] = [
  'setpriv',
  '--pdeathsig=KILL',
  '--',
  'unshare',
  '--mount',
  '--propagation=private',
  '--pid',
  '--fork',
  '--kill-child=KILL',
  '--mount-proc',
  '--',
];
