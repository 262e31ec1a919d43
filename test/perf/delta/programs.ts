/** Running programs for their result, and for what they cost. */
import { type SpawnSyncOptions, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { projectRoot } from '../../support/rig.js';

/** A command line. */
export type Command = readonly [program: string, ...args: readonly string[]];

/** What running a command to its end cost. */
export interface Cost {
  /** Wall-clock seconds. */
  readonly seconds: number;
  /** Seconds of CPU, user and system, of it and its children. */
  readonly cpu: number;
  /** Largest resident set of one of its processes, in bytes. */
  readonly peak: number;
}

// NODE_EXTRA_CA_CERTS makes every Node start 33 ms slower and would hide the program.
const environment = { ...process.env, NODE_EXTRA_CA_CERTS: undefined, NO_COLOR: '1', LC_ALL: 'C.UTF-8' };

/** Runs a command to its end and returns what it printed. @throws Error when it fails */
export function run([program, ...args]: Command, options: SpawnSyncOptions = {}): string {
  const { status, signal, stdout, stderr, error } = spawnSync(program, args, {
    maxBuffer: 1 << 28,
    env: environment,
    ...options,
  });
  if (error !== undefined) throw error;
  if (status === 0) return String(stdout);
  throw new Error(`${program} ${args.join(' ')} ended with ${status ?? signal}: ${String(stderr).slice(-2000)}`);
}

export function ostree(...args: string[]): string {
  return run(['ostree', ...args]);
}

/** The command line of the built `trees`. */
export function trees(root: string, ...args: string[]): Command {
  return [process.execPath, join(projectRoot, 'dist/cli/bin.js'), `--root=${root}`, '--quiet', ...args];
}

/**
 * Runs a command below GNU time, which makes the peak that of the command: a process that Node starts inherits Node's
 * own until it starts another. @throws Error when it fails
 */
export function measure(command: Command, options: SpawnSyncOptions = {}): Cost {
  const directory = mkdtempSync(join(tmpdir(), 'trees-bench-'));
  try {
    const output = join(directory, 'time');
    const start = performance.now();
    run(['/usr/bin/time', '-q', '-o', output, '-f', '%U %S %M', ...command], options);
    const seconds = (performance.now() - start) / 1000;
    const [user = Number.NaN, system = Number.NaN, kib = Number.NaN] = readFileSync(output, 'utf8')
      .trim()
      .split(' ')
      .map(Number);
    return { seconds, cpu: user + system, peak: kib * 1024 };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** A shell script whose parameters are `args`. */
export function shell(script: string, ...args: string[]): Command {
  return ['sh', '-euc', script, 'sh', ...args];
}

/**
 * Runs a command while this process goes on, for example serving it.
 * @param started is told its process id
 * @throws Error when it fails
 */
export async function runBeside([program, ...args]: Command, started?: (pid: number) => void): Promise<void> {
  const child = spawn(program, args, { env: environment, stdio: ['ignore', 'ignore', 'inherit'] });
  if (child.pid !== undefined) started?.(child.pid);
  const status = await new Promise((resolve, reject) => {
    child.on('error', reject).on('close', resolve);
  });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${String(status)}`);
}
