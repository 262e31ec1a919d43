import { createHash } from 'node:crypto';
import { TreesError } from '../errors.js';
import { adjustCapabilities, type Capability, defaultCapabilities } from './capabilities.js';
import { type CgroupHost, type CgroupSpec, unifiedCgroup } from './cgroup-plan.js';
import type { ContainerSpec, MountSpec } from './container.js';
import { type FoundInit, type InitKind, kindOf } from './find-init.js';
import type { PlanHook } from './plan-hooks.js';
import type { RunSpec } from './spec.js';

/** What runs as process 1: this project's init around the command, the tree's own init, or its systemd. */
export type RichMode = 'dumb-init' | 'sbin-init' | 'systemd';

/** A container that is more than its command: prepared by scripts, or a whole system. What one invocation asks for. */
export interface SystemRequest {
  /** Absent: the app's own `mode`. */
  readonly mode?: RichMode | undefined;
  /** Program in the tree that runs before the command at every start. */
  readonly initScript?: string | undefined;
  /** Line for the tree's shell that does. */
  readonly initCommand?: string | undefined;
  /** Commands on the host, as words; the first is an absolute path. */
  readonly prestart?: readonly (readonly string[])[] | undefined;
  readonly poststop?: readonly (readonly string[])[] | undefined;
}

/** Resolved: part of `ContainerSpec`. */
export interface SystemSpec {
  /** Process 1 is an init of the tree's own. */
  readonly init?: InitKind | undefined;
  /** It says when it is ready (sd_notify), and counts as ready only then. Default false. */
  readonly notify?: boolean | undefined;
  readonly hooks: readonly PlanHook[];
}

export interface SystemPlace {
  readonly app: string;
  readonly name: string;
  findInit(mode: 'sbin-init' | 'systemd'): FoundInit | undefined;
  cgroupHost(): CgroupHost;
}

/** glibc's SIGRTMIN+3, which systemd powers off at. */
const SIGRTMIN_3 = 37;
/** A system has to end all its services in time. */
const STOP_TIMEOUT = 90;

/**
 * Needed by an init that mounts file systems for its services and powers off. They count in the container's own user
 * namespace only, and are not given without one.
 */
const SYSTEM_CAPABILITIES: readonly Capability[] = ['SYS_ADMIN', 'SYS_BOOT', 'SYS_TTY_CONFIG', 'AUDIT_CONTROL'];

/** In place of a stop signal, for inits that have none that means powering off. */
const STOP_COMMAND: Partial<Record<InitKind, readonly string[]>> = {
  sysvinit: ['/sbin/init', '0'],
  busybox: ['/bin/busybox', 'poweroff'],
  runit: ['/sbin/init', '0'],
};

/** Which mode an app and an invocation make; `undefined`: an ordinary container. */
function richMode(
  spec: RunSpec,
  request: { readonly command: readonly string[]; readonly system?: SystemRequest | undefined },
): RichMode | undefined {
  return request.system?.mode ?? (spec.mode === 'init' && request.command.length === 0 ? 'sbin-init' : undefined);
}

/** The init that is to run, if the mode wants one of the tree's: a command that was given is it. */
export function chooseInit(
  spec: RunSpec,
  request: { readonly command: readonly string[]; readonly system?: SystemRequest | undefined },
  place: Pick<SystemPlace, 'app' | 'findInit'>,
): { readonly argv: readonly string[]; readonly kind: InitKind } | undefined {
  const mode = richMode(spec, request);
  if (mode === undefined || mode === 'dumb-init') return undefined;
  const own = spec.mode === 'init' ? (spec.exec ?? []) : [];
  const command = request.command.length > 0 ? request.command : own;
  const [program] = command;
  if (program !== undefined) return { argv: command, kind: kindOf(program) };
  const found = place.findInit(mode);
  if (found !== undefined) return { argv: [found.program], kind: found.kind };
  throw new TreesError(
    'COMMAND_NOT_FOUND',
    `cannot run ${place.app} as a system: its tree has no ${
      mode === 'systemd' ? 'systemd (/lib/systemd/systemd)' : 'init (/sbin/init)'
    }`,
    { hint: `name one: trees run ${place.app} --rich --rich-mode ${mode} -- PROGRAM`, status: 127 },
  );
}

