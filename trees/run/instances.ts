import { closeSync, existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno, TreesError } from '../errors.js';
import { isAppName } from '../store/generations.js';
import { type StorePaths, storePaths } from '../store/paths.js';
import { appOf, instancePaths } from './instance.js';
import { holdShared, isHeld, LOCK_FILE, STARTING_FILE } from './instance-locks.js';
import {
  bootId,
  type InstanceState,
  isProcessAlive,
  type RecordedStatus,
  readInstanceState,
} from './instance-state.js';

/**
 * What an instance is doing, whatever was written last: `dead` was killed, or the machine was, before it could say how it
 * ended; `stopped` is one of which there is only data.
 */
export type InstanceStatus = RecordedStatus | 'dead' | 'stopped';

export interface Instance {
  readonly name: string;
  readonly app: string;
  readonly status: InstanceStatus;
  /** Whether its launcher or monitor is there: also while it waits to start it again. */
  readonly alive: boolean;
  /** What its launcher wrote last; absent if it did not run since the machine was started. */
  readonly state: InstanceState | undefined;
  readonly runDir: string;
  /** `data/<instance>`, where it has any. */
  readonly data: string | undefined;
}

export const CONTROL_SOCKET = 'control';
/** Copy of the plan that the instance was started from. */
export const PLAN_COPY = 'plan';

export interface InstancePlaces {
  /** The store. */
  readonly root: string;
  readonly runtimeDir: string;
}

/** Directory of the run-time state of an instance. */
export function runDirectory({ runtimeDir }: Pick<InstancePlaces, 'runtimeDir'>, name: string): string {
  return join(runtimeDir, name);
}

/** Instances by name. Those that only have data come with `all`, as do those that have ended. */
export function listInstances(places: InstancePlaces, { all }: { readonly all: boolean }): Instance[] {
  const paths = storePaths(places.root);
  const names = new Set([...namesIn(places.runtimeDir), ...(all ? namesIn(paths.data) : [])]);
  return [...names]
    .filter(isAppName)
    .sort()
    .flatMap((name) => findInstance(places, name) ?? [])
    .filter((instance) => all || instance.alive);
}

/** An instance by name; undefined if nothing of it is here. */
export function findInstance(places: InstancePlaces, name: string): Instance | undefined {
  if (!isAppName(name)) return undefined;
  const paths = storePaths(places.root);
  const runDir = runDirectory(places, name);
  const state = readInstanceState(runDir);
  const data = dataOf(paths, name);
  if (state === undefined && data === undefined) {
    // The moment between making the directory and the first state, or a leftover.
    if (!isLocked(runDir)) return undefined;
  }
  const common = { name, app: state?.app ?? appOf(paths, name), state, runDir, data };
  if (state !== undefined && isCurrent(state) && isProcessAlive(state.monitor)) {
    return { ...common, status: state.status, alive: true };
  }
  // Nobody by that number in this process namespace; the lock tells across them.
  if (isLocked(runDir)) return { ...common, status: state?.status ?? 'starting', alive: true };
  // It may have written its last word between the two looks.
  const last = readInstanceState(runDir);
  return { ...common, state: last, status: statusOf(last), alive: false };
}

/** @throws TreesError INSTANCE_NOT_FOUND */
export function requireInstance(places: InstancePlaces, name: string, what: string): Instance {
  const instance = findInstance(places, name);
  if (instance !== undefined) return instance;
  throw new TreesError('INSTANCE_NOT_FOUND', `cannot ${what} "${name}": there is no instance of that name`, {
    hint: 'trees ps -a shows all instances',
    details: { name },
  });
}

/** As `requireInstance`, for one whose launcher is there. @throws TreesError INSTANCE_NOT_FOUND, INSTANCE_NOT_RUNNING */
export function requireRunning(places: InstancePlaces, name: string, what: string): Instance {
  const instance = requireInstance(places, name, what);
  if (instance.alive) return instance;
  throw notRunning(name, what);
}

export function notRunning(name: string, what: string): TreesError {
  return new TreesError('INSTANCE_NOT_RUNNING', `cannot ${what} "${name}": it is not running`, {
    hint: `start it again: trees start ${name}`,
    details: { name },
  });
}

function statusOf(state: InstanceState | undefined): InstanceStatus {
  if (state === undefined) return 'stopped';
  return state.status === 'exited' || state.status === 'failed' ? state.status : 'dead';
}

function isCurrent(state: InstanceState): boolean {
  return state.boot === bootId();
}

function dataOf(paths: StorePaths, name: string): string | undefined {
  const { directory } = instancePaths(paths, name);
  return existsSync(directory) ? directory : undefined;
}

/**
 * Whether a launcher holds the instance. Whoever starts one holds the other lock while the launcher takes its own, which
 * it does not wait for: so that one is not touched before the other is ours.
 */
function isLocked(runDir: string): boolean {
  const starting = holdShared(join(runDir, STARTING_FILE));
  if (starting === 'held') return true;
  try {
    return isHeld(join(runDir, LOCK_FILE));
  } finally {
    if (starting !== undefined) closeSync(starting);
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    if (!isErrno(error, 'EACCES')) throw error;
    throw new TreesError('STORE_UNUSABLE', `cannot read ${directory}: permission denied`, {
      hint: 'the machine’s instances are root’s to look at; --user shows your own',
      cause: error,
    });
  }
}
