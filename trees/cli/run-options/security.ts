import { isIP } from 'node:net';
import { isAbsolute } from 'node:path';
import { usageError } from '../../errors.js';
import { type Capability, parseCapability } from '../../run/capabilities.js';
import { sysctlProblem } from '../../run/compile-security.js';
import { hostDevices } from '../../run/devices.js';
import { parseSize } from '../../run/mount-options.js';
import type { RunRequest } from '../../run/resolve.js';
import type { ProfileReader } from '../../run/seccomp/read-profile.js';
import type { NamesSpec, SecurityRequest } from '../../run/security.js';
import {
  parseDevice,
  parseIds,
  parseNamespaces,
  parseSecurityOptions,
  parseSysctls,
} from '../../run/security-options.js';
import type { Args, Context, OptionSpec } from '../command.js';

/** What the container may do. */
export const securityOptions = {
  'cap-add': { type: 'array', value: 'CAP', describe: 'add a capability (ALL: every one)' },
  'cap-drop': { type: 'array', value: 'CAP', describe: 'drop a capability (ALL: every one)' },
  'security-opt': {
    type: 'array',
    value: 'NAME[=VALUE]',
    describe:
      'seccomp=FILE|unconfined (Docker’s format), no-new-privileges=false, mask=PATHS, unmask=ALL|PATHS, ' +
      'proc-opts=hidepid=…',
  },
  privileged: {
    type: 'boolean',
    describe:
      'every capability and device, every system call, nothing of /proc and /sys hidden; in its own user namespace ' +
      'unless --userns host',
  },
  userns: {
    type: 'string',
    value: 'MODE',
    describe:
      'auto (default): an own range of user ids; host: root inside is root outside; keep-id: the caller’s id is the ' +
      'same inside; or INSIDE:OUTSIDE:COUNT',
  },
  uidmap: { type: 'array', value: 'INSIDE:OUTSIDE:COUNT', describe: 'map user ids; also group ids, without --gidmap' },
  gidmap: { type: 'array', value: 'INSIDE:OUTSIDE:COUNT', describe: 'map group ids' },
  'allow-userns': { type: 'boolean', describe: 'let the container create user namespaces, and others in them' },
  'group-add': { type: 'array', value: 'GROUP', describe: 'supplementary group, by name or number' },
  umask: { type: 'string', value: 'MODE', describe: 'octal; default the caller’s' },
  'oom-score-adj': { type: 'number', value: 'N', describe: 'who is killed first without memory, -1000 to 1000' },
  'no-keyring': { type: 'boolean', describe: 'leave the caller’s session keyring; default: one of its own' },
  'landlock-ro': { type: 'array', value: 'DIR', describe: 'only what is below these can be read and executed' },
  'landlock-rw': { type: 'array', value: 'DIR', describe: 'only what is below these can be written' },
  sysctl: { type: 'array', value: 'NAME=VALUE', describe: 'set a kernel setting of the container’s own' },
  ipc: { type: 'string', choices: ['private', 'host'], describe: 'IPC namespace; default private' },
  uts: { type: 'string', choices: ['private', 'host'], describe: 'namespace of the host name; default private' },
  pid: {
    type: 'string',
    choices: ['private', 'host'],
    describe: 'pid namespace; default private; host: the machine’s processes are seen, and its own are some of them',
  },
  cgroupns: { type: 'string', choices: ['private', 'host'], describe: 'cgroup namespace; default private' },
  'clock-offset': {
    type: 'array',
    value: 'CLOCK=SECONDS',
    describe: 'set monotonic or boottime apart from the host’s clock',
  },
  'shm-size': { type: 'string', value: 'SIZE', describe: 'size of /dev/shm; default 64m' },
  device: {
    type: 'array',
    value: 'HOST[:CONTAINER]',
    describe: 'show a device of the host; its node’s permissions count, there are no rules in cgroups',
  },
  'add-host': { type: 'array', value: 'NAME:ADDRESS', describe: 'add a name to /etc/hosts' },
  'no-hosts': { type: 'boolean', describe: 'leave the tree’s own /etc/hosts' },
  dns: { type: 'array', value: 'ADDRESS', describe: 'name server, instead of those of the host' },
  'dns-search': { type: 'array', value: 'DOMAIN', describe: 'domain to look names up in' },
  'dns-option': { type: 'array', value: 'OPTION', describe: 'option in /etc/resolv.conf' },
} as const satisfies Record<string, OptionSpec>;

type SecurityArgs = Args<typeof securityOptions, readonly []>;

/** What reads profiles; without such an option that is not loaded, which would cost every run milliseconds. */
export async function loadProfileReader(args: SecurityArgs): Promise<ProfileReader> {
  if (args['security-opt'] !== undefined) return (await import('../../run/seccomp/read-profile.js')).readProfile;
  return (path) => {
    throw new Error(`Expected no seccomp profile without --security-opt, got ${path}`);
  };
}

