import { arch as nodeArch } from 'node:os';

export type LeafKind = 'string' | 'boolean' | 'number' | 'list';

/** One setting, by its path in the settings file. Its environment variable follows from the path. */
export interface Leaf {
  /** Dotted path, e.g. `release.expiresDays`. */
  readonly path: string;
  readonly kind: LeafKind;
  readonly choices?: readonly string[];
  /** Variables of other programs that mean the same, strongest first; all weaker than ours. */
  readonly aliases?: readonly string[];
  /** Never shown, only whether it is there. */
  readonly secret?: true;
}

/** Every setting. `schema.test.ts` checks that this list and the schema agree. */
export const leaves: readonly Leaf[] = [
  { path: 'root', kind: 'string' },
  { path: 'binDir', kind: 'string' },
  { path: 'scope', kind: 'string', choices: ['system', 'user'] },
  { path: 'feed', kind: 'string' },
  { path: 'arch', kind: 'string' },
  { path: 'color', kind: 'boolean' },
  { path: 'verbosity', kind: 'string', choices: ['quiet', 'normal', 'verbose'] },
  { path: 'lockTimeout', kind: 'number' },
  { path: 'network.ca', kind: 'string' },
  { path: 'network.timeout', kind: 'number' },
  { path: 'network.retries', kind: 'number' },
  { path: 'github.server', kind: 'string', aliases: ['GITHUB_SERVER_URL'] },
  { path: 'github.api', kind: 'string', aliases: ['GITHUB_API_URL'] },
  { path: 'github.token', kind: 'string', aliases: ['GH_TOKEN', 'GITHUB_TOKEN'], secret: true },
  { path: 'build.definitions', kind: 'list' },
  { path: 'build.mirror', kind: 'string' },
  { path: 'release.to', kind: 'string' },
  { path: 'release.key', kind: 'string' },
  { path: 'release.expiresDays', kind: 'number' },
  { path: 'release.keep', kind: 'number' },
];

/** `release.expiresDays` → `TREES_RELEASE_EXPIRES_DAYS`. */
export function environmentName(path: string): string {
  return `TREES_${path
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .replaceAll('.', '_')
    .toUpperCase()}`;
}

/** The kernel's name (`uname -m`) for the architecture Node was built for. */
export function machineArch(): string {
  const names: Readonly<Record<string, string>> = { x64: 'x86_64', arm64: 'aarch64', ia32: 'i686' };
  return names[nodeArch()] ?? nodeArch();
}
