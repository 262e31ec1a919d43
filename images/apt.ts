import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TreesError } from '../trees/errors.js';
import { debFileName } from './deb.js';
import { findProgram, hostEnvironment, type ProcessContext, runProcess } from './process.js';
import { remembered, sha256 } from './resolution-cache.js';
import type { SourceSpec } from './schema.js';

/**
 * The building machine's apt on package lists and a package database of our own: it resolves what would be installed
 * and downloads it, with signatures and digests checked, before anything is changed. Installing happens elsewhere.
 */
export interface Apt {
  /** Directory with the lists and configuration of these sources. */
  readonly dir: string;
  /** Where downloaded packages are kept, shared by all sources. */
  readonly archives: string;
  readonly sources: readonly SourceSpec[];
  /** Debian's name of the architecture. */
  readonly arch: string;
}

/** One action of the resolver, in the order in which they have to be done. */
export type AptAction =
  | { readonly kind: 'unpack'; readonly package: ResolvedPackage }
  | { readonly kind: 'configure'; readonly name: string }
  | { readonly kind: 'remove'; readonly name: string };

export interface ResolvedPackage {
  readonly name: string;
  readonly version: string;
  readonly arch: string;
}

const debianArch: Readonly<Record<string, string>> = {
  x86_64: 'amd64',
  aarch64: 'arm64',
  armv7l: 'armhf',
  i686: 'i386',
  ppc64le: 'ppc64el',
  riscv64: 'riscv64',
  s390x: 's390x',
};

export function toDebianArch(arch: string): string {
  return debianArch[arch] ?? arch;
}

/** Replaces the archive of the first source, wherever it occurs, by `mirror`. */
export function withMirror(sources: readonly SourceSpec[], mirror: string | undefined): SourceSpec[] {
  const main = sources[0]?.uri;
  return sources.map((source) => (mirror !== undefined && source.uri === main ? { ...source, uri: mirror } : source));
}

/** Lines of a `sources.list`. */
export function sourceLines(sources: readonly SourceSpec[], signedBy: boolean): string[] {
  return sources.flatMap((source) =>
    source.suites.map((suite) => {
      const options = signedBy ? `[signed-by=${source.keyring}] ` : '';
      return `deb ${options}${source.uri} ${suite} ${source.components.join(' ')}`;
    }),
  );
}

/**
 * Names what this machine lacks for reading packages from these sources; empty when nothing.
 */
export async function missingForApt(sources: readonly SourceSpec[]): Promise<string[]> {
  const missing: string[] = [];
  if ((await findProgram('apt-get')) === undefined) missing.push('the program apt-get (Debian package apt)');
  for (const keyring of new Set(sources.map((source) => source.keyring))) {
    if (!existsSync(keyring)) missing.push(`the keyring ${keyring} that signs ${archivesOf(sources, keyring)}`);
  }
  return missing;
}

function archivesOf(sources: readonly SourceSpec[], keyring: string): string {
  return [...new Set(sources.filter((source) => source.keyring === keyring).map((source) => source.uri))].join(', ');
}

/** Creates or finds the directory for these sources below `cache`. */
export async function openApt(
  cache: string,
  sources: readonly SourceSpec[],
  arch: string,
  context: ProcessContext,
): Promise<Apt> {
  const content = `${sourceLines(sources, true).join('\n')}\n`;
  const digest = sha256(`${arch}\n${content}`).slice(0, 16);
  const apt: Apt = { dir: join(cache, 'apt', digest), archives: join(cache, 'debs'), sources, arch };
  for (const directory of ['lists/partial', 'preferences.d', 'sources.d', 'trusted.d', 'conf.d']) {
    await mkdir(join(apt.dir, directory), { recursive: true });
  }
  await mkdir(join(apt.archives, 'partial'), { recursive: true });
  await writeFile(join(apt.dir, 'sources.list'), content);
  await writeFile(join(apt.dir, 'status'), '');
  await writeFile(
    join(apt.dir, 'apt.conf'),
    `${configuration(apt)
      .concat(await hostSettings(context))
      .join('\n')}\n`,
  );
  return apt;
}

