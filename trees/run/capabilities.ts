/** Capabilities by name without `CAP_`, in the kernel's order: the index is the bit (linux/capability.h). */
export const capabilityNames = [
  'CHOWN',
  'DAC_OVERRIDE',
  'DAC_READ_SEARCH',
  'FOWNER',
  'FSETID',
  'KILL',
  'SETGID',
  'SETUID',
  'SETPCAP',
  'LINUX_IMMUTABLE',
  'NET_BIND_SERVICE',
  'NET_BROADCAST',
  'NET_ADMIN',
  'NET_RAW',
  'IPC_LOCK',
  'IPC_OWNER',
  'SYS_MODULE',
  'SYS_RAWIO',
  'SYS_CHROOT',
  'SYS_PTRACE',
  'SYS_PACCT',
  'SYS_ADMIN',
  'SYS_BOOT',
  'SYS_NICE',
  'SYS_RESOURCE',
  'SYS_TIME',
  'SYS_TTY_CONFIG',
  'MKNOD',
  'LEASE',
  'AUDIT_WRITE',
  'AUDIT_CONTROL',
  'SETFCAP',
  'MAC_OVERRIDE',
  'MAC_ADMIN',
  'SYSLOG',
  'WAKE_ALARM',
  'BLOCK_SUSPEND',
  'AUDIT_READ',
  'PERFMON',
  'BPF',
  'CHECKPOINT_RESTORE',
] as const;

export type Capability = (typeof capabilityNames)[number];

/** Docker's default set (bit mask a80425fb). */
export const defaultCapabilities: readonly Capability[] = [
  'AUDIT_WRITE',
  'CHOWN',
  'DAC_OVERRIDE',
  'FOWNER',
  'FSETID',
  'KILL',
  'MKNOD',
  'NET_BIND_SERVICE',
  'NET_RAW',
  'SETFCAP',
  'SETGID',
  'SETPCAP',
  'SETUID',
  'SYS_CHROOT',
];

/** Reads `NET_ADMIN`, `net_admin` or `CAP_NET_ADMIN`; `undefined` if there is no such capability. */
export function parseCapability(text: string): Capability | 'ALL' | undefined {
  const name = text.toUpperCase().replace(/^CAP_/, '');
  return name === 'ALL' ? 'ALL' : capabilityNames.find((known) => known === name);
}

/**
 * A set after additions and removals, in the kernel's order. As with Docker, `ALL` is applied first, so that
 * `drop: ['ALL'], add: ['CHOWN']` leaves exactly CHOWN.
 */
export function adjustCapabilities(
  base: readonly Capability[],
  change: {
    readonly add?: readonly (Capability | 'ALL')[] | undefined;
    readonly drop?: readonly (Capability | 'ALL')[] | undefined;
  },
): readonly Capability[] {
  const add = change.add ?? [];
  const drop = change.drop ?? [];
  const start = add.includes('ALL') ? capabilityNames : drop.includes('ALL') ? [] : base;
  return capabilityNames.filter((name) => (start.includes(name) || add.includes(name)) && !drop.includes(name));
}

/** The set as the kernel's bit mask. */
export function capabilityMask(capabilities: readonly Capability[]): bigint {
  let mask = 0n;
  for (const name of capabilities) mask |= 1n << BigInt(capabilityNames.indexOf(name));
  return mask;
}
