import type { ContainerSpec } from './container.js';
import type { PlanOp } from './plan-format.js';
import type { SecuritySpec } from './security.js';

/** The file systems every container has, in the order in which they are mounted. Values are Docker's. */

const MAJOR_MEM = 1;
const MAJOR_TTY = 5;
const SHM_SIZE = 64n << 20n;
const NO_GROUP = 0xffff_ffff_ffff_ffffn;
const TTY_GROUP = 5n;

/** These mount points must be real directories: a symlink there is an attack on the host (CVE-2019-19921). */
export function kernelOps(security: SecuritySpec | undefined): PlanOp[] {
  const data = (security?.procOptions ?? []).join(',');
  return [{ type: 'proc', target: '/proc', data, flags: ['nosuid', 'nodev', 'noexec', 'realDir'] }];
}

/** Group 5, of terminals, does not exist where the container has one id only. */
export function deviceOps({ userns, security }: ContainerSpec): PlanOp[] {
  const ttyGroup = userns !== 'self';
  const device = (name: string, major: number, minor: number): PlanOp => ({
    type: 'device',
    source: `/dev/${name}`,
    target: `/dev/${name}`,
    number: BigInt(major * 256 + minor),
    // Read-only is the node, not what it leads to: root of a container without own ids must not chmod the host's.
    flags: ['nosuid', 'noexec', 'rdonly', 'realDir'],
  });
  const link = (name: string, data: string): PlanOp => ({ type: 'symlink', target: `/dev/${name}`, data });
  return [
    // Device nodes cannot be made in a user namespace, so the host's are bound; nodev would block them.
    { type: 'tmpfs', target: '/dev', mode: 0o755, number: 64n << 10n, flags: ['nosuid', 'noexec', 'realDir'] },
    {
      type: 'devpts',
      target: '/dev/pts',
      number: ttyGroup ? TTY_GROUP : NO_GROUP,
      flags: ['nosuid', 'noexec', 'realDir'],
    },
    ...queueOps(security),
    device('null', MAJOR_MEM, 3),
    device('zero', MAJOR_MEM, 5),
    device('full', MAJOR_MEM, 7),
    device('random', MAJOR_MEM, 8),
    device('urandom', MAJOR_MEM, 9),
    device('tty', MAJOR_TTY, 0),
    link('ptmx', 'pts/ptmx'),
    link('fd', '/proc/self/fd'),
    link('stdin', '/proc/self/fd/0'),
    link('stdout', '/proc/self/fd/1'),
    link('stderr', '/proc/self/fd/2'),
    link('core', '/proc/kcore'),
  ];
}

/** Shared memory and message queues: those of the IPC namespace. */
function queueOps(security: SecuritySpec | undefined): PlanOp[] {
  const flags = ['nosuid', 'nodev', 'noexec', 'realDir'] as const;
  if ((security?.share ?? []).includes('ipc')) {
    return ['/dev/shm', '/dev/mqueue'].map((path) => ({
      type: 'bind',
      source: path,
      target: path,
      flags: [...flags, 'optional'],
    }));
  }
  const size = security?.shmSize === undefined ? SHM_SIZE : BigInt(security.shmSize);
  return [
    { type: 'tmpfs', target: '/dev/shm', mode: 0o1777, number: size, flags },
    { type: 'mqueue', target: '/dev/mqueue', flags },
  ];
}

/**
 * /sys, read-only. It shows the network namespace it is mounted in, which the kernel allows only to that namespace's
 * owner: a container with an own user namespace in the host's network gets the host's /sys instead, without the
 * file systems mounted in it where the caller may leave them out.
 */
export function sysOps({ net, userns }: ContainerSpec): PlanOp[] {
  const flags = ['nosuid', 'nodev', 'noexec', 'rdonly', 'realDir'] as const;
  if (net === 'none' || userns === 'host') return [{ type: 'sysfs', target: '/sys', flags }];
  const privileged = typeof userns === 'object' && !('helped' in userns);
  if (privileged) return [{ type: 'bind', source: '/sys', target: '/sys', flags }];
  return [
    { type: 'bind', source: '/sys', target: '/sys', flags: [...flags, 'recursive'] },
    { type: 'mask', target: '/sys/fs/cgroup' },
  ];
}

const masked = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/sys/devices/virtual/powercap',
  '/sys/firmware',
];
const readonly = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

/** What a container must not read or change, although it can see it. Last, so that nothing covers it. */
export function protectOps(security: SecuritySpec | undefined): PlanOp[] {
  const shown = security?.unmask ?? [];
  const isProtected = (path: string): boolean => shown !== 'all' && !shown.includes(path);
  return [
    ...[...masked.filter(isProtected), ...(security?.mask ?? [])].map((target): PlanOp => ({ type: 'mask', target })),
    ...readonly
      .filter(isProtected)
      .map((target): PlanOp => ({ type: 'readonly', target, flags: ['nosuid', 'nodev', 'noexec'] })),
  ];
}

/** What an init counts and limits its services with. */
export const cgroupOps: readonly PlanOp[] = [
  { type: 'cgroup', target: '/sys/fs/cgroup', flags: ['nosuid', 'nodev', 'noexec', 'realDir'] },
];

/** Where systemd as process 1 says that it has booted, by https://systemd.io/CONTAINER_INTERFACE/. For root only. */
export const notifyOps: readonly PlanOp[] = [
  { type: 'notify', target: '/run/host/notify', mode: 0o600, flags: ['nosuid', 'nodev', 'noexec'] },
];