/** @throws TreesError `USAGE`, `UNSUPPORTED` */
export function readSecurity(
  { cwd }: Pick<Context, 'cwd'>,
  args: SecurityArgs,
  readProfile: ProfileReader,
): Pick<RunRequest, 'capAdd' | 'capDrop' | 'security'> {
  const privileged = args.privileged === true;
  const capAdd = capabilities(args['cap-add'], '--cap-add');
  const security = definedOf<SecurityRequest>({
    privileged: args.privileged,
    ids: parseIds(args.userns, args.uidmap ?? [], args.gidmap ?? []),
    ...parseSecurityOptions(args['security-opt'] ?? [], { cwd, readProfile }),
    oomScoreAdj: whole(args['oom-score-adj'], '--oom-score-adj', 1000),
    keyring: args['no-keyring'] === true ? false : undefined,
    landlock: landlock(args),
    sysctls: args.sysctl === undefined ? undefined : parseSysctls(args.sysctl),
    share: namespaces(args),
    clocks: clocks(args['clock-offset']),
    shmSize: args['shm-size'] === undefined ? undefined : parseSize(args['shm-size'], '--shm-size'),
    devices: devices(args, privileged),
    groups: args['group-add'],
    umask: umask(args.umask),
    names: names(args),
    nestedUserns: args['allow-userns'],
  });
  return {
    capAdd: privileged ? ['ALL', ...capAdd] : capAdd,
    capDrop: capabilities(args['cap-drop'], '--cap-drop'),
    security,
  };
}

export function readUserns(args: SecurityArgs): 'auto' | 'host' {
  return args.userns === 'host' ? 'host' : 'auto';
}

/**
 * What the network and the host name have to do with it.
 * @throws TreesError `USAGE`
 */
export function checkSecurity({ security, hostname, net }: RunRequest): void {
  if ((security?.share ?? []).includes('uts') && hostname !== undefined) {
    throw usageError('Expected --hostname or --uts host, got both', 'the host’s name would change');
  }
  for (const name of Object.keys(security?.sysctls ?? {})) {
    const problem = sysctlProblem(name, security ?? {}, net ?? 'none');
    if (problem !== undefined) throw usageError(`cannot set --sysctl ${name}: ${problem}`);
  }
}

function definedOf<T extends object>(value: T): T | undefined {
  const entries = Object.entries(value).filter(([, member]) => member !== undefined);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only optional members are undefined
  return entries.length === 0 ? undefined : (Object.fromEntries(entries) as T);
}

function capabilities(list: readonly string[] | undefined, option: string): (Capability | 'ALL')[] {
  return (list ?? [])
    .flatMap((text) => text.split(','))
    .map((name) => {
      const capability = parseCapability(name);
      if (capability === undefined) throw usageError(`Expected ${option} to name a capability, got "${name}"`);
      return capability;
    });
}

function whole(value: number | undefined, option: string, most: number): number | undefined {
  if (value === undefined || (Number.isInteger(value) && Math.abs(value) <= most)) return value;
  throw usageError(`Expected ${option} to be a whole number from -${most} to ${most}, got ${value}`);
}

function landlock(args: SecurityArgs): SecurityRequest['landlock'] {
  const read = args['landlock-ro'] ?? [];
  const write = args['landlock-rw'] ?? [];
  if (read.length === 0 && write.length === 0) return undefined;
  const relative = [...read, ...write].find((path) => !isAbsolute(path));
  if (relative !== undefined) throw usageError(`Expected --landlock-ro and -rw to be absolute, got "${relative}"`);
  return { read, write };
}

function namespaces(args: SecurityArgs): SecurityRequest['share'] {
  const shared = parseNamespaces({ ipc: args.ipc, uts: args.uts, cgroup: args.cgroupns, pid: args.pid });
  return shared.length === 0 ? undefined : shared;
}

function clocks(texts: readonly string[] | undefined): SecurityRequest['clocks'] {
  if (texts === undefined) return undefined;
  const offsets = { monotonic: 0, boottime: 0 };
  for (const text of texts) {
    const [, name, seconds] = /^(monotonic|boottime)=(-?\d{1,10})$/.exec(text) ?? [];
    if (name !== 'monotonic' && name !== 'boottime') {
      throw usageError(`Expected --clock-offset to be monotonic=SECONDS or boottime=SECONDS, got "${text}"`);
    }
    offsets[name] = Number(seconds);
  }
  return offsets;
}

function devices(args: SecurityArgs, privileged: boolean): SecurityRequest['devices'] {
  const asked = (args.device ?? []).map(parseDevice);
  const all = privileged ? hostDevices().filter((one) => !asked.some(({ target }) => target === one.target)) : [];
  return asked.length + all.length === 0 ? undefined : [...all, ...asked];
}

function umask(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[0-7]{1,4}$/.test(text) || Number.parseInt(text, 8) > 0o777) {
    throw usageError(`Expected --umask to be octal, at most 0777, got "${text}"`);
  }
  return Number.parseInt(text, 8);
}

function names(args: SecurityArgs): NamesSpec | undefined {
  const hosts = args['add-host']?.map(parseHost);
  if (hosts !== undefined && args['no-hosts'] === true) throw usageError('Expected --add-host or --no-hosts, got both');
  for (const server of args.dns ?? []) {
    if (isIP(server) === 0) throw usageError(`Expected --dns to be an address, got "${server}"`);
  }
  for (const word of [...(args['dns-search'] ?? []), ...(args['dns-option'] ?? [])]) {
    if (!/^[^\s]+$/.test(word)) throw usageError(`Expected --dns-search and --dns-option to be words, got "${word}"`);
  }
  return definedOf<NamesSpec>({
    hosts,
    noHosts: args['no-hosts'],
    servers: args.dns,
    search: args['dns-search'],
    options: args['dns-option'],
  });
}

function parseHost(text: string): { address: string; name: string } {
  const [, name = '', address = ''] = /^([^:\s]+):(.*)$/.exec(text) ?? [];
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/.test(name) || isIP(address) === 0) {
    throw usageError(`Expected --add-host to be NAME:ADDRESS, got "${text}"`);
  }
  return { address, name };
}
