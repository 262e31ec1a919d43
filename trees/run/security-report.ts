import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { isErrno } from '../errors.js';
import { type Capability, capabilityNames, defaultCapabilities } from './capabilities.js';
import { protectOps } from './default-mounts.js';
import type { IdMap, Plan, PlanOp } from './plan-format.js';
import type { BpfInstruction } from './plan-security.js';
import { filterFor, packFilter } from './seccomp/built-in.js';
import { interpret } from './seccomp/interpret.js';
import { machineOf } from './seccomp/syscalls.js';
import type { OverlayKind } from './upper-format.js';

/** What an instance may do, as data that programs can check. */
export interface SecurityReport {
  readonly schema: 1;
  /** `running`: looked at the processes as well as the plan. */
  readonly source: 'plan' | 'running';
  readonly capabilities: readonly Capability[];
  readonly noNewPrivileges: boolean;
  readonly seccomp: {
    readonly mode: 'filter' | 'none';
    /** SHA-256 of the filter's instructions. */
    readonly hash: string | null;
    readonly profile: 'built-in' | 'own' | 'none';
  };
  readonly userNamespace: {
    readonly mode: Plan['userns'];
    readonly uidMap: readonly IdMap[];
    readonly gidMap: readonly IdMap[];
    readonly nested: boolean;
  };
  /** Those that are the host's. */
  readonly sharedNamespaces: readonly string[];
  readonly root: Plan['root'];
  /** Who shows the tree: fuse-overlayfs is a process of the caller's outside of the container. */
  readonly overlay: OverlayKind;
  /** From the host, writable. */
  readonly writable: readonly MountReport[];
  readonly readOnly: readonly MountReport[];
  /** Besides those that every container has. */
  readonly devices: readonly string[];
  readonly masked: readonly string[];
  readonly readOnlyPaths: readonly string[];
  /** Of the usual hidden and read-only paths, those that are open. */
  readonly unmasked: readonly string[];
  readonly landlock: readonly { readonly path: string; readonly access: 'read' | 'write' }[] | null;
  readonly sysctls: Readonly<Record<string, string>>;
  readonly keyring: 'own' | 'caller';
  /** Whether a program can type into a terminal that others read. */
  readonly tiocsti: { readonly kernel: 'allowed' | 'forbidden' | 'unknown'; readonly filtered: boolean };
  /** What the kernel says of the command's process; null unless running. */
  readonly process: ProcessReport | null;
}

export interface MountReport {
  readonly source: string;
  readonly target: string;
  readonly setuid: boolean;
  readonly devices: boolean;
  readonly executable: boolean;
  readonly propagation: 'private' | 'slave' | 'shared';
}

export interface ProcessReport {
  readonly pid: number;
  readonly capabilities: {
    readonly effective: string;
    readonly bounding: string;
    readonly inheritable: string;
    readonly ambient: string;
  };
  readonly noNewPrivileges: boolean;
  readonly seccomp: number;
  readonly uidMap: readonly IdMap[];
  readonly sharedNamespaces: readonly string[];
}

export interface ReportOptions {
  /** Number of a process on the host that is the container's command; absent: only the plan is looked at. */
  readonly pid?: number | undefined;
  /** What its state says; default the kernel's. */
  readonly overlay?: OverlayKind | undefined;
}

/**
 * What an instance may do.
 * @param plan as `decodePlan` gives it
 * @throws what reading /proc throws, except that the process has ended: then only the plan counts
 */
