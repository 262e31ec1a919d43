import { join } from 'node:path';
import { isErrno } from '../errors.js';
import { may, readKernelFile } from '../inputs.js';

/**
 * Which control groups this machine has: version 2 (one hierarchy), version 1 (one a controller) or both side by side
 * (hybrid), chosen per controller. See cgroups(7) and the kernel's admin-guide/cgroup-v2.
 */

/** Controllers that limits are made of; `freezer` is one of version 1 only: version 2 can always freeze. */
export type Controller = 'memory' | 'cpu' | 'cpuset' | 'pids' | 'io' | 'freezer';

export interface Hierarchy {
  readonly version: 1 | 2;
  /** Where it is mounted. */
  readonly mount: string;
  /** Directory of the cgroup that this process is in; `undefined` if that is not visible here. */
  readonly own: string | undefined;
  /** By the kernel's names; of version 2 those that its topmost visible cgroup offers. */
  readonly controllers: readonly string[];
}

export interface CgroupLayout {
  readonly kind: 'v1' | 'v2' | 'hybrid' | 'none';
  readonly hierarchies: readonly Hierarchy[];
}

/** What the layout is read from; tests have machines of other kinds. */
export interface CgroupFiles {
  /** `/proc/self/mountinfo` */
  readonly mountinfo: string;
  /** `/proc/self/cgroup` */
  readonly cgroup: string;
  /** The content of `cgroup.controllers` in a directory of version 2. */
  controllersOf(directory: string): string;
}

/** The names of controllers in `/proc/self/cgroup` and in the options of a version 1 mount. */
const V1_NAMES: Readonly<Record<Controller, string>> = {
  memory: 'memory',
  cpu: 'cpu',
  cpuset: 'cpuset',
  pids: 'pids',
  io: 'blkio',
  freezer: 'freezer',
};

/** Reads the layout. Pure but for `controllersOf`. */
export function detectCgroups(files: CgroupFiles): CgroupLayout {
  const own = ownGroups(files.cgroup);
  const hierarchies: Hierarchy[] = [];
  for (const { type, root, mount, options } of cgroupMounts(files.mountinfo)) {
    if (hierarchies.some((known) => known.mount === mount)) continue;
    const version = type === 'cgroup2' ? 2 : 1;
    const key = version === 2 ? '' : options.find((option) => own.has(option) && !option.startsWith('name='));
    if (key === undefined) continue; // a named hierarchy, without controllers
    // The same hierarchy mounted again somewhere else.
    if (hierarchies.some((known) => known.version === version && (version === 2 || known.controllers.includes(key)))) {
      continue;
    }
    hierarchies.push({
      version,
      mount,
      own: directoryOf(mount, root, own.get(key)),
      controllers: version === 2 ? words(files.controllersOf(mount)) : options.filter((option) => own.has(option)),
    });
  }
  const unified = hierarchies.some(({ version }) => version === 2);
  const old = hierarchies.some(({ version }) => version === 1);
  return { kind: unified ? (old ? 'hybrid' : 'v2') : old ? 'v1' : 'none', hierarchies };
}

/** The layout of this machine. Without /proc or cgroups it has no hierarchies. */
export function readCgroups(): CgroupLayout {
  return detectCgroups({
    mountinfo: read('/proc/self/mountinfo'),
    cgroup: read('/proc/self/cgroup'),
    controllersOf: (directory) => read(join(directory, 'cgroup.controllers')),
  });
}

/**
 * The hierarchy that has a controller. A controller is in one at a time: version 2 has what version 1 does not use.
 * Freezing needs no controller in version 2, which is preferred: what is frozen there can still be killed.
 */
export function hierarchyOf(layout: CgroupLayout, controller: Controller): Hierarchy | undefined {
  const unified = layout.hierarchies.find(({ version }) => version === 2);
  if (controller === 'freezer' && unified !== undefined) return unified;
  if (controller !== 'freezer' && unified?.controllers.includes(controller) === true) return unified;
  return layout.hierarchies.find(
    ({ version, controllers }) => version === 1 && controllers.includes(V1_NAMES[controller]),
  );
}

/** Directory below which a container's cgroup is made: `<base>/trees/<name>`. */
export interface CgroupPlace {
  readonly base: string;
  /** `scope`: a scope of its own is to be asked of systemd first, and its directory is the base. */
  readonly scope?: 'system' | 'user' | undefined;
}

