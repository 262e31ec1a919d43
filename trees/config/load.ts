import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { TreesError, usageError } from '../errors.js';
import type { NetworkOptions } from '../feed/network.js';
import { noteUnknowable } from '../inputs.js';
import { readSettingsFiles, type SettingsSource } from './files.js';
import { environmentName, type Leaf, leaves, machineArch } from './leaves.js';
import { proxySettings } from './proxy.js';
import type { Settings } from './schema.js';

const DEFAULT_LOCK_TIMEOUT_SECONDS = 60;
const DEFAULT_EXPIRES_DAYS = 90;
const DEFAULT_KEEP = 5;

type Environment = Readonly<Record<string, string | undefined>>;

export interface LoadInput {
  /** Global options from the command line, by name. */
  readonly flags: Readonly<Record<string, unknown>>;
  readonly env: Environment;
  readonly cwd: string;
  /** Effective user id. */
  readonly uid: number;
  /** Whether standard error is a terminal; Node leaves it undefined where it is none. */
  readonly tty: boolean | undefined;
  /** Directory of the system settings; tests replace it. */
  readonly systemDirectory?: string;
}

/** A setting's value and where it came from, for `trees config`. */
export interface Origin {
  readonly path: string;
  readonly value: unknown;
  /** `flag --root`, `environment TREES_ROOT`, `project FILE`, …, `default`. */
  readonly from: string;
}

export interface LoadedSettings {
  readonly settings: Settings;
  readonly origins: readonly Origin[];
}

/**
 * Resolves all settings. Weakest to strongest: defaults, system file, user file, project file, `--config` file,
 * environment, flags.
 * @throws TreesError CONFIG_INVALID naming the file or variable, USAGE for contradicting flags
 */
export async function loadSettings(input: LoadInput): Promise<LoadedSettings> {
  const { flags, env } = input;
  const sources = await readSettingsFiles({
    system: input.systemDirectory ?? '/etc/trees',
    user: join(xdgDirectory(env, 'XDG_CONFIG_HOME', '.config'), 'trees'),
    project: input.cwd,
    explicit: typeof flags['config'] === 'string' ? flags['config'] : undefined,
  });
  const found = new Map<string, { value: unknown; from: string }>();
  if (sources.length > 0) await applyFiles(sources, found);
  applyEnvironment(env, found);
  applyFlags(flags, found);
  return resolveSettings(input, found);
}

async function applyFiles(
  sources: readonly SettingsSource[],
  found: Map<string, { value: unknown; from: string }>,
): Promise<void> {
  const { validateSettingsFile } = await import('./validate.js');
  for (const source of sources) {
    const content = validateSettingsFile(source);
    for (const leaf of leaves) {
      const value = leaf.path.split('.').reduce<unknown>((node, key) => member(node, key), content);
      if (value !== undefined) found.set(leaf.path, { value, from: `${source.layer} ${source.path}` });
    }
  }
}

function member(node: unknown, key: string): unknown {
  return typeof node === 'object' && node !== null ? Reflect.get(node, key) : undefined;
}

function applyEnvironment(env: Environment, found: Map<string, { value: unknown; from: string }>): void {
  if (env['NO_COLOR']) found.set('color', { value: false, from: 'environment NO_COLOR' });
  for (const leaf of leaves) {
    const name = [environmentName(leaf.path), ...(leaf.aliases ?? [])].find((candidate) => env[candidate]);
    const text = name === undefined ? undefined : env[name];
    if (name === undefined || text === undefined) continue;
    found.set(leaf.path, { value: parseEnvironment(leaf, name, text), from: `environment ${name}` });
  }
}

function parseEnvironment(leaf: Leaf, name: string, text: string): unknown {
  const invalid = (expected: string): TreesError =>
    new TreesError('CONFIG_INVALID', `Expected ${name} to be ${expected}, got "${text}"`, {
      hint: `unset ${name} or correct it`,
    });
  if (leaf.choices !== undefined && !leaf.choices.includes(text)) throw invalid(leaf.choices.join(' or '));
  switch (leaf.kind) {
    case 'string':
      return text;
    case 'list':
      return text.split(':').filter((item) => item !== '');
    case 'number': {
      const value = Number(text);
      if (!Number.isFinite(value) || value < 0) throw invalid('a number that is not negative');
      return value;
    }
    case 'boolean':
      if (['1', 'true', 'yes'].includes(text)) return true;
      if (['0', 'false', 'no'].includes(text)) return false;
      throw invalid('true or false');
  }
}

function applyFlags(flags: LoadInput['flags'], found: Map<string, { value: unknown; from: string }>): void {
  const set = (path: string, value: unknown, flag: string): void => {
    if (value !== undefined) found.set(path, { value, from: `flag ${flag}` });
  };
  if (flags['user'] === true && flags['system'] === true) throw usageError('Expected --user or --system, got both');
  if (flags['quiet'] === true && flags['verbose'] === true) throw usageError('Expected --quiet or --verbose, got both');
  if (flags['root'] === '') throw usageError('Expected --root to be a directory, got an empty string');
  set('root', flags['root'], '--root');
  set('feed', flags['feed'], '--feed');
  set('color', flags['color'], flags['color'] === false ? '--no-color' : '--color');
  if (flags['user'] === true) set('scope', 'user', '--user');
  if (flags['system'] === true) set('scope', 'system', '--system');
  if (flags['quiet'] === true) set('verbosity', 'quiet', '--quiet');
  if (flags['verbose'] === true) set('verbosity', 'verbose', '--verbose');
}

