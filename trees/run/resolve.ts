import { TreesError } from '../errors.js';
import { adjustCapabilities, type Capability, defaultCapabilities } from './capabilities.js';
import type { CgroupHost } from './cgroup-plan.js';
import type { ContainerSpec, MountSpec, RlimitSpec, UsernsSpec } from './container.js';
import type { FoundInit } from './find-init.js';
import { type LogRequest, resolveLog } from './log.js';
import type { RequestedMount, VolumeRequest } from './mount-options.js';
import type { IdMap } from './plan-format.js';
import { type ResourcesRequest, resolveResources } from './resources.js';
import { resolveSecurity, type SecurityRequest } from './security.js';
import { leadingCommand, longestStop, resolveServices, type ServicesRequest } from './services.js';
import type { RunSpec } from './spec.js';
import { resolveSupervision, type SupervisionRequest, withHealth } from './supervision.js';
import { chooseInit, type SystemRequest, withSystem } from './system.js';

/** What one invocation asks for; everything absent comes from the app's own `run:`. */
export interface RunRequest {
  readonly command: readonly string[];
  /** Wins over the app's. */
  readonly env: Readonly<Record<string, string>>;
  /** The app's wins over it. */
  readonly hostEnv?: Readonly<Record<string, string>> | undefined;
  readonly user?: string | undefined;
  readonly workdir?: string | undefined;
  readonly hostname?: string | undefined;
  readonly net?: 'host' | 'none' | undefined;
  readonly readOnly: boolean;
  readonly ephemeral: boolean;
  readonly mounts: readonly RequestedMount[];
  readonly capAdd: readonly (Capability | 'ALL')[];
  readonly capDrop: readonly (Capability | 'ALL')[];
  readonly rlimits: readonly RlimitSpec[];
  readonly stopTimeout?: number | undefined;
  readonly noInit: boolean;
  readonly security?: SecurityRequest | undefined;
  readonly resources?: ResourcesRequest | undefined;
  readonly supervision?: SupervisionRequest | undefined;
  readonly services?: ServicesRequest | undefined;
  readonly system?: SystemRequest | undefined;
  readonly log?: LogRequest | undefined;
}

/** What is asked of an app where nothing else is. */
export const plainRequest: RunRequest = {
  command: [],
  env: {},
  readOnly: false,
  ephemeral: false,
  mounts: [],
  capAdd: [],
  capDrop: [],
  rlimits: [],
  noInit: false,
};

/** What the host contributes. */
export interface RunPlace {
  /** Name of the app, for messages. */
  readonly app: string;
  readonly generation: number;
  /** Whose data it uses: the instance's own, but for one that keeps nothing beside another one. */
  readonly instance: string;
  /** Of the instance. */
  readonly name: string;
  /** Run-time state of the instance. */
  readonly runDir: string;
  readonly rootfs: string;
  /** Keeps the generation from being removed. */
  readonly lockFile: string;
  readonly upper: string;
  readonly work: string;
  /** One container at a time may write the upper directory. */
  readonly ownLock: string;
  readonly userns: UsernsSpec;
  /** Where the instance's output is kept. */
  readonly logDirectory?: string | undefined;
  volume(name: string): string;
  /** Which init the tree brings along; looked for only if it is to run. */
  findInit(mode: 'sbin-init' | 'systemd'): FoundInit | undefined;
  /** Which limits the machine can keep; looked at only if there are any. */
  cgroupHost(): CgroupHost;
}

export const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** podman gives a read-only container these. */
const WRITABLE_WHEN_READ_ONLY = ['/run', '/tmp', '/var/tmp'];

/**
 * The container for one invocation. Pure.
 * @throws TreesError `UNSUPPORTED` for services, `COMMAND_NOT_FOUND` when there is nothing to run
 */
