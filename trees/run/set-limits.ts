import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno, reasonOf, TreesError } from '../errors.js';
import { joinCgroup } from './cgroup-control.js';
import { cgroupHost, planCgroups } from './cgroup-plan.js';
import { findInstanceSpec, type InstanceSpec, noteInstanceSpec } from './instance-spec.js';
import { type Instance, type InstancePlaces, PLAN_COPY } from './instances.js';
import {
  type CgroupWrite,
  type LimitName,
  type Limits,
  limitControllers,
  limitNames,
  limitOptions,
  limitWrites,
  unlimitedWrites,
} from './limits.js';
import { decodePlan, encodePlan } from './plan-file.js';
import { plainRequest } from './resolve.js';
import { type LimitsRequest, mergeLimits, planResources } from './resources.js';

/**
 * Changes the limits of an instance: at once if it runs, and for every later start of it.
 *
 * @param changes `null` takes a limit away
 * @param declared what its app declares, which the changes are made to
 * @returns all limits it has now
 * @throws TreesError `UNSUPPORTED`, `LIMIT_REFUSED`, `USAGE`, and those of the control socket
 */
export async function setLimits(
  places: InstancePlaces,
  instance: Instance,
  changes: LimitsRequest,
  { declared, signal }: { readonly declared: Limits; readonly signal?: AbortSignal | undefined },
): Promise<Limits> {
  const spec = findInstanceSpec(instance);
  const asked: LimitsRequest = { ...spec?.request.resources?.limits, ...changes };
  const limits = mergeLimits(declared, asked);
  const required = new Set(limitNames.filter((name) => changes[name] !== undefined));
  // Before anything is changed: whether the machine can do all of it.
  const planned = planCgroups(limits, instance.name, cgroupHost(), required);
  if (instance.alive && instance.state?.init !== undefined) {
    await applyLimits(instance, limits, required, signal);
    rewritePlan(instance, planned);
  }
  const noted: InstanceSpec = {
    ...(spec ?? plainSpec(instance)),
    request: { ...(spec?.request ?? plainRequest), resources: { limits: asked } },
  };
  noteInstanceSpec(places, { name: instance.name, keeps: instance.data !== undefined, spec: noted });
  return limits;
}

function plainSpec(instance: Instance): InstanceSpec {
  return {
    schema: 1,
    app: instance.app,
    request: plainRequest,
    userns: 'auto',
    tty: instance.state?.tty ?? false,
    created: new Date().toISOString(),
    labels: {},
  };
}

async function applyLimits(
  instance: Instance,
  limits: Limits,
  changed: ReadonlySet<LimitName>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const controllers = new Set([...changed].map((name) => limitControllers[name]));
  for (const controller of controllers) {
    const { path, version } = await joinCgroup(instance, controller, { signal });
    const bfq = readable(join(path, 'io.bfq.weight')) && !readable(join(path, 'io.weight'));
    const writes = limitNames
      .filter((name) => limitControllers[name] === controller)
      // Swap follows memory where it was not given itself.
      .filter((name) => changed.has(name) || (name === 'memorySwap' && changed.has('memory')))
      .flatMap((name) => {
        const own = limitWrites(name, limits, version, bfq);
        return own.length > 0 ? own : unlimitedWrites(name, version, bfq);
      });
    writeAll(path, writes, instance.name);
  }
}

/**
 * Some limits must not cross (memory may not exceed memory and swap together), and which has to be written first depends on
 * which way they go: what is refused is tried once more after the others.
 */
function writeAll(path: string, writes: readonly CgroupWrite[], name: string): void {
  const refused = writes.filter((write) => tryWrite(path, write) !== undefined);
  for (const write of refused) {
    const why = tryWrite(path, write);
    if (why === undefined || write.optional === true) continue;
    throw new TreesError('LIMIT_REFUSED', `cannot set ${write.file} of "${name}" to ${write.value}: ${why}`, {
      details: { name, path, ...write },
      hint: 'the instance may use more than that already',
    });
  }
}

function tryWrite(path: string, { file, value }: CgroupWrite): string | undefined {
  try {
    writeFileSync(join(path, file), value, { flag: 'r+' });
    return undefined;
  } catch (error) {
    if (error instanceof Error && 'syscall' in error) return reasonOf(error);
    throw error;
  }
}

function readable(path: string): boolean {
  try {
    readFileSync(path);
    return true;
  } catch (error) {
    if (error instanceof Error && 'syscall' in error) return false;
    throw error;
  }
}

/** The copy that the launcher starts it from again when its restart policy says so. */
function rewritePlan(instance: Instance, planned: ReturnType<typeof planCgroups>): void {
  const file = join(instance.runDir, PLAN_COPY);
  try {
    const plan = decodePlan(readFileSync(file));
    writeFileSync(`${file}.set`, encodePlan({ ...plan, ...planResources(planned) }), { mode: 0o600 });
    renameSync(`${file}.set`, file);
  } catch (error) {
    // Without a copy there is nothing that it would be started from.
    if (!isErrno(error, 'ENOENT')) throw error;
  }
}

/** Limits as they are shown: options and their values. */
export function describeLimits(limits: Limits): string {
  const parts = limitNames.flatMap((name) => {
    const value = limits[name];
    return value === undefined ? [] : [`${limitOptions[name].slice(2)} ${value}`];
  });
  return parts.length === 0 ? 'no limits' : parts.join(', ');
}
