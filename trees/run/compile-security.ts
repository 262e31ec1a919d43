import { type Capability, defaultCapabilities } from './capabilities.js';
import type { ContainerSpec } from './container.js';
import type { Plan } from './plan-format.js';
import type { PlanLandlockRule, PlanSysctl } from './plan-security.js';
import { filterFor } from './seccomp/built-in.js';
import type { LandlockSpec, SecuritySpec } from './security.js';

/** The sections of the launch plan that restrict what the command can do. @throws RangeError */
export function planSecurity(container: ContainerSpec): Partial<Plan> {
  const security = container.security ?? {};
  const { seccomp } = security;
  const flags = typeof seccomp === 'object' ? (seccomp.flags ?? []) : [];
  const landlock = security.landlock === undefined ? undefined : landlockRules(security.landlock);
  return {
    seccomp: seccomp === 'unconfined' ? undefined : filterFor(seccomp, filterCapabilities(container)),
    landlock: landlock?.rules,
    sysctl: sysctls(container),
    security: {
      flags: [
        ...(security.oomScoreAdj === undefined ? [] : (['oomScore'] as const)),
        ...(security.keyring === false ? [] : (['keyring'] as const)),
        ...(security.clocks === undefined ? [] : (['time'] as const)),
        ...(security.umask === undefined ? [] : (['umask'] as const)),
        ...(flags.includes('SECCOMP_FILTER_FLAG_SPEC_ALLOW') ? (['speculation'] as const) : []),
        ...(flags.includes('SECCOMP_FILTER_FLAG_LOG') ? (['seccompLog'] as const) : []),
        ...(security.landlock?.optional === true ? (['landlockTry'] as const) : []),
      ],
      oomScoreAdj: security.oomScoreAdj ?? 0,
      monotonicOffset: BigInt(security.clocks?.monotonic ?? 0),
      boottimeOffset: BigInt(security.clocks?.boottime ?? 0),
      landlockHandled: landlock?.handled ?? 0n,
      umask: security.umask ?? 0,
      groups: security.groups ?? [],
    },
  };
}

/** Who may create user namespaces gets the system calls that are of use in them; the kernel still looks at capabilities. */
function filterCapabilities({ capabilities = defaultCapabilities, security }: ContainerSpec): readonly Capability[] {
  if (security?.nestedUserns !== true || capabilities.includes('SYS_ADMIN')) return capabilities;
  return [...capabilities, 'SYS_ADMIN'];
}

/** `LANDLOCK_ACCESS_FS_*` of linux/landlock.h: execute, read files and list directories. */
const READ = 1n | 4n | 8n;
/** Write, truncate, remove, move, and make files of every kind. */
const WRITE = 2n | 0x7ff0n;

function landlockRules({ read, write }: LandlockSpec): { handled: bigint; rules: PlanLandlockRule[] } {
  const handled = (read.length > 0 ? READ : 0n) | WRITE;
  // The kernel's own files are protected otherwise, and no program does without /dev/null.
  const kernel = ['/dev', '/proc'].map((path) => ({ path, access: handled }));
  return {
    handled,
    rules: [
      ...kernel,
      ...read.map((path) => ({ path, access: READ & handled })),
      ...write.map((path) => ({ path, access: handled })),
    ],
  };
}

function sysctls({ userns, security }: ContainerSpec): PlanSysctl[] {
  const asked = Object.entries(security?.sysctls ?? {});
  const list = asked.map(([name, value]) => ({ name: name.replaceAll('.', '/'), value }));
  // The host's own limit is out of question; that of an own user namespace holds for those nested in it.
  if (userns === 'host' || security?.nestedUserns === true) return list;
  return [{ name: 'user/max_user_namespaces', value: '0' }, ...list];
}

const SHARED_SYSCTLS: readonly { readonly prefix: string; readonly needs: 'net' | 'ipc' }[] = [
  { prefix: 'net.', needs: 'net' },
  { prefix: 'fs.mqueue.', needs: 'ipc' },
  ...['msgmax', 'msgmnb', 'msgmni', 'sem', 'shmall', 'shmmax', 'shmmni', 'shm_rmid_forced'].map((name) => ({
    prefix: `kernel.${name}`,
    needs: 'ipc' as const,
  })),
];

/**
 * Whether a kernel setting is the container's own: any other would change the host.
 * @returns what is wrong with it, or undefined
 */
export function sysctlProblem(name: string, security: SecuritySpec, net: 'host' | 'none'): string | undefined {
  if (!/^[a-z0-9_-]+(\.[a-zA-Z0-9_@/:-]+)+$/.test(name)) return 'it is no name of a kernel setting';
  const known = SHARED_SYSCTLS.find(({ prefix }) => (prefix.endsWith('.') ? name.startsWith(prefix) : name === prefix));
  if (known === undefined) return 'it is not separate for containers';
  if (known.needs === 'net' && net === 'host') return 'the network is the host’s';
  if (known.needs === 'ipc' && (security.share ?? []).includes('ipc')) return 'the IPC namespace is the host’s';
  return undefined;
}
