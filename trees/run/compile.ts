import { basename, dirname, isAbsolute, normalize } from 'node:path';
import { capabilityMask, defaultCapabilities } from './capabilities.js';
import { planSecurity } from './compile-security.js';
import { planServices, planSupervisedCommand } from './compile-services.js';
import type { ContainerSpec, IdMaps, MountSpec, UsernsSpec } from './container.js';
import { cgroupOps, deviceOps, kernelOps, notifyOps, protectOps, sysOps } from './default-mounts.js';
import { planLog } from './log.js';
import { encodePlan } from './plan-file.js';
import type { IdMap, Plan, PlanOp } from './plan-format.js';
import { planSupervision } from './plan-supervision.js';
import { planResources } from './resources.js';
import { planRlimit } from './rlimits.js';
import type { DeviceSpec, NamesSpec, SharedNamespace } from './security.js';

const DEFAULT_STOP_TIMEOUT = 10;
const MAX_LAYERS = 64;

/**
 * Compiles a container into the launch plan that trees-launch maps. Pure: the same container gives the same bytes.
 *
 * @throws TypeError or RangeError when the container makes no sense; paths are not looked at.
 */
export function compilePlan(container: ContainerSpec): Uint8Array {
  return encodePlan(planOf(container));
}

/** The plan as data, before serialising. */
export function planOf(container: ContainerSpec): Plan {
  const { userns, upper } = container;
  const [program] = container.argv;
  if (program === undefined || program === '') throw new TypeError('Expected a command, got an empty list');
  const maps = idMaps(userns);
  return {
    flags: [
      ...((container.noNewPrivileges ?? container.security?.noNewPrivileges ?? true)
        ? (['noNewPrivileges'] as const)
        : []),
      ...(container.noInit === true ? (['noInit'] as const) : []),
      ...(container.system?.init === undefined ? [] : (['system'] as const)),
    ],
    namespaces: namespaces(container),
    userns: typeof userns === 'string' ? userns : maps.helped === true ? 'helped' : 'ranges',
    root: upper.kind,
    hostname: shares(container, 'uts') ? '' : text(container.hostname ?? '', 'host name'),
    workdir: container.workdir === undefined ? '' : inside(container.workdir),
    user: text(container.user ?? '', 'user'),
    lockFile: container.lockFile === undefined ? '' : host(container.lockFile),
    ownLock: container.ownLock === undefined ? '' : host(container.ownLock),
    capabilities: capabilityMask(container.capabilities ?? defaultCapabilities),
    upperSize: upper.kind === 'ephemeral' ? bytes(upper.size ?? 0) : 0n,
    stopTimeout: Math.round((container.stopTimeout ?? DEFAULT_STOP_TIMEOUT) * 1000),
    ops: operations(container),
    argv: container.argv.map((word) => text(word, 'argument')),
    env: Object.entries(container.env).map(([name, value]) => variable(name, value)),
    uidMap: maps.uid,
    gidMap: maps.gid,
    rlimits: (container.rlimits ?? []).map(planRlimit),
    ...(container.resources === undefined ? {} : planResources(container.resources)),
    ...planSecurity(container),
    ...compileServices(container),
    hooks: container.system?.hooks,
    log: container.log === undefined ? undefined : planLog(container.log),
    supervision: container.supervision === undefined ? undefined : planSupervision(container.supervision),
  };
}

function compileServices(container: ContainerSpec): Partial<Plan> {
  if (container.services !== undefined) return planServices(container.services);
  return container.health === undefined ? {} : planSupervisedCommand(container.argv, container.health, container);
}

function namespaces(container: ContainerSpec): Plan['namespaces'] {
  const own = (['pid', 'ipc', 'uts', 'cgroup'] as const).filter((name) => !shares(container, name));
  return ['mount', ...own, ...(container.net === 'none' ? (['net'] as const) : [])];
}

function shares({ security }: ContainerSpec, name: SharedNamespace): boolean {
  return (security?.share ?? []).includes(name);
}

function operations(container: ContainerSpec): PlanOp[] {
  // Only who has rights on the host can show files with other ids.
  const idmap = typeof container.userns === 'object' && !('helped' in container.userns);
  return [
    ...treeOps(container, idmap),
    ...kernelOps(container.security),
    ...deviceOps(container),
    ...sysOps(container),
    ...(container.mounts ?? []).map((mount) => mountOp(mount, idmap)),
    ...(container.security?.devices ?? []).map((device) => deviceOp(device, idmap)),
    ...identityOps(container),
    ...((container.protectKernel ?? true) ? protectOps(container.security) : []),
    ...(container.system?.init === 'systemd' ? cgroupOps : []),
    ...(container.system?.notify === true ? notifyOps : []),
  ];
}

function treeOps({ lower, upper }: ContainerSpec, idmap: boolean): PlanOp[] {
  if (lower.length === 0 || lower.length > MAX_LAYERS) {
    throw new RangeError(`Expected 1 to ${MAX_LAYERS} lower directories, got ${lower.length}`);
  }
  const flags = idmap ? (['idmap'] as const) : [];
  const ops: PlanOp[] = lower.map((path) => ({ type: 'lower', source: host(path), flags: ['rdonly', ...flags] }));
  if (upper.kind !== 'persistent') return ops;
  const parent = dirname(host(upper.upper));
  if (dirname(host(upper.work)) !== parent) {
    throw new TypeError(`Expected upper and work to be in one directory, got ${upper.upper} and ${upper.work}`);
  }
  ops.push({ type: 'upper', source: parent, target: basename(upper.upper), data: basename(upper.work), flags });
  return ops;
}

