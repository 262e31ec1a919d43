import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { defaultCapabilities } from '../../../trees/run/capabilities.js';

/** An OCI bundle for crun that is as much of a container as trees makes: the same namespaces, mounts and rights. */
export function writeBundle(directory: string, rootfs: string, args: readonly string[]): string {
  mkdirSync(directory, { recursive: true });
  const capabilities = defaultCapabilities.map((name) => `CAP_${name}`);
  const mount = (destination: string, type: string, options: readonly string[]) => ({
    destination,
    type,
    source: type,
    options,
  });
  const config = {
    ociVersion: '1.0.0',
    process: {
      terminal: false,
      user: { uid: 0, gid: 0 },
      args,
      env: ['PATH=/bin'],
      cwd: '/',
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
      noNewPrivileges: true,
    },
    root: { path: rootfs, readonly: false },
    hostname: 'bench',
    mounts: [
      mount('/proc', 'proc', []),
      mount('/dev', 'tmpfs', ['nosuid', 'strictatime', 'mode=755', 'size=65536k']),
      mount('/dev/pts', 'devpts', ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5']),
      mount('/dev/shm', 'tmpfs', ['nosuid', 'noexec', 'nodev', 'mode=1777', 'size=65536k']),
      mount('/dev/mqueue', 'mqueue', ['nosuid', 'noexec', 'nodev']),
      mount('/sys', 'sysfs', ['nosuid', 'noexec', 'nodev', 'ro']),
    ],
    linux: {
      namespaces: ['pid', 'network', 'ipc', 'uts', 'mount', 'cgroup'].map((type) => ({ type })),
      maskedPaths: ['/proc/acpi', '/proc/kcore', '/proc/keys', '/proc/timer_list', '/sys/firmware'],
      readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
      resources: { memory: { limit: 64 << 20 }, pids: { limit: 100 } },
    },
  };
  writeFileSync(join(directory, 'config.json'), JSON.stringify(config));
  return directory;
}

/** crun refuses machines with both versions of control groups: it sees a mount namespace without the second. */
export const withoutUnified = [
  '/usr/bin/unshare',
  '-m',
  '/bin/sh',
  '-c',
  'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"',
  'sh',
];
