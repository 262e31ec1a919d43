import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TreesError } from '../errors.js';
import { cgroupHost } from './cgroup-plan.js';
import { type Controller, hierarchyOf, placeOf } from './cgroups.js';
import { askInstance, type ControlOptions } from './control.js';
import { type Instance, notRunning } from './instances.js';

/**
 * Changing what a running instance is counted in. Its launcher makes cgroups and moves processes, because it owns and removes
 * them; an instance has none until something needs it: joining costs at the start, whether or not anybody ever pauses it.
 */

/** Freezing waits until every process is where it can be stopped. */
const TIMEOUT_MS = 30_000;

/** Stops every process of an instance where it is. @throws TreesError INSTANCE_NOT_RUNNING, UNSUPPORTED, CONTROL_FAILED */
export async function pauseInstance(instance: Instance, options: ControlOptions = {}): Promise<void> {
  if (!instance.alive) throw notRunning(instance.name, 'pause');
  await askInstance(instance, 'pause', placeValues('freezer', 'pause', instance.name), {
    timeout: TIMEOUT_MS,
    ...options,
  });
}

/** @throws TreesError INSTANCE_NOT_RUNNING, CONTROL_FAILED */
export async function unpauseInstance(instance: Instance, options: ControlOptions = {}): Promise<void> {
  if (!instance.alive) throw notRunning(instance.name, 'unpause');
  await askInstance(instance, 'unpause', {}, { timeout: TIMEOUT_MS, ...options });
}

/**
 * The directory of the instance's cgroup that has a controller; it is moved into one if it is in none.
 * @throws TreesError INSTANCE_NOT_RUNNING, UNSUPPORTED, CONTROL_FAILED
 */
export async function joinCgroup(
  instance: Instance,
  controller: Controller,
  options: ControlOptions = {},
): Promise<{ path: string; version: 1 | 2 }> {
  const values = placeValues(controller, 'limit', instance.name);
  const { lines } = await askInstance(instance, 'cgroup', values, { timeout: TIMEOUT_MS, ...options });
  const path = lines.find((line) => line['path'] !== undefined)?.['path'];
  if (path === undefined) throw new Error(`the launcher of ${instance.name} did not name a cgroup`);
  return { path, version: values.version };
}

function placeValues(controller: Controller, what: string, name: string) {
  const { layout, input } = cgroupHost();
  const refuse = (why: string): TreesError =>
    new TreesError('UNSUPPORTED', `cannot ${what} "${name}": ${why}`, {
      hint: 'trees check shows what this machine can limit',
      details: { name, controller },
    });
  const hierarchy = hierarchyOf(layout, controller);
  if (hierarchy === undefined) throw refuse(`the kernel has no ${controller} controller here`);
  const place = placeOf(hierarchy, input);
  if (typeof place === 'string') throw refuse(place);
  const kernelName = controller === 'io' && hierarchy.version === 1 ? 'blkio' : controller;
  const core = hierarchy.version === 2 && controller === 'freezer';
  return { version: hierarchy.version, base: place.base, controllers: core ? '' : kernelName };
}

/** The file of a cgroup; `undefined` if it is not there. */
export function readCgroupFile(directory: string, file: string): string | undefined {
  try {
    return readFileSync(join(directory, file), 'utf8').trimEnd();
  } catch {
    return undefined;
  }
}