export interface PlaceInput {
  readonly uid: number;
  /** systemd manages the machine (`/run/systemd/system` exists). */
  readonly systemd: boolean;
  /** The caller's own systemd can be asked (`/run/user/UID/bus` exists). */
  readonly userSystemd: boolean;
  /** Whether this process may write a file or directory. */
  writable(path: string): boolean;
}

/**
 * Where cgroups may be made in a hierarchy, or why nowhere. Pure but for `writable`.
 *
 * Root uses the topmost cgroup that it sees; where systemd runs, the tree is systemd's and each container asks for a scope
 * (delegation, see systemd's CGROUP_DELEGATION). Anybody else needs version 2 and a cgroup that was delegated to them:
 * the topmost one above this process that they may write, such as `user@1000.service`, or a scope of their own systemd.
 */
export function placeOf(hierarchy: Hierarchy, input: PlaceInput): CgroupPlace | string {
  const { mount, own, version } = hierarchy;
  if (input.uid === 0) {
    if (!input.writable(mount)) return `${mount} is read-only`;
    return version === 2 && input.systemd ? { base: mount, scope: 'system' } : { base: mount };
  }
  if (version === 1) return `in cgroup v1 (${mount}) only root can set limits`;
  const above = own === undefined ? [] : ancestors(mount, own);
  const delegated = above.find((directory) =>
    ['', 'cgroup.procs', 'cgroup.subtree_control'].every((name) => input.writable(join(directory, name))),
  );
  if (delegated !== undefined && delegated !== own) return { base: delegated };
  if (input.userSystemd) return { base: mount, scope: 'user' };
  if (delegated !== undefined) return { base: delegated };
  return `no cgroup above this process is delegated to user ${input.uid} (a login through systemd does that)`;
}

/** @returns what `placeOf` wants to know, for the calling process */
export function placeInput(): PlaceInput {
  const uid = process.geteuid?.() ?? 0;
  return {
    uid,
    systemd: may('visible', '/run/systemd/system'),
    userSystemd: may('visible', `/run/user/${uid}/bus`),
    writable: (path) => may('writable', path),
  };
}

/** From the mount point down to the directory itself. */
function ancestors(mount: string, directory: string): string[] {
  const below = directory.slice(mount.length).split('/').filter(Boolean);
  return [mount, ...below.map((_, index) => join(mount, ...below.slice(0, index + 1)))];
}

interface CgroupMount {
  readonly type: string;
  readonly root: string;
  readonly mount: string;
  readonly options: readonly string[];
}

/** `ID PARENT DEV ROOT MOUNT OPTIONS [TAGS…] - TYPE SOURCE SUPEROPTIONS`, proc_pid_mountinfo(5). */
function cgroupMounts(mountinfo: string): CgroupMount[] {
  return mountinfo.split('\n').flatMap((line) => {
    const [left = '', right = ''] = line.split(' - ');
    const [type = '', , options = ''] = right.split(' ');
    const [, , , root = '', mount = ''] = left.split(' ');
    if (type !== 'cgroup' && type !== 'cgroup2') return [];
    return [{ type, root: unescape(root), mount: unescape(mount), options: options.split(',') }];
  });
}

/** `ID:CONTROLLERS:PATH` a line; the version 2 hierarchy has the empty list of controllers. */
function ownGroups(cgroup: string): Map<string, string> {
  const result = new Map<string, string>();
  for (const line of cgroup.split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) continue;
    for (const name of controllers.split(',')) result.set(name, path);
  }
  return result;
}

/** A mount shows its hierarchy from `root` on; both are paths as this cgroup namespace sees them. */
function directoryOf(mount: string, root: string, path: string | undefined): string | undefined {
  if (path === undefined || path.startsWith('/..')) return undefined;
  if (root === '/') return path === '/' ? mount : join(mount, path);
  if (path === root) return mount;
  return path.startsWith(`${root}/`) ? join(mount, path.slice(root.length)) : undefined;
}

/** Space, tab, newline and backslash are octal there. */
function unescape(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}

function words(text: string): string[] {
  return text.split(/\s+/).filter(Boolean);
}

function read(path: string): string {
  try {
    return readKernelFile(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'EACCES', 'ENODEV')) return '';
    throw error;
  }
}
