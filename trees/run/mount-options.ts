import { isAbsolute, resolve } from 'node:path';
import { usageError } from '../errors.js';
import type { MountSpec, Propagation } from './container.js';

/** podman's ways to name a mount on the command line. */

/** What `-v` and `--mount` can ask for: a mount, or a named volume of the instance. */
export type RequestedMount = MountSpec | VolumeRequest;

export interface VolumeRequest {
  readonly kind: 'volume';
  readonly name: string;
  readonly target: string;
  readonly readOnly: boolean;
  readonly exec?: boolean | undefined;
  readonly suid?: boolean | undefined;
  readonly dev?: boolean | undefined;
  readonly propagation?: Propagation | undefined;
  /** A new volume begins with what the tree has there; default true. */
  readonly copy?: boolean | undefined;
}

const VOLUME_NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;

/** Words for mounts that `-v` and `--mount` have in common. Absent: as the mount's kind has it. */
interface CommonOptions {
  readonly readOnly: boolean;
  readonly recursive: boolean;
  readonly idmap: boolean;
  readonly exec?: boolean | undefined;
  readonly suid?: boolean | undefined;
  readonly dev?: boolean | undefined;
  readonly propagation?: Propagation | undefined;
  readonly copy?: boolean | undefined;
}

const propagations: Readonly<Record<string, Propagation | undefined>> = {
  private: 'private',
  rprivate: 'private',
  slave: 'slave',
  rslave: 'slave',
  shared: 'shared',
  rshared: 'shared',
};

/** `z` and `Z` (SELinux labels) are accepted and mean nothing here (`asksForLabels`), so that podman command lines work. */
const commonWords: readonly string[] = [
  'ro',
  'rw',
  'bind',
  'rbind',
  'exec',
  'noexec',
  'suid',
  'nosuid',
  'dev',
  'nodev',
  'idmap',
  'noidmap',
  'copy',
  'nocopy',
  'z',
  'Z',
  ...Object.keys(propagations),
];

/** Whether one of the mounts asks for SELinux labels: `z` and `Z` of `-v`, `relabel=` of `--mount`. */
export function asksForLabels(volumes: readonly string[], mounts: readonly string[]): boolean {
  const words = volumes.flatMap((text) => (text.split(':')[2] ?? '').split(','));
  const fields = mounts.flatMap((text) => text.split(','));
  return [...words, ...fields].some((word) => word === 'z' || word === 'Z' || word.startsWith('relabel='));
}

function commonOptions(words: readonly string[], option: string, text: string): CommonOptions {
  if (words.includes('U')) {
    throw usageError(
      `Expected options of ${option} without U in "${text}"`,
      'files are shown with the ids they have on disk; give them to the user there, or choose the user with --user',
    );
  }
  const unknown = words.find((word) => !commonWords.includes(word));
  if (unknown !== undefined) {
    throw usageError(
      `Expected options of ${option} to be among ${commonWords.join(', ')}, got "${unknown}" in "${text}"`,
    );
  }
  const choice = (name: string): boolean | undefined =>
    words.includes(`no${name}`) ? false : words.includes(name) ? true : undefined;
  return {
    readOnly: words.includes('ro'),
    recursive: !words.includes('bind'),
    idmap: !words.includes('noidmap'),
    exec: choice('exec'),
    suid: choice('suid'),
    dev: choice('dev'),
    propagation: words.map((word) => propagations[word]).find((found) => found !== undefined),
    copy: choice('copy'),
  };
}

function bind(source: string, target: string, options: CommonOptions): MountSpec {
  const { readOnly, recursive, idmap, exec, suid, dev, propagation } = options;
  return given({ kind: 'bind', source, target, readOnly, recursive, idmap, exec, suid, dev, propagation });
}

/** What was not said is left out: it is kept as JSON, and compared. */
function given<T extends object>(value: T): T {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only optional members are undefined
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as T;
}

/**
 * `-v SOURCE:TARGET[:OPTIONS]`. A source with a slash is a host path (relative to `cwd`), any other word names a volume.
 * @throws TreesError `USAGE`
 */
export function parseVolume(text: string, cwd: string): RequestedMount {
  const [source = '', target = '', options = '', ...more] = text.split(':');
  if (source === '' || target === '' || more.length > 0) {
    throw usageError(`Expected --volume to be SOURCE:TARGET[:OPTIONS], got "${text}"`);
  }
  const words = options === '' ? [] : options.split(',');
  const common = commonOptions(words, '--volume', text);
  if (!source.includes('/')) return volume(source, target, common);
  return bind(resolve(cwd, source), absolute(target, text), common);
}

/**
 * `--tmpfs TARGET[:size=SIZE,mode=MODE,ro,exec]`
 * @throws TreesError `USAGE`
 */
