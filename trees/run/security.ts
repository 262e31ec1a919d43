import type { IdMap } from './plan-format.js';
import type { SeccompProfile } from './seccomp/profile.js';
import type { RunSpec } from './spec.js';

/**
 * What the container may do: what one invocation asks for. Everything absent is as strict as it gets. Plain data, since
 * it is kept with the instance.
 */
export interface SecurityRequest extends SecuritySpec {
  /** As podman's: every capability, every device, and nothing of what follows restricted. */
  readonly privileged?: boolean | undefined;
  /** Other ids than an own range. */
  readonly ids?: IdsRequest | undefined;
}

/**
 * `keep-id`: the caller has the same id inside, or `uid` and `gid`; the others are subordinate ones. `map`: as written.
 */
export type IdsRequest =
  | { readonly kind: 'keep-id'; readonly uid?: number | undefined; readonly gid?: number | undefined }
  | { readonly kind: 'map'; readonly uid: readonly IdMap[]; readonly gid: readonly IdMap[] };

/** What the container may do, resolved: part of `ContainerSpec`. */
export interface SecuritySpec {
  /** System calls; default the built-in profile. */
  readonly seccomp?: 'unconfined' | SeccompProfile | undefined;
  /** Default true. */
  readonly noNewPrivileges?: boolean | undefined;
  /** Paths hidden besides the usual ones. */
  readonly mask?: readonly string[] | undefined;
  /** Of the usual hidden and read-only paths, those that are not. */
  readonly unmask?: 'all' | readonly string[] | undefined;
  /** Mount options of /proc, such as `hidepid=invisible`. */
  readonly procOptions?: readonly string[] | undefined;
  /** -1000 to 1000. */
  readonly oomScoreAdj?: number | undefined;
  /** A session keyring of its own; default true. */
  readonly keyring?: boolean | undefined;
  readonly landlock?: LandlockSpec | undefined;
  /** By name with dots. */
  readonly sysctls?: Readonly<Record<string, string>> | undefined;
  /** Namespaces that are the host's. */
  readonly share?: readonly SharedNamespace[] | undefined;
  /** Seconds by which the container's clocks differ from the host's. */
  readonly clocks?: { readonly monotonic: number; readonly boottime: number } | undefined;
  /** Bytes of /dev/shm; default 64 MiB. */
  readonly shmSize?: number | undefined;
  readonly devices?: readonly DeviceSpec[] | undefined;
  /** Supplementary groups by name or number. */
  readonly groups?: readonly string[] | undefined;
  readonly umask?: number | undefined;
  readonly names?: NamesSpec | undefined;
  /** User namespaces may be created inside, with what the kernel allows in them. Default false. */
  readonly nestedUserns?: boolean | undefined;
}

export type SharedNamespace = 'ipc' | 'uts' | 'cgroup' | 'pid';

/** Files that may be read (and executed), and written, below these paths; an empty `read` leaves reading alone. */
export interface LandlockSpec {
  readonly read: readonly string[];
  readonly write: readonly string[];
  /** Go on without where the kernel has none. */
  readonly optional?: boolean | undefined;
}

export interface DeviceSpec {
  readonly source: string;
  readonly target: string;
}

/** How names are resolved inside. */
export interface NamesSpec {
  /** Lines of /etc/hosts: address and names. */
  readonly hosts?: readonly { readonly address: string; readonly name: string }[] | undefined;
  /** Leave the tree's own /etc/hosts. */
  readonly noHosts?: boolean | undefined;
  /** Instead of the host's /etc/resolv.conf. */
  readonly servers?: readonly string[] | undefined;
  readonly search?: readonly string[] | undefined;
  readonly options?: readonly string[] | undefined;
}

/** Pure. */
export function resolveSecurity(_spec: RunSpec, request: SecurityRequest | undefined): SecuritySpec | undefined {
  if (request === undefined) return undefined;
  const { privileged, ids: _, ...asked } = request;
  if (privileged !== true) return asked;
  return { seccomp: 'unconfined', noNewPrivileges: false, unmask: 'all', nestedUserns: true, ...asked };
}