export function securityReport(plan: Plan, options: ReportOptions = {}): SecurityReport {
  const running = options.pid === undefined ? null : processReport(options.pid);
  const seccomp = plan.seccomp ?? [];
  const capabilities = capabilityNames.filter((_, bit) => ((plan.capabilities >> BigInt(bit)) & 1n) === 1n);
  const nested = canNest(plan);
  const usual = protectOps(undefined).map(({ target }) => target ?? '');
  const targets = (type: PlanOp['type']): string[] =>
    plan.ops.filter((op) => op.type === type).map(({ target }) => target ?? '');
  const closed = new Set([...targets('mask'), ...targets('readonly')]);
  const binds = plan.ops.filter(isHostMount);
  return {
    schema: 1,
    source: running === null ? 'plan' : 'running',
    capabilities,
    noNewPrivileges: plan.flags.includes('noNewPrivileges'),
    seccomp: seccompReport(seccomp, capabilities, nested),
    userNamespace: {
      mode: plan.userns,
      uidMap: plan.uidMap,
      gidMap: plan.gidMap,
      nested,
    },
    sharedNamespaces: [
      ...(['pid', 'ipc', 'uts', 'cgroup', 'net'] as const).filter((name) => !plan.namespaces.includes(name)),
      ...(plan.userns === 'host' ? ['user'] : []),
    ],
    root: plan.root,
    overlay: options.overlay ?? 'kernel',
    writable: binds.filter((op) => !hasFlag(op, 'rdonly')).map(mountReport),
    readOnly: binds.filter((op) => hasFlag(op, 'rdonly')).map(mountReport),
    devices: plan.ops.filter(isExtraDevice).map(({ source }) => source ?? ''),
    masked: targets('mask'),
    readOnlyPaths: targets('readonly'),
    unmasked: usual.filter((path) => !closed.has(path)),
    landlock: landlockReport(plan),
    sysctls: Object.fromEntries((plan.sysctl ?? []).map(({ name, value }) => [name.replaceAll('/', '.'), value])),
    keyring: plan.security?.flags.includes('keyring') === true ? 'own' : 'caller',
    tiocsti: { kernel: kernelTiocsti(), filtered: !letsTypeIntoTerminals(seccomp) },
    process: running,
  };
}

const hasFlag = (op: PlanOp, flag: NonNullable<PlanOp['flags']>[number]): boolean => (op.flags ?? []).includes(flag);
/** The node itself is bound read-only, which nothing but a device is without `nodev`. */
const isExtraDevice = (op: PlanOp): boolean =>
  op.type === 'bind' && !hasFlag(op, 'nodev') && hasFlag(op, 'noexec') && hasFlag(op, 'rdonly');
const isHostMount = (op: PlanOp): boolean =>
  op.type === 'bind' && !isExtraDevice(op) && !['/sys', '/etc/resolv.conf'].includes(op.source ?? '');

function mountReport(op: PlanOp): MountReport {
  return {
    source: op.source ?? '',
    target: op.target ?? '',
    setuid: !hasFlag(op, 'nosuid'),
    devices: !hasFlag(op, 'nodev'),
    executable: !hasFlag(op, 'noexec'),
    propagation: hasFlag(op, 'shared') ? 'shared' : hasFlag(op, 'slave') ? 'slave' : 'private',
  };
}

function seccompReport(
  filter: readonly BpfInstruction[],
  capabilities: readonly Capability[],
  nested: boolean,
): SecurityReport['seccomp'] {
  if (filter.length === 0) return { mode: 'none', hash: null, profile: 'none' };
  const packed = packFilter(filter);
  const hash = createHash('sha256').update(Buffer.from(packed, 'base64')).digest('hex');
  const sets = [capabilities, ...(nested ? [[...capabilities, 'SYS_ADMIN' as const]] : [])];
  const builtIn = sets.some((set) => packFilter(filterFor(undefined, set) ?? []) === packed);
  return { mode: 'filter', hash, profile: builtIn ? 'built-in' : 'own' };
}

const TIOCSTI = 0x5412n;
const NEW_USER_NAMESPACE = 0x1000_0000n;
/** Of SECCOMP_RET_*: those with which the system call is made. */
const LETS_PASS: ReadonlySet<number> = new Set([0x7fff_0000, 0x7ffc_0000]);

/** Asks the filter itself. */
function lets(filter: readonly BpfInstruction[], name: string, ...args: bigint[]): boolean {
  const machine = machineOf(process.arch);
  const number = machine?.numbers.get(name);
  if (filter.length === 0 || machine === undefined || number === undefined) return true;
  return LETS_PASS.has(interpret(filter, { number, machine: machine.audit, args }));
}

