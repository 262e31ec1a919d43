import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The package's root directory. */
export const projectRoot = fileURLToPath(new URL('../..', import.meta.url));
const binary = join(projectRoot, 'dist', 'cli', 'bin.js');

export interface RunResult {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  env?: Readonly<Record<string, string | undefined>>;
  cwd?: string;
  input?: string;
  /** Milliseconds until the process is killed; generous, for loaded machines. */
  timeout?: number;
}

const DEFAULT_TIMEOUT_MS = 120_000;

/** Runs a program to its end. Never throws for a failing exit status. */
export async function runProgram(file: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: undefined, ...options.env };
  const child = spawn(file, args, {
    cwd: options.cwd,
    env,
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: options.timeout ?? DEFAULT_TIMEOUT_MS,
    killSignal: 'SIGKILL',
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  // A child that exits without reading its input must not fail the test.
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.input ?? '');
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status, signal) => {
      resolve({
        status,
        signal,
        stdout: Buffer.concat(stdout).toString('utf8'),
        stderr: Buffer.concat(stderr).toString('utf8'),
      });
    });
  });
}

/** A private machine for one test: a temporary directory with its own state root, and the real `trees` binary. */
export interface Rig extends AsyncDisposable {
  /** Temporary directory; everything the test makes belongs below it. */
  readonly dir: string;
  /** What `--root` is. */
  readonly root: string;
  /** The state directory below it. */
  readonly store: string;
  readonly repo: string;
  path(...parts: string[]): string;
  trees(args: readonly string[], options?: RunOptions): Promise<RunResult>;
  /** Runs `trees`, expects success and parses its `--json` document. */
  json(args: readonly string[], options?: RunOptions): Promise<unknown>;
  /** Runs the `ostree` CLI and expects success. */
  ostree(args: readonly string[]): Promise<string>;
}

/** @param options.parent where the directory is made; default the system's temporary directory */
export async function createRig(options: { parent?: string } = {}): Promise<Rig> {
  const dir = await mkdtemp(join(options.parent ?? tmpdir(), 'trees-test-'));
  const root = join(dir, 'root');
  const store = join(root, 'var/lib/trees');
  const isolated = { TREES_ROOT: root, XDG_CONFIG_HOME: join(dir, 'config'), NO_COLOR: '1' };
  const trees: Rig['trees'] = (args, runOptions = {}) =>
    runProgram(process.execPath, [binary, ...args], {
      cwd: dir,
      ...runOptions,
      env: { ...isolated, ...runOptions.env },
    });
  return {
    dir,
    root,
    store,
    repo: join(store, 'repo'),
    path: (...parts) => join(dir, ...parts),
    trees,
    async json(args, runOptions) {
      const result = await trees([...args, '--json'], runOptions);
      if (result.status !== 0) throw new Error(`trees ${args.join(' ')} gave ${result.status}:\n${result.stderr}`);
      const document: unknown = JSON.parse(result.stdout);
      return document;
    },
    async ostree(args) {
      const result = await runProgram('ostree', args);
      if (result.status !== 0) throw new Error(`ostree ${args.join(' ')} gave ${result.status}:\n${result.stderr}`);
      return result.stdout;
    },
    async [Symbol.asyncDispose]() {
      await rm(dir, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}

/** Every path below a directory with its link target, size, mode, links and times: equal before and after means untouched. */
export async function listTree(directory: string): Promise<string> {
  const result = await runProgram('find', [directory, '-printf', '%P %y %m %s %n %l %T@\\n']);
  return result.stdout.split('\n').sort().join('\n');
}

/** Fails with the lines that differ between two listings of `listTree`. */
export function assertSameTree(now: string, before: string): void {
  const lines = (text: string): Set<string> => new Set(text.split('\n'));
  const [old, current] = [lines(before), lines(now)];
  const changes = [
    ...[...current].filter((line) => !old.has(line)).map((line) => `+ ${line}`),
    ...[...old].filter((line) => !current.has(line)).map((line) => `- ${line}`),
  ];
  assert.deepEqual(changes, [], 'nothing changed');
}

/** Names in a directory, sorted; empty if it does not exist. */
export async function namesIn(directory: string): Promise<string[]> {
  const names: string[] = await readdir(directory).catch(() => []);
  return names.toSorted();
}
