import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { TreesError, usageError } from '../errors.js';
import { removeTree, temporaryName } from '../store/files.js';
import { isAppName } from '../store/generations.js';
import { storePaths } from '../store/paths.js';
import { instancePaths, recordApp } from './instance.js';
import { claimInstance } from './instance-claim.js';
import type { Claim } from './instance-locks.js';
import { findInstance, type Instance, type InstancePlaces, runDirectory } from './instances.js';
import type { RunSettings } from './prepare.js';

export interface DataOptions {
  readonly settings: RunSettings;
  readonly signal?: AbortSignal | undefined;
}

async function claim({ runDir, name }: Instance, what: string, { settings, signal }: DataOptions): Promise<Claim> {
  return await claimInstance(runDir, name, { what, timeout: settings.lockTimeout, signal });
}

/**
 * Forgets what an instance wrote to its tree. Volumes stay. Killed half way, what is left is either as before or gone.
 * @returns whether there was anything
 * @throws TreesError INSTANCE_RUNNING
 */
export async function resetInstance(instance: Instance, options: DataOptions): Promise<boolean> {
  using _claim = await claim(instance, 'reset', options);
  const { upper } = instancePaths(storePaths(options.settings.root), instance.name);
  const overlay = join(upper, '..');
  if (!existsSync(overlay)) return false;
  // Out of the way by one rename, the work directory with it: overlayfs wants both of one age.
  const trash = temporaryName(overlay, 'trash');
  renameSync(overlay, trash);
  await removeTree(trash);
  return true;
}

/**
 * Removes an instance: what is known about its last run, its data with its volumes, its logs.
 * @returns the directories that were removed
 * @throws TreesError INSTANCE_RUNNING
 */
export async function removeInstance(
  instance: Instance,
  options: DataOptions & { readonly logDir: string; readonly volumes: boolean },
): Promise<string[]> {
  using _claim = await claim(instance, 'remove', options);
  const { directory } = instancePaths(storePaths(options.settings.root), instance.name);
  const removed: string[] = [];
  const volumes = join(directory, 'volumes');
  if (existsSync(directory)) {
    const keep = !options.volumes && existsSync(volumes) && readdirSync(volumes).length > 0;
    if (keep) {
      for (const name of readdirSync(directory)) {
        if (name !== 'volumes' && name !== 'app' && name !== 'ids.json') await removeTree(join(directory, name));
      }
    } else {
      const trash = temporaryName(directory, 'trash');
      renameSync(directory, trash);
      await removeTree(trash);
    }
    removed.push(directory);
  }
  for (const path of [join(options.logDir, instance.name), instance.runDir]) {
    if (!existsSync(path)) continue;
    await removeTree(path);
    removed.push(path);
  }
  return removed;
}

/**
 * Gives an instance that does not run another name: its data, logs and state go with it.
 * @throws TreesError INSTANCE_RUNNING, PATH_CONFLICT, USAGE
 */
export async function renameInstance(
  instance: Instance,
  to: string,
  options: DataOptions & { readonly logDir: string },
): Promise<void> {
  checkNewName(options.settings, to);
  const { settings, logDir } = options;
  using _from = await claim(instance, 'rename', options);
  const target = runDirectory(settings, to);
  using _to = await claimInstance(target, to, {
    what: 'rename',
    timeout: settings.lockTimeout,
    signal: options.signal,
  });
  checkNewName(settings, to);
  const paths = storePaths(settings.root);
  // Data last: as long as it has the old name, the same command again does the rest.
  moveIfThere(join(logDir, instance.name), join(logDir, to));
  rmSync(instance.runDir, { recursive: true, force: true });
  if (instance.data !== undefined) {
    recordApp(instancePaths(paths, instance.name), instance.app, { always: true });
    moveIfThere(instance.data, instancePaths(paths, to).directory);
  }
}

/** @throws TreesError USAGE, PATH_CONFLICT */
function checkNewName(places: InstancePlaces, to: string): void {
  if (!isAppName(to)) {
    throw usageError(`Expected the new name to be lowercase letters, digits, ".", "_" and "-", got "${to}"`);
  }
  const there = findInstance(places, to);
  if (there === undefined || (there.state === undefined && there.data === undefined)) return;
  throw new TreesError('PATH_CONFLICT', `cannot rename to ${to}: there is an instance of that name`, {
    hint: `trees ps -a shows it; trees rm ${to} --instance removes it`,
    details: { name: to },
  });
}

function moveIfThere(from: string, to: string): void {
  if (!existsSync(from)) return;
  mkdirSync(join(to, '..'), { recursive: true });
  renameSync(from, to);
}
