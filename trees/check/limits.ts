import { type CgroupHost, canLimit, cgroupHost } from '../run/cgroup-plan.js';
import { hierarchyOf, placeOf } from '../run/cgroups.js';
import { type LimitName, limitControllers, limitNames, limitOptions } from '../run/limits.js';
import { type CheckResult, ok, warn } from './result.js';

/** Which limits containers can have here, and whether they can be paused. */
export function checkLimits(host: CgroupHost = cgroupHost()): CheckResult[] {
  const problems = new Map<string, LimitName[]>();
  const possible: LimitName[] = [];
  for (const name of limitNames) {
    const found = canLimit(name, {}, host);
    if (typeof found !== 'string') possible.push(name);
    else problems.set(found, [...(problems.get(found) ?? []), name]);
  }
  const { kind } = host.layout;
  const title = kind === 'none' ? 'no cgroups' : `cgroup ${kind}`;
  const controllers = [...new Set(possible.map((name) => limitControllers[name]))].join(', ');
  return [
    ...(possible.length === 0 ? [] : [ok('kernel', 'cgroup', `${title}: limits of ${controllers}`)]),
    ...[...problems].map(([why, names]) =>
      warn('kernel', 'cgroup', `${title}: ${why}`, `without it: ${names.map((name) => limitOptions[name]).join(', ')}`),
    ),
    ...checkFreezer(host),
  ];
}

function checkFreezer({ layout, input }: CgroupHost): CheckResult[] {
  const hierarchy = hierarchyOf(layout, 'freezer');
  const place = hierarchy === undefined ? 'no cgroup can freeze' : placeOf(hierarchy, input);
  if (typeof place !== 'string') return [];
  return [warn('kernel', 'freezer', `pausing: ${place}`, 'trees pause does not work then')];
}
