import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { ContainerSpec } from '../../../trees/run/container.js';
import { launcherPath } from '../../../trees/run/exec-launcher.js';
import type { SupervisionSpec } from '../../../trees/run/supervision.js';
import { type Bench, eventually, isAlive } from './container.js';

/** Instances of one test file, by name: their state is below the bench's directory, and they are ended with it. */
export interface Instances extends Disposable {
  runDir(name: string): string;
  plan(name: string, argv: readonly string[], change?: InstanceChange): string;
  /** Starts it detached and waits until its command was executed; throws when that fails. */
  detach(name: string, argv: readonly string[], change?: InstanceChange): void;
  /** Starts it detached, whatever comes of it. */
  tryDetach(name: string, argv: readonly string[], change?: InstanceChange): LauncherOutcome;
  /** One request on the control socket: all of the answer. */
  ask(name: string, request: string): Promise<string>;
  /** The state file's lines; empty if there is none. */
  state(name: string): Record<string, string>;
  waitForState(name: string, key: string, value: string): Promise<void>;
}

export interface InstanceChange extends Partial<SupervisionSpec> {
  readonly container?: Partial<ContainerSpec>;
}

export interface LauncherOutcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export function instances(box: Bench): Instances {
  const names = new Set<string>();
  const runDir = (name: string): string => join(box.directory, 'run', name);
  const state: Instances['state'] = (name) => {
    const file = join(runDir(name), 'state');
    if (!existsSync(file)) return {};
    return pairs(readFileSync(file, 'utf8'));
  };
  const plan: Instances['plan'] = (name, argv, { container, ...supervision } = {}) => {
    names.add(name);
    return box.planFile(
      box.spec({
        argv,
        supervision: { name, app: 'app', generation: 1, runDir: runDir(name), ...supervision },
        ...container,
      }),
    );
  };
  const tryDetach: Instances['tryDetach'] = (name, argv, change) => launch(['--detach', plan(name, argv, change)]);
  return {
    runDir,
    plan,
    state,
    tryDetach,
    detach: (name, argv, change) => {
      const { status, stdout, stderr } = tryDetach(name, argv, change);
      if (status !== 0 || stdout !== `${name}\n`) throw new Error(`not detached: ${status} ${stdout}${stderr}`);
    },
    ask: (name, request) => askRaw(runDir(name), `${request}\n`),
    waitForState: (name, key, value) =>
      eventually(
        () => state(name)[key] === value,
        () => `${key}=${value} of ${name}: ${JSON.stringify(state(name))}`,
      ),
    [Symbol.dispose]: () => {
      for (const name of names) {
        const monitor = Number(state(name)['monitor'] ?? 0);
        if (monitor > 0 && startOf(monitor) === state(name)['monitor-start']) process.kill(monitor, 'SIGKILL');
        rmSync(runDir(name), { recursive: true, force: true });
      }
    },
  };
}

/** Runs the launcher to its end with the caller's streams captured. */
export function launch(
  args: readonly string[],
  options: { input?: string; env?: Record<string, string> } = {},
): LauncherOutcome {
  const { status, stdout, stderr } = spawnSync(launcherPath(), args, {
    encoding: 'utf8',
    timeout: 60_000,
    env: { PATH: process.env['PATH'] ?? '', ...options.env },
    ...(options.input === undefined ? { stdio: ['ignore', 'pipe', 'pipe'] } : { input: options.input }),
  });
  return { status, stdout, stderr };
}

/** Sends bytes to a control socket and reads until it is closed. `keep`: the writing side stays open. */
export async function askRaw(runDir: string, request: string | Buffer): Promise<string> {
  return await new Promise<string>((resolve, reject) => {
    const socket = connect(join(runDir, 'control'), () => socket.write(request));
    let answer = '';
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')));
    socket.once('error', reject);
    socket.once('close', () => resolve(answer));
  });
}

/** A client that attaches and collects what comes. */
export function attachClient(runDir: string, args: readonly string[] = []) {
  const child = spawn(launcherPath(), ['--attach', runDir, ...args], { stdio: 'pipe' });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString('latin1')));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString('latin1')));
  child.stdin.on('error', () => undefined);
  const done = new Promise<number | null>((resolve) => child.once('close', resolve));
  return {
    child,
    done,
    stdout: () => stdout,
    stderr: () => stderr,
    see: (text: string) =>
      eventually(
        () => stdout.includes(text),
        () => `"${text}" in ${JSON.stringify(stdout)} ${stderr}`,
      ),
  };
}

function pairs(text: string): Record<string, string> {
  return Object.fromEntries(
    text
      .split('\n')
      .filter((line) => line.includes('='))
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  );
}

/** Field 22 of `/proc/PID/stat`. */
export function startOf(pid: number): string | undefined {
  if (!isAlive(pid)) return undefined;
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
}
