import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { release } from 'node:os';
import { promisify } from 'node:util';
import { reasonOf } from '../errors.js';
import { checkLimits } from './limits.js';
import { builtProgram } from './program.js';
import { type CheckResult, missing, ok, warn } from './result.js';

interface Feature {
  readonly title: string;
  readonly hint: string;
  /** Whether containers cannot do without it, for root and for others. */
  readonly needed: 'always' | 'never' | 'never as root';
  /** Root's alone: not looked at for others. */
  readonly rootOnly?: boolean;
}

const features: Readonly<Record<string, Feature>> = {
  userns: {
    title: 'user namespaces',
    hint: 'sysctl user.max_user_namespaces=15000, and kernel.unprivileged_userns_clone=1 where that exists',
    needed: 'always',
  },
  namespaces: {
    title: 'mount, pid, network, ipc, uts and cgroup namespaces',
    hint: 'a kernel with all namespaces is needed; inside a container, that has to be allowed to make more of them',
    needed: 'always',
  },
  overlay: {
    title: "overlayfs on the store's file system",
    hint:
      'modprobe overlay; the store must lie on a local file system, and not itself on an overlay (inside a container: on a ' +
      'volume); or, as another user than root, install fuse-overlayfs, with a /dev/fuse that can be opened',
    needed: 'always',
  },
  idmap: {
    title: "idmapped mounts on the store's file system",
    hint: 'Linux 5.19 and ext4, xfs or btrfs give each container user ids of its own',
    needed: 'never',
    rootOnly: true,
  },
  pidfd: { title: 'pidfd', hint: 'Linux 5.3 or newer is needed', needed: 'always' },
  openat2: { title: 'openat2', hint: 'Linux 5.6 or newer is needed', needed: 'always' },
  close_range: { title: 'close_range', hint: 'Linux 5.9 or newer is faster', needed: 'never' },
  seccomp: { title: 'seccomp filters', hint: 'a kernel with CONFIG_SECCOMP_FILTER is needed', needed: 'always' },
  pty: { title: 'pseudo terminals', hint: 'mount devpts at /dev/pts', needed: 'never' },
};

/** Where the launcher looks for what replaces the kernel's overlay (`launcher/fuse-tree.c`). */
const FUSE_OVERLAYFS = ['/usr/bin/fuse-overlayfs', '/usr/local/bin/fuse-overlayfs'];

function hasFuseOverlayfs(): boolean {
  const can = (path: string, mode: number): boolean => {
    try {
      accessSync(path, mode);
      return true;
    } catch {
      return false;
    }
  };
  return FUSE_OVERLAYFS.some((path) => can(path, constants.X_OK)) && can('/dev/fuse', constants.R_OK | constants.W_OK);
}

/**
 * Tries the kernel's features with `trees-probe`.
 * @param directory empty, on the store's file system
 */
export async function checkKernel(directory: string, asRoot: boolean): Promise<CheckResult[]> {
  let output: string;
  try {
    ({ stdout: output } = await promisify(execFile)(builtProgram('trees-probe'), [directory], { timeout: 60_000 }));
  } catch (error) {
    return [missing('kernel', 'probe', reasonOf(error), 'build it: node scripts/build-native.mjs trees-probe')];
  }
  return [
    ok('kernel', 'kernel', `Linux ${release()}`),
    ...interpret(output, asRoot, { fuseOverlayfs: !asRoot && hasFuseOverlayfs() }),
    ...checkLimits(),
  ];
}

export interface Replacements {
  /** It is there and can be used, which only unprivileged users do. */
  readonly fuseOverlayfs: boolean;
}

/** Reads `NAME ERRNO MESSAGE` lines. Exported for tests. */
export function interpret(
  output: string,
  asRoot: boolean,
  { fuseOverlayfs }: Replacements = { fuseOverlayfs: false },
): CheckResult[] {
  const found = new Map<string, string>();
  for (const line of output.split('\n')) {
    const match = /^(\S+) (\d+) (.*)$/.exec(line);
    if (match !== null) found.set(match[1] ?? '', match[2] === '0' ? '' : (match[3] ?? ''));
  }
  return Object.entries(features).flatMap(([id, feature]) => {
    if (feature.rootOnly === true && !asRoot) return [];
    const problem = found.get(id) ?? 'it could not be tried';
    if (problem === '') return [ok('kernel', id, feature.title)];
    if (id === 'overlay' && fuseOverlayfs) {
      const why = `${feature.title}: ${problem}; fuse-overlayfs is used, which is slower`;
      return [warn('kernel', id, why, 'put the store on a local file system (ext4, xfs, btrfs)')];
    }
    const report = feature.needed === 'always' ? missing : warn;
    return [report('kernel', id, `${feature.title}: ${problem}`, feature.hint)];
  });
}