export function parseTmpfs(text: string): MountSpec {
  const [target = '', options = ''] = text.split(':');
  let size: number | undefined;
  let mode: number | undefined;
  const words = options === '' ? [] : options.split(',');
  for (const word of words) {
    const [key, value = ''] = word.split('=');
    if (key === 'size') size = parseSize(value, '--tmpfs size');
    else if (key === 'mode' && /^[0-7]{3,4}$/.test(value)) mode = Number.parseInt(value, 8);
    else if (!tmpfsFlags.has(word)) {
      throw usageError(`Expected options of --tmpfs to be size=, mode=, ro, rw, exec or noexec, got "${word}"`);
    }
  }
  return {
    kind: 'tmpfs',
    target: absolute(target, text),
    size,
    mode,
    readOnly: words.includes('ro'),
    exec: words.includes('exec'),
  };
}

/** podman copies what the tree has there by default; a tmpfs here begins empty. */
const tmpfsFlags = new Set(['ro', 'rw', 'exec', 'noexec', 'nosuid', 'nodev', 'notmpcopyup']);

/**
 * `--mount type=bind|tmpfs|volume,source=…,target=…[,ro][,bind-propagation=…][,tmpfs-size=…][,tmpfs-mode=…]`, and what
 * `-v` takes as options.
 * @throws TreesError `USAGE`
 */
export function parseMount(text: string, cwd: string): RequestedMount {
  const fields = new Map<string, string>();
  const words: string[] = [];
  for (const word of text.split(',')) {
    const [key = '', ...value] = word.split('=');
    const name = mountKeys[key];
    if (name !== undefined) fields.set(name, value.join('='));
    else if (value.length === 0 && (commonWords.includes(key) || key === 'U')) words.push(key);
    else if (key !== 'relabel' && key !== 'notmpcopyup') {
      throw usageError(`Expected fields of --mount to be known ones, got "${key}" in "${text}"`);
    }
  }
  const target = absolute(fields.get('target') ?? '', text);
  const source = fields.get('source') ?? '';
  if (isTrue(fields.get('readonly'))) words.push('ro');
  if (isTrue(fields.get('nonrecursive'))) words.push('bind');
  if (isTrue(fields.get('nocopy'))) words.push('nocopy');
  const propagation = fields.get('propagation');
  const common = commonOptions(propagation === undefined ? words : [...words, propagation], '--mount', text);
  switch (fields.get('type') ?? 'volume') {
    case 'bind':
      if (source === '') throw usageError(`Expected --mount type=bind to have a source, got "${text}"`);
      return bind(resolve(cwd, source), target, common);
    case 'volume':
      return volume(source, target, common);
    case 'tmpfs':
      return tmpfs(target, fields, common);
    default:
      throw usageError(`Expected the type of --mount to be bind, tmpfs or volume, got "${fields.get('type')}"`);
  }
}

function tmpfs(target: string, fields: ReadonlyMap<string, string>, { readOnly, exec }: CommonOptions): MountSpec {
  const size = fields.get('size');
  const mode = fields.get('mode');
  if (mode !== undefined && !/^[0-7]{3,4}$/.test(mode)) {
    throw usageError(`Expected tmpfs-mode to be octal, got "${mode}"`);
  }
  return {
    kind: 'tmpfs',
    target,
    readOnly,
    exec,
    size: size === undefined ? undefined : parseSize(size, 'tmpfs-size'),
    mode: mode === undefined ? undefined : Number.parseInt(mode, 8),
  };
}

function isTrue(value: string | undefined): boolean {
  return value !== undefined && ['', 'true', '1'].includes(value);
}

const mountKeys: Readonly<Record<string, string | undefined>> = {
  type: 'type',
  source: 'source',
  src: 'source',
  target: 'target',
  dst: 'target',
  destination: 'target',
  ro: 'readonly',
  readonly: 'readonly',
  'bind-propagation': 'propagation',
  'bind-nonrecursive': 'nonrecursive',
  'volume-nocopy': 'nocopy',
  'tmpfs-size': 'size',
  'tmpfs-mode': 'mode',
};

const units: Readonly<Record<string, number>> = { '': 1, b: 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/**
 * Bytes, with podman's units b, k, m, g, t.
 * @throws TreesError `USAGE` unless it is positive and fits
 */
export function parseSize(text: string, what: string): number {
  const [, digits, unit = ''] = /^(\d+)([bkmgt]?)$/i.exec(text) ?? [];
  const size = Number(digits) * (units[unit.toLowerCase()] ?? Number.NaN);
  if (!Number.isSafeInteger(size) || size <= 0) {
    throw usageError(`Expected ${what} to be a positive number of bytes such as 64m, got "${text}"`);
  }
  return size;
}

function volume(name: string, target: string, options: CommonOptions): VolumeRequest {
  if (!VOLUME_NAME.test(name)) {
    throw usageError(
      `Expected a volume name of lowercase letters, digits, ".", "_" and "-", got "${name}"`,
      'a host path needs a slash: ./name',
    );
  }
  const { readOnly, exec, suid, dev, propagation, copy } = options;
  const mount = { readOnly, exec, suid, dev, propagation, copy };
  return given({ kind: 'volume', name, target: absolute(target, target), ...mount });
}

function absolute(target: string, text: string): string {
  if (!isAbsolute(target) || target.split('/').includes('..')) {
    throw usageError(`Expected the mount point to be an absolute path without "..", got "${target}" in "${text}"`);
  }
  return target;
}