export function resolveContainer(declared: RunSpec, request: RunRequest, place: RunPlace): ContainerSpec {
  const init = chooseInit(declared, request, place);
  const healthy = withHealth(declared, request.supervision?.health);
  const services = init === undefined ? resolveServices(healthy, request) : undefined;
  const spec = services === undefined ? healthy : { ...healthy, stopTimeout: longestStop(services) };
  const readOnly = request.readOnly || spec.readOnly === true;
  const container: ContainerSpec = {
    lower: [place.rootfs],
    upper: readOnly
      ? { kind: 'readonly' }
      : request.ephemeral
        ? { kind: 'ephemeral' }
        : { kind: 'persistent', upper: place.upper, work: place.work },
    ownLock: readOnly || request.ephemeral ? undefined : place.ownLock,
    lockFile: place.lockFile,
    userns: place.userns,
    // Without a private network yet, an app that serves something needs the host's; anything else is safer with none.
    net: request.net ?? ((spec.ports ?? []).length > 0 ? 'host' : 'none'),
    hostname: request.hostname ?? spec.hostname ?? place.instance,
    argv: init?.argv ?? (services === undefined ? chooseCommand(spec, request, place.app) : leadingCommand(services)),
    env: { ...request.hostEnv, PATH: DEFAULT_PATH, container: 'trees', ...spec.env, ...request.env },
    workdir: request.workdir ?? spec.workdir,
    user: request.user ?? keptUser(place.userns, request) ?? spec.user,
    mounts: resolveMounts(spec, request, place, readOnly),
    capabilities: adjustCapabilities(adjustCapabilities(defaultCapabilities, spec.capabilities ?? {}), {
      add: request.capAdd,
      drop: request.capDrop,
    }),
    rlimits: request.rlimits,
    stopTimeout: request.stopTimeout ?? spec.stopTimeout,
    noInit: request.noInit,
    security: resolveSecurity(spec, request.security),
    resources: resolveResources(spec, request.resources, place.name, () => place.cgroupHost()),
    supervision: resolveSupervision(spec, request, place),
    services,
    health: services === undefined ? spec.health : undefined,
    log:
      place.logDirectory === undefined
        ? undefined
        : resolveLog(spec, request.log, { directory: place.logDirectory, instance: place.name }),
  };
  checkProcesses(container, place);
  return withSystem(container, init?.kind, request.system, place);
}

/** The host's own /proc has the host's options. */
function checkProcesses({ security, userns }: ContainerSpec, { app }: RunPlace): void {
  const unprivileged = userns === 'self' || (typeof userns === 'object' && 'helped' in userns);
  if (!unprivileged || security?.procOptions === undefined || !(security.share ?? []).includes('pid')) return;
  throw new TreesError(
    'UNSUPPORTED',
    `cannot run ${app} with --pid host and --security-opt proc-opts: only root can mount a /proc of the host’s processes`,
    { hint: 'leave proc-opts out: the container gets /proc as the host has it', status: 125 },
  );
}

/** With `keep-id` the command is the caller, as in podman. */
function keptUser(userns: UsernsSpec, { security }: RunRequest): string | undefined {
  if (security?.ids?.kind !== 'keep-id' || typeof userns === 'string' || !('uid' in userns)) return undefined;
  const own = (maps: readonly IdMap[]): number | undefined => maps.find(({ count }) => count === 1)?.inside;
  return `${own(userns.uid)}:${own(userns.gid)}`;
}

function chooseCommand(spec: RunSpec, request: RunRequest, app: string): readonly string[] {
  if (request.command.length > 0) return request.command;
  if (spec.exec !== undefined) return spec.exec;
  throw new TreesError('COMMAND_NOT_FOUND', `cannot run ${app}: it declares no command and none was given`, {
    hint: `name one: trees run ${app} -- COMMAND`,
    status: 125,
  });
}

/** The app's volumes first, so that the invocation's mounts can cover them; a same target replaces. */
function resolveMounts(spec: RunSpec, request: RunRequest, place: RunPlace, readOnly: boolean): MountSpec[] {
  const requested = request.mounts.map((mount) => (mount.kind === 'volume' ? volumeMount(mount, place) : mount));
  const own: MountSpec[] = [
    ...(readOnly ? WRITABLE_WHEN_READ_ONLY : []).map((target): MountSpec => ({ kind: 'tmpfs', target })),
    ...(spec.tmpfs ?? []).map((target): MountSpec => ({ kind: 'tmpfs', target })),
    ...declaredVolumes(spec).map((volume) => volumeMount(volume, place)),
  ];
  const replaced = new Set(requested.map((mount) => mount.target));
  return [...own.filter((mount) => !replaced.has(mount.target)), ...requested];
}

function volumeMount(volume: VolumeRequest, place: RunPlace): MountSpec {
  const { name, copy: _, ...options } = volume;
  return { ...options, kind: 'bind', source: place.volume(name) };
}

/** The volumes an app declares, with the names that default to their paths: `/var/lib/etcd` is `var-lib-etcd`. */
export function declaredVolumes(spec: RunSpec): (VolumeRequest & { mode: number; user: string | undefined })[] {
  return (spec.volumes ?? []).map(({ path, name, mode, user }) => ({
    kind: 'volume',
    name: name ?? volumeName(path),
    target: path,
    readOnly: false,
    mode: mode === undefined ? 0o755 : Number.parseInt(mode, 8),
    user: user ?? spec.user,
  }));
}

function volumeName(path: string): string {
  const name = path
    .toLowerCase()
    .replaceAll(/[^a-z0-9._-]+/g, '-')
    .replaceAll(/^[^a-z0-9]+|-+$/g, '');
  return name === '' ? 'root' : name.slice(0, 64);
}
