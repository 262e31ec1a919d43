import type { IdMap } from '../../run/plan-format.js';
import type { Finding, MountReport, SecurityReport } from '../../run/security-report.js';

/** A security report for people. */
export function renderSecurity(report: SecurityReport, findings: readonly Finding[] | undefined): string {
  const rows: [name: string, value: string][] = [
    ['capabilities', report.capabilities.join(' ') || 'none'],
    ['new privileges', report.noNewPrivileges ? 'no' : 'yes'],
    [
      'system calls',
      report.seccomp.hash === null ? 'not filtered' : `${report.seccomp.profile}, ${report.seccomp.hash}`,
    ],
    ['user ids', report.userNamespace.mode === 'host' ? 'the host’s' : maps(report.userNamespace.uidMap)],
    ['group ids', report.userNamespace.mode === 'host' ? 'the host’s' : maps(report.userNamespace.gidMap)],
    ['nested user namespaces', report.userNamespace.nested ? 'yes' : 'no'],
    ['shared with the host', report.sharedNamespaces.join(' ') || 'nothing'],
    ['root', report.overlay === 'kernel' ? report.root : `${report.root}, by ${report.overlay}`],
    ...report.writable.map((mount): [string, string] => ['writable', describe(mount)]),
    ...report.readOnly.map((mount): [string, string] => ['read-only', describe(mount)]),
    ...report.devices.map((path): [string, string] => ['device', path]),
    ['hidden', `${report.masked.length} paths, ${report.readOnlyPaths.length} read-only`],
    ...report.unmasked.map((path): [string, string] => ['open', path]),
    ['Landlock', report.landlock?.map(({ path, access }) => `${access} ${path}`).join(', ') ?? 'none'],
    ...Object.entries(report.sysctls).map(([name, value]): [string, string] => ['setting', `${name} = ${value}`]),
    ['keyring', report.keyring === 'own' ? 'its own' : 'the caller’s'],
    ['TIOCSTI', `${report.tiocsti.kernel} by the kernel, ${report.tiocsti.filtered ? 'filtered' : 'not filtered'}`],
  ];
  if (report.process !== null) {
    const { pid, capabilities, seccomp } = report.process;
    rows.push(['process', `${pid}, effective ${capabilities.effective}, seccomp ${seccomp}`]);
  }
  const table = rows.map(([name, value]) => `${name.padEnd(24)}${value}\n`).join('');
  return table + (findings ?? []).map(({ code, message }) => `finding                 ${code}: ${message}\n`).join('');
}

function maps(list: readonly IdMap[]): string {
  return list.map(({ inside, outside, count }) => `${inside}:${outside}:${count}`).join(' ') || 'the caller’s as root';
}

function describe({ source, target, setuid, devices, executable, propagation }: MountReport): string {
  const words = [
    ...(setuid ? ['suid'] : []),
    ...(devices ? ['dev'] : []),
    ...(executable ? [] : ['noexec']),
    ...(propagation === 'private' ? [] : [propagation]),
  ];
  return `${source} on ${target}${words.length === 0 ? '' : ` (${words.join(', ')})`}`;
}