function resolveSettings(input: LoadInput, found: Map<string, { value: unknown; from: string }>): LoadedSettings {
  const origins: Origin[] = [];
  const take = <T>(path: string, fallback: T): T => {
    const hit = found.get(path);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- files were validated by the schema, variables when parsed, so a found value has its setting's type
    const value = hit === undefined ? fallback : (hit.value as T);
    const isSecret = hit !== undefined && leaves.some((leaf) => leaf.path === path && leaf.secret === true);
    origins.push({ path, value: isSecret ? '(set)' : (value ?? null), from: hit?.from ?? 'default' });
    return value;
  };
  const prefix = take<string | undefined>('root', undefined);
  const scope = take<'system' | 'user'>('scope', input.uid === 0 ? 'system' : 'user');
  const directories = stateDirectories(prefix === undefined ? undefined : resolve(input.cwd, prefix), scope, input.env);
  const binDir = take<string | undefined>('binDir', undefined);
  const settings: Settings = {
    ...directories,
    binDir: binDir === undefined ? directories.binDir : chosenDirectory(input.cwd, binDir),
    scope,
    feed: take<string | undefined>('feed', undefined),
    arch: take('arch', machineArch()),
    color: take('color', input.tty === true),
    verbosity: take<Settings['verbosity']>('verbosity', 'normal'),
    lockTimeout: take('lockTimeout', DEFAULT_LOCK_TIMEOUT_SECONDS),
    network: networkSettings(input, take),
    build: {
      definitions: take<readonly string[]>('build.definitions', []).map((path) => resolve(input.cwd, path)),
      mirror: take<string | undefined>('build.mirror', undefined),
    },
    release: {
      to: take<string | undefined>('release.to', undefined),
      key: take<string | undefined>('release.key', undefined),
      expiresDays: take('release.expiresDays', DEFAULT_EXPIRES_DAYS),
      keep: take('release.keep', DEFAULT_KEEP),
    },
    json: input.flags['json'] === true,
    yes: input.flags['yes'] === true,
    dryRun: input.flags['dry-run'] === true,
  };
  return { settings, origins };
}

function networkSettings(
  { env, cwd }: LoadInput,
  take: <T>(path: string, fallback: T | undefined) => T | undefined,
): NetworkOptions {
  const text = (path: string): string | undefined => take<string>(path, undefined);
  const ca = text('network.ca');
  const github = { server: text('github.server'), api: text('github.api') };
  const token = text('github.token');
  return {
    timeout: take<number>('network.timeout', undefined),
    retries: take<number>('network.retries', undefined),
    ca: ca === undefined ? undefined : resolve(cwd, ca),
    extraCa: env['NODE_EXTRA_CA_CERTS'],
    github: { ...github, token: token === undefined ? undefined : () => token },
    proxy: proxySettings(env),
  };
}

/** State directories of DESIGN section 5; an explicit root is a prefix, as in rpm and dpkg. */
function stateDirectories(prefix: string | undefined, scope: 'system' | 'user', env: Environment) {
  if (prefix !== undefined) {
    return {
      root: join(prefix, 'var/lib/trees'),
      runtimeDir: join(prefix, 'run/trees'),
      logDir: join(prefix, 'var/log/trees'),
      binDir: join(prefix, 'usr/local/bin'),
    };
  }
  if (scope === 'system') {
    return {
      root: '/var/lib/trees',
      runtimeDir: '/run/trees',
      logDir: '/var/log/trees',
      binDir: '/usr/local/bin',
    };
  }
  const root = join(xdgDirectory(env, 'XDG_DATA_HOME', '.local/share'), 'trees');
  const runtime = env['XDG_RUNTIME_DIR'];
  return {
    root,
    runtimeDir: runtime && isAbsolute(runtime) ? join(runtime, 'trees') : join(root, 'run'),
    logDir: join(xdgDirectory(env, 'XDG_STATE_HOME', '.local/state'), 'trees/log'),
    binDir: join(home(env), '.local/bin'),
  };
}

function chosenDirectory(cwd: string, value: string): string | undefined {
  return value === 'none' ? undefined : resolve(cwd, value);
}

/** XDG base directory: the variable if absolute (the specification says to ignore it otherwise), else below home. */
function xdgDirectory(env: Environment, name: string, fallback: string): string {
  const value = env[name];
  return value && isAbsolute(value) ? value : join(home(env), fallback);
}

function home(env: Environment): string {
  if (env['HOME']) return env['HOME'];
  noteUnknowable('the home directory, which comes from wherever the system keeps users');
  return homedir();
}
