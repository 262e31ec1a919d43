import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { TreesError } from '../trees/errors.js';
import type { Reporter } from '../trees/reporter.js';
import { acquireLock, type Lock } from '../trees/store/locks.js';
import { checkUsable } from '../trees/store/usable.js';
import { hostEnvironment } from './process.js';

/** Where builds keep what they need below the state directory. */
export interface BuildPaths {
  readonly dir: string;
  /** Repository of everything that was built. */
  readonly repo: string;
  /** Packages, package lists and downloaded archives; may be deleted at any time when no build runs. */
  readonly cache: string;
  /** One directory for each running build; whatever is there without one is garbage. */
  readonly work: string;
  /** What each image was last built from. */
  readonly state: string;
  readonly logs: string;
}

/** @param root `settings.root` */
export function buildPaths(root: string): BuildPaths {
  const dir = join(root, 'build');
  return {
    dir,
    repo: join(dir, 'repo'),
    cache: join(dir, 'cache'),
    work: join(dir, 'work'),
    state: join(dir, 'state'),
    logs: join(dir, 'logs'),
  };
}

const KEPT_LOGS = 10;

export interface WorkspaceOptions {
  /** Seconds to wait for another build. */
  readonly timeout: number;
  readonly signal: AbortSignal;
  readonly reporter: Reporter;
}

/**
 * Creates the build directories, takes the build lock (one build at a time below a root) and removes what killed builds
 * left in the work directory.
 *
 * @throws TreesError `STORE_UNUSABLE` when the state directory is not ours to write, `LOCKED` when another build goes
 *   on for longer than `timeout`
 */
export async function openWorkspace(paths: BuildPaths, options: WorkspaceOptions): Promise<Lock> {
  await checkUsable(dirname(paths.dir));
  for (const directory of [paths.dir, paths.cache, paths.work, paths.state, paths.logs]) {
    mkdirSync(directory, { recursive: true });
  }
  // Root file systems with set-id programs of other systems lie below.
  chmodSync(paths.dir, 0o700);
  const lock = await acquireLock(join(paths.dir, 'lock'), 'exclusive', {
    what: `the build directory ${paths.dir}`,
    command: 'build',
    ...options,
  });
  try {
    for (const name of readdirSync(paths.work)) removeWork(paths, join(paths.work, name));
    removeOldLogs(paths.logs);
  } catch (error) {
    lock[Symbol.dispose]();
    throw error;
  }
  return lock;
}

/** Logs of failed builds are kept for reading; the latest ones. */
function removeOldLogs(directory: string): void {
  const logs = readdirSync(directory).map((name) => join(directory, name));
  const newestFirst = logs.sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  for (const log of newestFirst.slice(KEPT_LOGS)) rmSync(log);
}

/** A new empty directory for one build; delete it with `removeWork`. */
export function makeWork(paths: BuildPaths, name: string): string {
  return mkdtempSync(join(paths.work, `${name}-`));
}

/**
 * Deletes a build's directory. Anything mounted below it is unmounted first, so that nothing outside is ever deleted.
 *
 * @throws TreesError `IN_USE` when something stays mounted there
 */
export function removeWork(paths: BuildPaths, directory: string): void {
  if (!directory.startsWith(`${paths.work}/`))
    throw new Error(`Expected a directory in ${paths.work}, got ${directory}`);
  for (const mount of mountsBelow(directory)) spawnSync('umount', ['--lazy', mount], { env: hostEnvironment });
  const [left] = mountsBelow(directory);
  if (left !== undefined) {
    throw new TreesError('IN_USE', `cannot clean up ${directory}: ${left} is mounted`, { hint: `umount ${left}` });
  }
  rmSync(directory, { recursive: true, force: true });
}

/** Mount points at or below a directory, deepest first. */
function mountsBelow(directory: string): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => unescapeMount(line.split(' ')[4] ?? ''))
    .filter((path) => path === directory || path.startsWith(`${directory}/`))
    .sort((a, b) => b.length - a.length);
}

/** proc(5): space, tab, newline and backslash are octal escapes. */
function unescapeMount(path: string): string {
  return path.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
