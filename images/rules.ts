import { TreesError } from '../trees/errors.js';
import type { FileSpec } from './schema.js';

/**
 * Which paths of a root file system never become part of an image: what belongs to the machine that built it, to the
 * moment it was built, or to a running system.
 */

/**
 * `drop`: the entry and all below it. `drop-files`: what is no directory; directories stay, services rely on their owners
 * and modes. `prune`: what is no directory, and directories in which nothing is left.
 */
type Verdict = 'keep' | 'drop' | 'drop-files' | 'prune';

export interface Rules {
  verdict(path: string): Verdict;
}

export interface RuleOptions {
  /** `layer` also drops what an app must not override in its base. */
  readonly kind: 'base' | 'layer';
  readonly exclude: readonly string[];
  readonly keep: readonly string[];
}

const dropped = [
  '/dev/*',
  '/proc/*',
  '/sys/*',
  '/run/*',
  '/tmp/*',
  '/var/tmp/*',
  // Caches and locks of package managers and the dynamic linker.
  '/etc/apk/cache/*',
  '/etc/apt/apt.conf.d/99mmdebstrap',
  '/lib/apk/db/lock',
  '/var/cache/apk/*',
  '/var/cache/apt/*',
  '/var/cache/debconf/*-old',
  '/var/cache/ldconfig/*',
  '/var/lib/apt/*',
  '/var/lib/dpkg/*-old',
  '/var/lib/dpkg/available',
  '/var/lib/dpkg/lock',
  '/var/lib/dpkg/lock-frontend',
  '/var/lib/dpkg/triggers/Lock',
  '/var/lib/dpkg/triggers/Unincorp',
  // Backups and locks of the user database.
  '/etc/.pwd.lock',
  '/etc/group-',
  '/etc/gshadow-',
  '/etc/passwd-',
  '/etc/shadow-',
  '/etc/subgid-',
  '/etc/subuid-',
  // Traces of the build and of the machine.
  '/.dockerenv',
  '/lost+found',
  '/root/.bash_history',
  '/root/.cache',
  '/root/.wget-hsts',
  '/usr/sbin/policy-rc.d',
  '/var/lib/systemd/random-seed',
];

/** In a base these are given neutral content instead, see `clean.ts`. */
const droppedFromLayers = [
  '/etc/hostname',
  '/etc/hosts',
  '/etc/machine-id',
  '/etc/resolv.conf',
  '/var/cache/debconf/*',
  '/var/lib/dbus/machine-id',
  // dpkg's database is the base's, see `dpkg-status.ts`.
  '/var/lib/dpkg/diversions',
  '/var/lib/dpkg/info/*',
  '/var/lib/dpkg/statoverride',
  '/var/lib/dpkg/status',
  '/var/lib/dpkg/triggers/*',
];

const withoutFiles = ['/var/cache/*', '/var/log/*'];
/** Maintainer scripts of packages in the base ask debconf for these when an app's packages trigger them. */
const neededInBases = ['/var/cache/debconf/config.dat', '/var/cache/debconf/templates.dat'];

export function makeRules(options: RuleOptions): Rules {
  const drop = matcher([...dropped, ...(options.kind === 'layer' ? droppedFromLayers : [])]);
  const excluded = matcher(options.exclude);
  const kept = matcher(options.keep);
  const filesDropped = matcher(withoutFiles);
  const needed = matcher(options.kind === 'base' ? neededInBases : []);
  // A directory whose files are excluded may still lead to one that is kept.
  const leads = (path: string): boolean => options.keep.some((glob) => mayContain(path, glob));
  return {
    verdict: (path) => {
      if (needed(path)) return 'keep';
      if (drop(path)) return 'drop';
      if (excluded(path) && !kept(path)) return leads(path) ? 'prune' : 'drop';
      return filesDropped(path) ? 'drop-files' : 'keep';
    },
  };
}

/** `*` matches any characters, `/` too, as in dpkg's `path-exclude`. */
function matcher(globs: readonly string[]): (path: string) => boolean {
  if (globs.length === 0) return () => false;
  const pattern = new RegExp(`^(?:${globs.map(toPattern).join('|')})$`, 's');
  return (path) => pattern.test(path);
}

function toPattern(glob: string): string {
  return glob.split('*').map(escape).join('.*');
}

function escape(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, String.raw`\$&`);
}

/** Whether something below `directory` could match: compared up to the first `*`. */
function mayContain(directory: string, glob: string): boolean {
  const fixed = glob.slice(0, glob.includes('*') ? glob.indexOf('*') : glob.length);
  return fixed.startsWith(`${directory}/`) || (glob.includes('*') && `${directory}/`.startsWith(fixed));
}

/**
 * A definition must not put files where nothing is kept: they would silently be missing.
 *
 * @throws TreesError `DEFINITION_INVALID`
 */
export function checkPlaces(rules: Rules, files: readonly FileSpec[], definition: string): void {
  for (const [index, file] of files.entries()) {
    if (file.remove === true) continue;
    const verdict = rules.verdict(file.path);
    if (verdict === 'keep' || (verdict === 'drop-files' && file.directory === true)) continue;
    throw new TreesError(
      'DEFINITION_INVALID',
      `definition ${definition} is wrong: build.files[${index}].path: nothing is kept at ${file.path} (caches, logs, run-time and machine state are never part of an image)`,
      { hint: 'create it when the app starts, for example on a tmpfs or a volume of run' },
    );
  }
}
