import { isAbsolute, resolve } from 'node:path';
import { usageError } from '../errors.js';
import type { MountSpec } from './container.js';

/** podman's ways to name a mount on the command line. */

/** What `-v` and `--mount` can ask for: a mount, or a named volume of the instance. */
export type RequestedMount = MountSpec | VolumeRequest;

export interface VolumeRequest {
  readonly kind: 'volume';
  readonly name: string;
  readonly target: string;
  readonly readOnly: boolean;
}

const VOLUME_NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;

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
  const unknown = words.find((word) => !volumeOptions.has(word));
  if (unknown !== undefined) {
    throw usageError(
      `Expected options of --volume to be among ${[...volumeOptions].join(', ')}, got "${unknown}" in "${text}"`,
    );
  }
  const readOnly = words.includes('ro');
  if (!source.includes('/')) return volume(source, target, readOnly);
  return {
    kind: 'bind',
    source: resolve(cwd, source),
    target: absolute(target, text),
    readOnly,
    recursive: !words.includes('bind'),
    idmap: !words.includes('noidmap'),
    exec: !words.includes('noexec'),
  };
}

/** `z` and `Z` (SELinux labels) are accepted and mean nothing here, so that podman command lines work. */
const volumeOptions = new Set(['ro', 'rw', 'bind', 'rbind', 'exec', 'noexec', 'idmap', 'noidmap', 'z', 'Z']);

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

const tmpfsFlags = new Set(['ro', 'rw', 'exec', 'noexec', 'nosuid', 'nodev']);

/**
 * `--mount type=bind|tmpfs|volume,source=…,target=…[,ro][,tmpfs-size=…][,tmpfs-mode=…]`
 * @throws TreesError `USAGE`
 */
export function parseMount(text: string, cwd: string): RequestedMount {
  const fields = new Map<string, string>();
  for (const word of text.split(',')) {
    const [key = '', ...value] = word.split('=');
    const name = mountKeys[key];
    if (name === undefined) throw usageError(`Expected fields of --mount to be known ones, got "${key}" in "${text}"`);
    fields.set(name, value.join('='));
  }
  const target = absolute(fields.get('target') ?? '', text);
  const source = fields.get('source') ?? '';
  const readOnly = ['', 'true', '1'].includes(fields.get('readonly') ?? 'false');
  switch (fields.get('type') ?? 'volume') {
    case 'bind':
      if (source === '') throw usageError(`Expected --mount type=bind to have a source, got "${text}"`);
      return { kind: 'bind', source: resolve(cwd, source), target, readOnly };
    case 'volume':
      return volume(source, target, readOnly);
    case 'tmpfs': {
      const size = fields.get('size');
      const mode = fields.get('mode');
      if (mode !== undefined && !/^[0-7]{3,4}$/.test(mode)) {
        throw usageError(`Expected tmpfs-mode to be octal, got "${mode}"`);
      }
      return {
        kind: 'tmpfs',
        target,
        readOnly,
        size: size === undefined ? undefined : parseSize(size, 'tmpfs-size'),
        mode: mode === undefined ? undefined : Number.parseInt(mode, 8),
      };
    }
    default:
      throw usageError(`Expected the type of --mount to be bind, tmpfs or volume, got "${fields.get('type')}"`);
  }
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

function volume(name: string, target: string, readOnly: boolean): VolumeRequest {
  if (!VOLUME_NAME.test(name)) {
    throw usageError(
      `Expected a volume name of lowercase letters, digits, ".", "_" and "-", got "${name}"`,
      'a host path needs a slash: ./name',
    );
  }
  return { kind: 'volume', name, target: absolute(target, target), readOnly };
}

function absolute(target: string, text: string): string {
  if (!isAbsolute(target) || target.split('/').includes('..')) {
    throw usageError(`Expected the mount point to be an absolute path without "..", got "${target}" in "${text}"`);
  }
  return target;
}