/** No setting of the machine applies but those of `hostSettings`: the same sources give the same packages everywhere. */
function configuration(apt: Apt): string[] {
  const settings: ReadonlyArray<readonly [string, string]> = [
    ['Dir::Etc', apt.dir],
    ['Dir::Etc::SourceList', join(apt.dir, 'sources.list')],
    ['Dir::Etc::SourceParts', join(apt.dir, 'sources.d')],
    ['Dir::Etc::Trusted', '/dev/null'],
    ['Dir::Etc::TrustedParts', join(apt.dir, 'trusted.d')],
    ['Dir::Etc::Parts', join(apt.dir, 'conf.d')],
    ['Dir::Etc::Preferences', '/dev/null'],
    ['Dir::Etc::PreferencesParts', join(apt.dir, 'preferences.d')],
    ['Dir::State', apt.dir],
    ['Dir::State::Lists', join(apt.dir, 'lists')],
    ['Dir::State::Status', join(apt.dir, 'status')],
    ['Dir::State::Extended_States', join(apt.dir, 'extended_states')],
    ['Dir::Cache', apt.dir],
    ['Dir::Cache::Archives', apt.archives],
    ['Dir::Log', apt.dir],
    ['APT::Architecture', apt.arch],
    ['APT::Architectures', apt.arch],
    ['APT::Install-Recommends', 'false'],
    ['APT::Install-Suggests', 'false'],
    ['APT::Sandbox::User', 'root'],
    ['APT::Update::Error-Mode', 'any'],
    ['APT::Keep-Downloaded-Packages', 'true'],
    ['Acquire::Languages', 'none'],
    ['Acquire::Retries', '2'],
    ['Acquire::http::Timeout', '30'],
    // apt counts itself among the essential packages unless told otherwise.
    ['pkgCacheGen::ForceEssential', ','],
    ['Debug::NoLocking', 'true'],
    ['quiet', '1'],
  ];
  return settings.map(([name, value]) => `${name} "${value}";`);
}

/** What the administrator said about reaching mirrors from this machine: proxies, credentials, clocks. */
async function hostSettings(context: ProcessContext): Promise<string[]> {
  const dump = await runProcess(context, ['apt-config', 'dump', 'Acquire'], {
    step: 'read the apt settings',
    capture: true,
  });
  const wanted =
    /^Acquire::(https?::(Proxy|Verify-Peer|Verify-Host|CaInfo)|ForceIPv[46]|Check-Valid-Until|Check-Date)\b.* ".+";$/i;
  const auth = ['Dir::Etc::Netrc "/etc/apt/auth.conf";', 'Dir::Etc::NetrcParts "/etc/apt/auth.conf.d";'];
  return [...dump.split('\n').filter((line) => wanted.test(line)), ...auth];
}

const updated = new Map<string, Promise<void>>();

/**
 * Fetches the package lists, once a process. Lists from an earlier run do when the mirror cannot be reached now.
 *
 * @throws TreesError `BUILD_FAILED` naming the mirror when there are no lists at all
 */
export async function updateLists(apt: Apt, context: ProcessContext): Promise<void> {
  const running = updated.get(apt.dir) ?? fetchLists(apt, context);
  updated.set(apt.dir, running);
  await running;
}

async function fetchLists(apt: Apt, context: ProcessContext): Promise<void> {
  const step = 'fetch package lists';
  try {
    await aptGet(apt, context, ['update'], step);
  } catch (error) {
    if (!(error instanceof TreesError) || error.code !== 'BUILD_FAILED') throw error;
    const lists = await readdir(join(apt.dir, 'lists'));
    const without = apt.sources.filter((source) => !source.suites.every((suite) => hasLists(lists, source.uri, suite)));
    if (without.length > 0) {
      const mirrors = [...new Set(without.map((source) => source.uri))].join(', ');
      throw new TreesError('BUILD_FAILED', `cannot ${step} from ${mirrors}: ${reason(error.message)}`, {
        hint: 'check the network, or name a mirror in reach with --mirror URL or settings.build.mirror',
        cause: error,
      });
    }
    context.reporter.warn(`cannot ${step}, going on with those of an earlier run: ${reason(error.message)}`);
  }
}