function letsTypeIntoTerminals(filter: readonly BpfInstruction[]): boolean {
  return lets(filter, 'ioctl', 0n, TIOCSTI) || lets(filter, 'ioctl', 0n, TIOCSTI | (1n << 32n));
}

/** By the kernel's limit of an own user namespace, or by the filter. */
function canNest(plan: Plan): boolean {
  if ((plan.sysctl ?? []).some(({ name, value }) => name === 'user/max_user_namespaces' && value === '0')) return false;
  const filter = plan.seccomp ?? [];
  return (
    lets(filter, 'unshare', NEW_USER_NAMESPACE) || lets(filter, 'clone', NEW_USER_NAMESPACE) || lets(filter, 'clone3')
  );
}

const LANDLOCK_WRITE_FILE = 2n;

function landlockReport({ landlock }: Plan): SecurityReport['landlock'] {
  if (landlock === undefined || landlock.length === 0) return null;
  return landlock.map(({ path, access }) => ({
    path,
    access: (access & LANDLOCK_WRITE_FILE) === 0n ? 'read' : 'write',
  }));
}

function kernelTiocsti(): SecurityReport['tiocsti']['kernel'] {
  try {
    return readFileSync('/proc/sys/dev/tty/legacy_tiocsti', 'utf8').trim() === '0' ? 'forbidden' : 'allowed';
  } catch (error) {
    // Linux before 6.2 has no switch, and always allows it.
    if (isErrno(error, 'ENOENT')) return 'allowed';
    if (isErrno(error, 'EACCES')) return 'unknown';
    throw error;
  }
}

function processReport(pid: number): ProcessReport | null {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const field = (name: string): string => new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(status)?.[1] ?? '';
    const names = ['ipc', 'uts', 'cgroup', 'net', 'user', 'pid', 'mnt'];
    return {
      pid,
      capabilities: {
        effective: field('CapEff'),
        bounding: field('CapBnd'),
        inheritable: field('CapInh'),
        ambient: field('CapAmb'),
      },
      noNewPrivileges: field('NoNewPrivs') === '1',
      seccomp: Number(field('Seccomp')),
      uidMap: readFileSync(`/proc/${pid}/uid_map`, 'utf8')
        .trim()
        .split('\n')
        .map((line) => line.trim().split(/\s+/).map(Number))
        .map(([inside = 0, outside = 0, count = 0]) => ({ inside, outside, count })),
      sharedNamespaces: names.filter(
        (name) => readlinkSync(`/proc/${pid}/ns/${name}`) === readlinkSync(`/proc/self/ns/${name}`),
      ),
    };
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ESRCH')) return null;
    throw error;
  }
}

export const securityPolicies = ['default', 'strict'] as const;
export type SecurityPolicy = (typeof securityPolicies)[number];

/** One thing that a policy does not allow. */
export interface Finding {
  /** Stable: what to look for in `--json`. */
  readonly code: string;
  readonly message: string;
}

/**
 * What is weaker than a policy wants. `default`: what containers get that ask for nothing else. `strict`: besides, no
 * capabilities, nothing of the host writable, shared or executable with rights, a read-only root.
 */
