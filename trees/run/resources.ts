import { type CgroupHost, type CgroupSpec, planCgroups } from './cgroup-plan.js';
import { readDeclaredLimits } from './declared-limits.js';
import { type LimitName, type Limits, limitNames } from './limits.js';
import type { PlanCgroup, PlanCgroupWrite } from './plan-cgroup.js';
import type { RunSpec } from './spec.js';

/** How much the container may use: what one invocation asks for. Everything absent comes from the app's own `run:`. */
export interface ResourcesRequest {
  /** `null`: no limit, whatever the app declares. */
  readonly limits: LimitsRequest;
}

export type LimitsRequest = { readonly [N in LimitName]?: Exclude<Limits[N], undefined> | null | undefined };

/** How much the container may use, resolved: part of `ContainerSpec`. */
export interface ResourcesSpec {
  readonly limits: Limits;
  readonly cgroups: readonly CgroupSpec[];
  /** What the app declares and this machine cannot do. */
  readonly warnings: readonly string[];
}

/**
 * Pure but for `host`, which looks at the machine and is called only if there is a limit.
 * @throws TreesError `UNSUPPORTED`, `USAGE`
 */
export function resolveResources(
  spec: Pick<RunSpec, 'limits'>,
  request: ResourcesRequest | undefined,
  name: string,
  host: () => CgroupHost,
): ResourcesSpec | undefined {
  const asked = request?.limits ?? {};
  const limits = mergeLimits(readDeclaredLimits(spec.limits ?? {}), asked);
  if (Object.keys(limits).length === 0) return undefined;
  const required = new Set(limitNames.filter((limit) => asked[limit] !== undefined));
  return { limits, ...planCgroups(limits, name, host(), required) };
}

/** The limits of `base` with those of `changes`, where `null` takes one away. */
export function mergeLimits(base: Limits, changes: LimitsRequest): Limits {
  const merged: LimitsRequest = { ...base, ...dropUndefined(changes) };
  // A limit of memory and swap that was meant for another limit of memory makes no sense any more.
  const orphan = changes.memory !== undefined && changes.memorySwap === undefined;
  const kept = Object.entries(merged).filter(
    ([name, value]) => value !== undefined && value !== null && !(orphan && name === 'memorySwap'),
  );
  return Object.fromEntries(kept);
}

function dropUndefined(changes: LimitsRequest): LimitsRequest {
  return Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined));
}

/** The sections of the launch plan. */
export function planResources(resources: Pick<ResourcesSpec, 'cgroups'>): {
  cgroups: readonly PlanCgroup[];
  cgroupWrites: readonly PlanCgroupWrite[];
} {
  const { cgroups } = resources;
  return {
    cgroups: cgroups.map(({ version, scope, base, name, controllers }) => ({
      version,
      scope: scope ?? 'none',
      base,
      name,
      controllers,
    })),
    cgroupWrites: cgroups.flatMap(({ writes }, cgroup) =>
      writes.map(({ file, value, optional }) => ({
        cgroup,
        flags: optional === true ? ['optional'] : [],
        file,
        value,
      })),
    ),
  };
}