function mountOp(mount: MountSpec, idmap: boolean): PlanOp {
  const target = mountPoint(mount.target);
  const common = [
    ...(mount.kind === 'bind' && mount.suid === true ? [] : (['nosuid'] as const)),
    ...(mount.kind === 'bind' && mount.dev === true ? [] : (['nodev'] as const)),
    ...(mount.readOnly === true ? (['rdonly'] as const) : []),
    ...((mount.exec ?? mount.kind === 'bind') ? [] : (['noexec'] as const)),
  ];
  if (mount.kind === 'tmpfs') {
    return { type: 'tmpfs', target, flags: common, mode: mount.mode ?? 0o1777, number: bytes(mount.size ?? 0) };
  }
  return {
    type: 'bind',
    source: host(mount.source),
    target,
    flags: [
      ...common,
      ...((mount.recursive ?? true) ? (['recursive'] as const) : []),
      ...(idmap && (mount.idmap ?? true) ? (['idmap'] as const) : []),
      ...(mount.propagation === undefined || mount.propagation === 'private' ? [] : ([mount.propagation] as const)),
    ],
  };
}

/** Permissions are those of the node. Where ids are mapped it belongs to the container's root, as outside. */
function deviceOp({ source, target }: DeviceSpec, idmap: boolean): PlanOp {
  return {
    type: 'bind',
    source: host(source),
    target: inside(target),
    flags: ['nosuid', 'noexec', 'rdonly', ...(idmap ? (['idmap'] as const) : [])],
  };
}

/** What programs need to know their own name and to resolve others'. */
function identityOps(container: ContainerSpec): PlanOp[] {
  const flags = ['nosuid', 'nodev', 'noexec'] as const;
  const ops: PlanOp[] = [];
  const name = container.hostname ?? '';
  const names = container.security?.names ?? {};
  if (name !== '') ops.push({ type: 'file', target: '/etc/hostname', data: `${name}\n`, mode: 0o644, flags });
  if (names.noHosts !== true && (name !== '' || names.hosts !== undefined)) {
    const own = container.net === 'none' ? '127.0.0.1' : '127.0.1.1';
    const lines = [
      ['127.0.0.1', 'localhost'],
      ['::1', 'localhost ip6-localhost ip6-loopback'],
      ...(name === '' ? [] : [[own, name]]),
      ...(names.hosts ?? []).map((entry) => [entry.address, entry.name]),
    ];
    const data = lines.map((words) => `${words.join('\t')}\n`).join('');
    ops.push({ type: 'file', target: '/etc/hosts', data: text(data, 'list of hosts'), mode: 0o644, flags });
  }
  const resolver = resolverFile(names);
  if (resolver !== undefined) {
    ops.push({ type: 'file', target: '/etc/resolv.conf', data: resolver, mode: 0o644, flags });
  } else if (container.resolvConf ?? container.net === 'host') {
    const source = '/etc/resolv.conf';
    ops.push({ type: 'bind', source, target: source, flags: [...flags, 'rdonly', 'optional'] });
  }
  return ops;
}

function resolverFile({ servers, search, options }: NamesSpec): string | undefined {
  if (servers === undefined && search === undefined && options === undefined) return undefined;
  const lines = [
    ...(search === undefined || search.length === 0 ? [] : [`search ${search.join(' ')}`]),
    ...(servers ?? []).map((server) => `nameserver ${server}`),
    ...(options === undefined || options.length === 0 ? [] : [`options ${options.join(' ')}`]),
  ];
  return text(lines.map((line) => `${line}\n`).join(''), 'name servers');
}

function idMaps(userns: UsernsSpec): IdMaps {
  if (typeof userns === 'string') return { uid: [], gid: [] };
  if ('uid' in userns) return userns;
  const map = [checkRange(userns)];
  return { uid: map, gid: map };
}

function checkRange(range: { readonly start: number; readonly count: number }): IdMap {
  const { start, count } = range;
  const whole = Number.isInteger(start) && Number.isInteger(count);
  if (!whole || start < 1 || count < 1 || start + count > 0xffff_ffff) {
    throw new RangeError(`Expected a range of user ids, got ${count} from ${start}`);
  }
  return { inside: 0, outside: start, count };
}

function text(value: string, what: string): string {
  if (value.includes('\0')) throw new TypeError(`Expected the ${what} to be without NUL, got ${JSON.stringify(value)}`);
  return value;
}

function variable(name: string, value: string): string {
  if (name === '' || name.includes('=')) throw new TypeError(`Expected a variable name, got "${name}"`);
  return text(`${name}=${value}`, 'variable');
}

function host(path: string): string {
  if (!isAbsolute(path)) throw new TypeError(`Expected an absolute path on the host, got "${path}"`);
  return text(path, 'path');
}

function inside(path: string): string {
  if (!path.startsWith('/')) throw new TypeError(`Expected an absolute path in the container, got "${path}"`);
  const clean = normalize(text(path, 'path'));
  return clean.length > 1 && clean.endsWith('/') ? clean.slice(0, -1) : clean;
}

/** /proc must stay the kernel's: what is mounted over it would be trusted by everything that runs. */
function mountPoint(path: string): string {
  const target = inside(path);
  if (target === '/' || target === '/dev' || target === '/sys' || /^\/proc(\/|$)/.test(target)) {
    throw new TypeError(`Expected a mount point other than /, /dev, /sys or below /proc, got "${path}"`);
  }
  return target;
}

function bytes(size: number): bigint {
  if (!Number.isSafeInteger(size) || size < 0) throw new RangeError(`Expected a size in bytes, got ${size}`);
  return BigInt(size);
}
