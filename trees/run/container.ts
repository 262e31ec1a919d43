import type { Capability } from './capabilities.js';
import type { LogSpec } from './log.js';
import type { IdMap } from './plan-format.js';
import type { ResourcesSpec } from './resources.js';
import type { SecuritySpec } from './security.js';
import type { HealthSpec } from './service-spec.js';
import type { ServicesSpec } from './services.js';
import type { SupervisionSpec } from './supervision.js';
import type { SystemSpec } from './system.js';

/**
 * One container, completely resolved: what the launch-plan compiler takes. Host paths are absolute and are opened by
 * the launcher at start; container paths are absolute and are resolved inside the tree, whatever symlinks it has.
 */
export interface ContainerSpec {
  /** Directories that make the read-only tree, topmost first. At least one. */
  readonly lower: readonly string[];
  readonly upper: UpperSpec;
  readonly userns: UsernsSpec;
  /** `host` shares the host's network; `none` has a loopback interface only. */
  readonly net: 'host' | 'none';
  /** `undefined` keeps the host's name (in an own UTS namespace all the same). */
  readonly hostname?: string | undefined;
  /** The command. The program is searched in `PATH` of `env` inside the tree if it has no slash. At least one word. */
  readonly argv: readonly string[];
  /** The whole environment; `HOME` is added from the tree's passwd if absent. */
  readonly env: Readonly<Record<string, string>>;
  /** Default `/`. Must exist. */
  readonly workdir?: string | undefined;
  /** `USER[:GROUP]` by name or number; default root. */
  readonly user?: string | undefined;
  /** Applied in order, after /proc, /dev and /sys. */
  readonly mounts?: readonly MountSpec[] | undefined;
  /** Complete set (bounding set too); default `defaultCapabilities`. */
  readonly capabilities?: readonly Capability[] | undefined;
  readonly rlimits?: readonly RlimitSpec[] | undefined;
  /** Default true. */
  readonly noNewPrivileges?: boolean | undefined;
  /** Bind the host's /etc/resolv.conf read-only; default: when `net` is `host`. */
  readonly resolvConf?: boolean | undefined;
  /** Mask and write-protect the dangerous parts of /proc and /sys; default true. */
  readonly protectKernel?: boolean | undefined;
  /** Seconds that remaining processes get between TERM and KILL after the main process has ended; default 10. */
  readonly stopTimeout?: number | undefined;
  /** File that the launcher keeps locked (flock, shared) while the container runs. It must exist. */
  readonly lockFile?: string | undefined;
  /** File that only one launcher at a time can hold (flock, exclusive); it is created. The second one fails (125). */
  readonly ownLock?: string | undefined;
  /** Run the command in place of the init, as PID 1 itself: no reaping, default signal dispositions ignored by the kernel. Default false. */
  readonly noInit?: boolean | undefined;
  readonly security?: SecuritySpec | undefined;
  readonly resources?: ResourcesSpec | undefined;
  readonly supervision?: SupervisionSpec | undefined;
  readonly services?: ServicesSpec | undefined;
  /** Checks of the command; services have their own. */
  readonly health?: HealthSpec | undefined;
  readonly log?: LogSpec | undefined;
  readonly system?: SystemSpec | undefined;
}

/**
 * Where writes go. `persistent`: `upper` and `work` are sibling directories that exist (overlayfs wants them on one
 * mount). With `userns: 'host'` deletions are recorded as overlayfs does for root (0:0 character devices and
 * `trusted.overlay.*` attributes), otherwise with `user.overlay.*` attributes.
 */
export type UpperSpec =
  | { readonly kind: 'persistent'; readonly upper: string; readonly work: string }
  | { readonly kind: 'ephemeral'; readonly size?: number | undefined }
  | { readonly kind: 'readonly' };

/**
 * `host`: no user namespace (real root; for building images). Otherwise ids 0…count-1 inside are `start`… outside; files
 * keep their ids on disk through idmapped mounts. An unprivileged caller gets `self`: only id 0, which is the caller.
 */
export type UsernsSpec = 'host' | 'self' | { readonly start: number; readonly count: number } | IdMaps;

/** `helped`: for an unprivileged caller, through newuidmap and newgidmap; files then have the ids they have on disk. */
export interface IdMaps {
  readonly uid: readonly IdMap[];
  readonly gid: readonly IdMap[];
  readonly helped?: boolean | undefined;
}

/**
 * Whether later mounts below the source are seen: `private` on neither side, `slave` inside, `shared` on both. For
 * `slave` and `shared` the source must lie on a shared mount of the host.
 */
export type Propagation = 'private' | 'slave' | 'shared';

export type MountSpec =
  | {
      readonly kind: 'bind';
      /** Host path; symlinks are followed. */
      readonly source: string;
      readonly target: string;
      readonly readOnly?: boolean | undefined;
      /** With the mounts below it; default true. */
      readonly recursive?: boolean | undefined;
      /** Show the files with the ids they have on disk; default true. */
      readonly idmap?: boolean | undefined;
      /** Allow executing files on it; default true. */
      readonly exec?: boolean | undefined;
      /** Honour setuid bits and file capabilities on it; default false. */
      readonly suid?: boolean | undefined;
      /** Let device nodes on it be used; default false. */
      readonly dev?: boolean | undefined;
      /** Default private. */
      readonly propagation?: Propagation | undefined;
    }
  | {
      readonly kind: 'tmpfs';
      readonly target: string;
      /** Bytes; default half of the memory. */
      readonly size?: number | undefined;
      /** Default 0o1777. */
      readonly mode?: number | undefined;
      readonly readOnly?: boolean | undefined;
      /** Default false. */
      readonly exec?: boolean | undefined;
    };

export interface RlimitSpec {
  /** As in `ulimit` and podman: `nofile`, `nproc`, `core`… */
  readonly name: string;
  /** `Infinity` is unlimited. */
  readonly soft: number;
  readonly hard: number;
  /** Failing to raise it fails the start; otherwise it is a warning. Default true. */
  readonly required?: boolean | undefined;
}