/** apt names its lists by the address of what they came from. */
function hasLists(lists: readonly string[], uri: string, suite: string): boolean {
  const address = `${uri.replace(/^\w+:\/\//, '').replace(/\/$/, '')}/dists/${suite}/`;
  return lists.some((name) => name.startsWith(address.replaceAll('/', '_')) && name.includes('Packages'));
}

/** apt's own explanation out of the last lines of its output. */
function reason(message: string): string {
  const lines = message.split('\n').map((line) => line.trim());
  return (
    lines.find((line) => line.startsWith('E: Failed to fetch')) ??
    lines.find((line) => line.startsWith('E: ')) ??
    message
  );
}

/**
 * What installing `packages` would do, dependencies included.
 *
 * @param status path of the package database they are added to; default an empty one
 * @throws TreesError `BUILD_FAILED` with apt's explanation when they cannot be installed
 */
export async function resolvePackages(
  apt: Apt,
  packages: readonly string[],
  context: ProcessContext,
  options: { status?: string } = {},
): Promise<AptAction[]> {
  if (packages.length === 0) return [];
  const database = options.status === undefined ? '' : await readFile(options.status, 'utf8');
  const output = await remembered(apt.dir, [...packages, '--', sha256(database)], () =>
    aptGet(apt, context, ['install', '--simulate', ...packages], 'resolve packages', options.status),
  );
  return parseSimulation(output);
}

/** Reads what `apt-get --simulate` prints: `Inst NAME [OLD] (VERSION ARCHIVE… [ARCH])`, `Conf NAME (…)`, `Remv NAME [OLD]`. */
export function parseSimulation(output: string): AptAction[] {
  const actions: AptAction[] = [];
  for (const line of output.split('\n')) {
    const [, verb, fullName = '', rest = ''] = /^(Inst|Conf|Remv) (\S+) (.*)$/.exec(line) ?? [];
    const name = fullName.replace(/:.*$/, '');
    if (verb === 'Remv') actions.push({ kind: 'remove', name });
    else if (verb === 'Conf') actions.push({ kind: 'configure', name });
    else if (verb === 'Inst') {
      const [, version = '', arch = ''] = /\((\S+) .*?\[(\S+)\]\)/.exec(rest) ?? [];
      if (version === '') throw new Error(`Expected a line of apt-get --simulate, got ${line}`);
      actions.push({ kind: 'unpack', package: { name, version, arch } });
    }
  }
  return actions;
}

/** Downloads what `actions` unpack, unless it is there; returns the files in the same order. */
export async function downloadPackages(
  apt: Apt,
  packages: readonly ResolvedPackage[],
  context: ProcessContext,
  options: { status?: string } = {},
): Promise<string[]> {
  const files = packages.map((one) => join(apt.archives, debFileName(one)));
  const absent = packages.filter((_, index) => !existsSync(files[index] ?? ''));
  if (absent.length > 0) {
    using task = context.reporter.task(`downloading ${absent.length} packages`);
    const exact = packages.map((one) => `${one.name}=${one.version}`);
    await aptGet(apt, context, ['install', '--yes', '--download-only', ...exact], 'download packages', options.status);
    task.done(`downloaded ${absent.length} packages`);
  }
  const lost = files.find((file) => !existsSync(file));
  if (lost !== undefined) throw new TreesError('BUILD_FAILED', `cannot download packages: apt did not leave ${lost}`);
  return files;
}

async function aptGet(
  apt: Apt,
  context: ProcessContext,
  args: readonly string[],
  step: string,
  status?: string,
): Promise<string> {
  const database = status === undefined ? [] : ['-o', `Dir::State::Status=${status}`];
  return runProcess(context, ['apt-get', ...database, ...args], {
    step,
    env: { ...hostEnvironment, APT_CONFIG: join(apt.dir, 'apt.conf') },
    capture: args.includes('--simulate'),
  });
}