/** Scripts and hooks, and for a system what its init expects of a machine. Pure but for `place`. */
export function withSystem(
  container: ContainerSpec,
  init: InitKind | undefined,
  request: SystemRequest | undefined,
  place: SystemPlace,
): ContainerSpec {
  const hooks = hooksOf(request, init);
  if (init !== undefined && (container.security?.share ?? []).includes('pid')) {
    throw new TreesError(
      'UNSUPPORTED',
      `cannot run ${place.app} as a system in the host’s pid namespace: its init has to be process 1`,
      { hint: 'leave --pid host out', status: 125 },
    );
  }
  if (init === undefined) return hooks.length === 0 ? container : { ...container, system: { hooks } };
  const own = container.userns !== 'host';
  return {
    ...container,
    system: { init, notify: init === 'systemd', hooks },
    noInit: true,
    noNewPrivileges: container.security?.noNewPrivileges ?? false,
    user: undefined,
    workdir: '/',
    env: { TERM: 'vt220', container_uuid: uuidOf(place.name), ...container.env },
    capabilities: adjustCapabilities(container.capabilities ?? defaultCapabilities, {
      add: own ? SYSTEM_CAPABILITIES : ['SYS_BOOT'],
    }),
    mounts: [...systemMounts(container.mounts ?? []), ...(container.mounts ?? [])],
    stopTimeout: container.stopTimeout ?? STOP_TIMEOUT,
    services: undefined,
    health: undefined,
    resources: withCgroup(container, init, place),
    supervision: container.supervision && {
      ...container.supervision,
      tty: true,
      stopSignal: container.supervision.stopSignal ?? (init === 'systemd' ? SIGRTMIN_3 : undefined),
      stopTimeout: container.supervision.stopTimeout ?? STOP_TIMEOUT,
    },
  };
}

function hooksOf(request: SystemRequest | undefined, init: InitKind | undefined): PlanHook[] {
  const hook = (phase: PlanHook['phase'], command: readonly string[]): PlanHook => ({ phase, timeout: 0, command });
  const { initScript, initCommand, prestart = [], poststop = [] } = request ?? {};
  const stop = init === undefined ? undefined : STOP_COMMAND[init];
  return [
    ...prestart.map((command) => hook('prestart', command)),
    ...(initScript === undefined ? [] : [hook('init', [initScript])]),
    ...(initCommand === undefined ? [] : [hook('init', ['/bin/sh', '-c', initCommand])]),
    ...(stop === undefined ? [] : [hook('stop', stop)]),
    ...poststop.map((command) => hook('poststop', command)),
  ];
}

/** Empty at every start, as on a machine. */
function systemMounts(given: readonly MountSpec[]): MountSpec[] {
  const mounts: MountSpec[] = [
    { kind: 'tmpfs', target: '/run', mode: 0o755 },
    { kind: 'tmpfs', target: '/run/lock', mode: 0o1777 },
    { kind: 'tmpfs', target: '/tmp', exec: true },
  ];
  return mounts.filter(({ target }) => !given.some((mount) => mount.target === target));
}

/** systemd counts its services in cgroups; other inits do without. */
function withCgroup({ resources }: ContainerSpec, init: InitKind, place: SystemPlace): ContainerSpec['resources'] {
  const known = resources?.cgroups ?? [];
  if (init !== 'systemd' || known.some(({ version }) => version === 2)) return resources;
  const cgroup: CgroupSpec = unifiedCgroup(place.name, place.cgroupHost());
  return { limits: resources?.limits ?? {}, warnings: resources?.warnings ?? [], cgroups: [...known, cgroup] };
}

/** What systemd makes its machine id of: stable for an instance, and no other instance's. */
function uuidOf(name: string): string {
  const digits = createHash('sha256').update(`trees instance ${name}`).digest('hex');
  return [8, 12, 16, 20, 32].map((end, i, ends) => digits.slice(i === 0 ? 0 : ends[i - 1], end)).join('-');
}