export function checkPolicy(report: SecurityReport, policy: SecurityPolicy): Finding[] {
  const findings: Finding[] = [];
  const want = (holds: boolean, code: string, message: string): void => {
    if (!holds) findings.push({ code, message });
  };
  const strict = policy === 'strict';
  const allowed: readonly string[] = strict ? [] : defaultCapabilities;
  const extra = report.capabilities.filter((name) => !allowed.includes(name));
  want(extra.length === 0, 'capabilities', `has the capabilities ${extra.join(', ')}`);
  want(report.noNewPrivileges, 'new-privileges', 'programs can gain privileges (setuid)');
  want(report.seccomp.mode === 'filter', 'seccomp', 'system calls are not filtered');
  want(report.userNamespace.mode !== 'host', 'user-namespace', 'root inside is root outside');
  want(!report.userNamespace.nested, 'nested-user-namespaces', 'user namespaces can be created inside');
  const shared = report.sharedNamespaces.filter((name) => name !== 'user' && (strict || name !== 'net'));
  want(shared.length === 0, 'shared-namespaces', `shares with the host: ${shared.join(', ')}`);
  want(!report.sharedNamespaces.includes('pid'), 'host-processes', hostProcesses(report));
  want(report.unmasked.length === 0, 'unmasked', `open paths of the kernel’s: ${report.unmasked.join(', ')}`);
  want(report.devices.length === 0, 'devices', `devices of the host: ${report.devices.join(', ')}`);
  const mounts = [...report.writable, ...report.readOnly];
  const risky = mounts.filter((mount) => mount.setuid || mount.devices || mount.propagation === 'shared');
  want(risky.length === 0, 'mount-options', `mounts with setuid programs, devices or sharing: ${targetsOf(risky)}`);
  want(report.keyring === 'own', 'keyring', 'has the caller’s session keyring');
  want(
    report.tiocsti.filtered || report.tiocsti.kernel === 'forbidden',
    'tiocsti',
    'programs can type into terminals (TIOCSTI)',
  );
  if (strict) {
    want(report.seccomp.profile !== 'none', 'seccomp-profile', 'has no profile of system calls');
    want(report.root === 'readonly', 'root', 'the root is writable');
    want(report.overlay === 'kernel', 'overlay', `a process of the host’s works for it: ${report.overlay}`);
    const foreign = report.writable.filter(({ source }) => !source.includes('/volumes/'));
    want(foreign.length === 0, 'writable-mounts', `paths of the host are writable: ${targetsOf(foreign)}`);
  }
  return [...findings, ...processFindings(report)];
}

/** Whom a process may signal and trace is decided by user ids and capabilities then, and by nothing else. */
function hostProcesses({ userNamespace, capabilities }: SecurityReport): string {
  const rights = {
    host: capabilities.includes('SYS_PTRACE')
      ? 'can take all of them over'
      : `can end ${capabilities.includes('KILL') ? 'all of them' : 'those of the same users'}, and take over some of root’s`,
    ranges: 'has user ids that none of them has, unless they are mapped',
    self: 'can end those of its user',
    helped: 'can end those of its user',
  }[userNamespace.mode];
  return `sees the processes of the host with their command lines, and ${rights}; can end its own init`;
}

function targetsOf(mounts: readonly MountReport[]): string {
  return mounts.map(({ source, target }) => `${source} on ${target}`).join(', ');
}

/** What the kernel says other than the plan. */
function processFindings({ process, ...report }: SecurityReport): Finding[] {
  if (process === null) return [];
  const findings: Finding[] = [];
  const planned = report.capabilities.reduce((mask, name) => mask | (1n << BigInt(capabilityNames.indexOf(name))), 0n);
  const mask = (text: string): bigint => BigInt(`0x${text === '' ? '0' : text}`);
  if (
    (mask(process.capabilities.effective) & ~planned) !== 0n ||
    (mask(process.capabilities.bounding) & ~planned) !== 0n
  ) {
    findings.push({
      code: 'process-capabilities',
      message: `process ${process.pid} has more capabilities than its plan`,
    });
  }
  if (mask(process.capabilities.inheritable) !== 0n || mask(process.capabilities.ambient) !== 0n) {
    findings.push({ code: 'process-inheritable', message: `process ${process.pid} passes capabilities on` });
  }
  if (report.noNewPrivileges && !process.noNewPrivileges) {
    findings.push({ code: 'process-new-privileges', message: `process ${process.pid} can gain privileges` });
  }
  if (report.seccomp.mode === 'filter' && process.seccomp !== 2) {
    findings.push({ code: 'process-seccomp', message: `process ${process.pid} is not filtered` });
  }
  const shared = process.sharedNamespaces.filter((name) => !report.sharedNamespaces.includes(name));
  if (shared.length > 0) {
    findings.push({
      code: 'process-namespaces',
      message: `process ${process.pid} shares with the host: ${shared.join(', ')}`,
    });
  }
  return findings;
}
