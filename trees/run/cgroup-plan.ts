import { join } from 'node:path';
import { isErrno, TreesError } from '../errors.js';
import { existsSync, readKernelFile } from '../inputs.js';
import {
  type CgroupLayout,
  type CgroupPlace,
  type Hierarchy,
  hierarchyOf,
  type PlaceInput,
  placeInput,
  placeOf,
  readCgroups,
} from './cgroups.js';
import {
  type CgroupWrite,
  findLimitProblem,
  type LimitName,
  type Limits,
  limitControllers,
  limitNames,
  limitOptions,
  limitWrites,
  parseCpuList,
} from './limits.js';

/** What this machine can limit, as far as planning has to know. */
export interface CgroupHost {
  readonly layout: CgroupLayout;
  readonly input: PlaceInput;
  /** Processors that are there, as a list. */
  readonly cpus: string;
  exists(path: string): boolean;
}

/** One cgroup of a container, as the launcher makes it: `<base>/trees/<name>`. */
export interface CgroupSpec {
  readonly version: 1 | 2;
  readonly base: string;
  readonly scope: CgroupPlace['scope'];
  /** The kernel's names, as this version has them. */
  readonly controllers: readonly string[];
  readonly name: string;
  readonly writes: readonly CgroupWrite[];
}

export interface PlannedLimits {
  readonly cgroups: readonly CgroupSpec[];
  /** Limits that the app declares and this machine cannot keep. */
  readonly warnings: readonly string[];
}

/** Looks at the machine. */
export function cgroupHost(): CgroupHost {
  return { layout: readCgroups(), input: placeInput(), cpus: onlineCpus(), exists: existsSync };
}

/**
 * Decides which cgroups a container gets. Only controllers that have a limit are touched: every one that is joined costs
 * at the start and, some of them, while the container runs.
 *
 * @param required the limits that were asked for on the command line: what cannot be done is an error; others are warnings
 * @throws TreesError `UNSUPPORTED`, status 125, naming the controller and the reason
 */
export function planCgroups(
  limits: Limits,
  name: string,
  host: CgroupHost,
  required: ReadonlySet<LimitName>,
): PlannedLimits {
  const problem = findLimitProblem(limits);
  if (problem !== undefined) throw new TreesError('USAGE', `cannot limit ${name}: ${problem}`, { status: 125 });
  const cgroups: CgroupSpec[] = [];
  const warnings: string[] = [];
  for (const limit of limitNames) {
    // Swap follows memory, also where nobody asked for it.
    if (limits[limit] === undefined && (limit !== 'memorySwap' || limits.memory === undefined)) continue;
    const found = canLimit(limit, limits, host);
    if (typeof found !== 'string') {
      addLimit(cgroups, found, name, limitWrites(limit, limits, found.hierarchy.version, usesBfq(found, host)));
    } else if (limits[limit] !== undefined) {
      if (required.has(limit)) throw unsupported(limit, found);
      warnings.push(`without the limit ${limitOptions[limit].slice(2)} that the app declares: ${found}`);
    }
  }
  return { cgroups, warnings };
}

/**
 * A cgroup of version 2 without limits, for an init that manages what is below it.
 * @throws TreesError `UNSUPPORTED`, status 125
 */
export function unifiedCgroup(name: string, { layout, input }: CgroupHost): CgroupSpec {
  const hierarchy = layout.hierarchies.find(({ version }) => version === 2);
  const place = hierarchy === undefined ? 'this machine has none' : placeOf(hierarchy, input);
  if (typeof place !== 'string') return { version: 2, ...place, scope: place.scope, controllers: [], name, writes: [] };
  throw new TreesError('UNSUPPORTED', `cannot give ${name} a cgroup of version 2: ${place}`, {
    status: 125,
    hint: 'systemd needs one: mount it, e.g. on /sys/fs/cgroup/unified, or use --rich-mode sbin-init with another init',
  });
}

interface Found {
  readonly hierarchy: Hierarchy;
  readonly place: CgroupPlace;
  /** The controller's name there. */
  readonly controller: string;
}

/** Where a limit can be set, or why nowhere. */
export function canLimit(limit: LimitName, limits: Limits, host: CgroupHost): Found | string {
  const controller = limitControllers[limit];
  const hierarchy = hierarchyOf(host.layout, controller);
  if (hierarchy === undefined) {
    const why = host.layout.kind === 'none' ? 'no cgroups are mounted' : `cgroup ${host.layout.kind} without it`;
    return `the kernel has no ${controller} controller here (${why})`;
  }
  const place = placeOf(hierarchy, host.input);
  if (typeof place === 'string') return `the ${controller} controller cannot be used: ${place}`;
  const found = { hierarchy, place, controller: controller === 'io' && hierarchy.version === 1 ? 'blkio' : controller };
  if (limit === 'ioWeight' && !hasWeights(found, host)) {
    return `the ${found.controller} controller has no weights here (neither io.cost nor the BFQ scheduler)`;
  }
  if (limit === 'cpusetCpus') {
    const there = new Set(parseCpuList(host.cpus) ?? []);
    const lacking = (parseCpuList(limits.cpusetCpus ?? '') ?? []).find((cpu) => !there.has(cpu));
    if (lacking !== undefined && there.size > 0) {
      return `the cpuset controller cannot give it processor ${lacking}: there are ${host.cpus}`;
    }
  }
  return found;
}

/** Files of the topmost cgroup tell what those below will have. */
function hasWeights({ hierarchy }: Found, host: CgroupHost): boolean {
  const { mount, version } = hierarchy;
  const names = version === 1 ? ['blkio.bfq.io_service_bytes', 'blkio.bfq.weight'] : ['io.cost.qos', 'io.weight'];
  return names.some((file) => host.exists(join(mount, file))) || (version === 2 && hasBfq(host));
}

function usesBfq({ hierarchy }: Found, host: CgroupHost): boolean {
  return !host.exists(join(hierarchy.mount, 'io.cost.qos')) && !host.exists(join(hierarchy.mount, 'io.weight'));
}

function hasBfq(host: CgroupHost): boolean {
  return host.exists('/sys/module/bfq');
}

/** Of version 2 there is one cgroup for all controllers, of version 1 one for each hierarchy. */
function addLimit(cgroups: CgroupSpec[], found: Found, name: string, writes: readonly CgroupWrite[]): void {
  const { hierarchy, place, controller } = found;
  const index = cgroups.findIndex(({ base, version }) => version === hierarchy.version && base === place.base);
  const known = cgroups[index];
  if (known === undefined) {
    const { base, scope } = place;
    cgroups.push({ version: hierarchy.version, base, scope, controllers: [controller], name, writes });
    return;
  }
  cgroups[index] = {
    ...known,
    controllers: [...new Set([...known.controllers, controller])],
    writes: [...known.writes, ...writes],
  };
}

function unsupported(limit: LimitName, why: string): TreesError {
  return new TreesError('UNSUPPORTED', `cannot apply ${limitOptions[limit]}: ${why}`, {
    status: 125,
    hint: 'trees check shows which limits this machine can keep',
    details: { limit, controller: limitControllers[limit] },
  });
}

function onlineCpus(): string {
  try {
    return readKernelFile('/sys/devices/system/cpu/online').trim();
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'EACCES')) return '';
    throw error;
  }
}
