import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno, TreesError } from '../errors.js';
import type { StorePaths } from './paths.js';

/** What holds an app back: `apps/<name>/pin.json`. Listing apps reads it, so nothing that touches libostree is here. */
export interface Pin {
  /** Semver range of versions that updates may bring. */
  readonly range: string;
  /** The generation that was current when the app was held at its version; gc keeps it. */
  readonly generation?: number | undefined;
  /** ISO 8601, UTC. */
  readonly since: string;
}

const PIN_FILE = 'pin.json';

/** Where an app's pin is. */
export function pinFile(paths: StorePaths, name: string): string {
  return join(paths.app(name), PIN_FILE);
}

/**
 * An app's pin; undefined if it has none.
 * @throws TreesError STORE_CORRUPT: an app whose pin cannot be read must not be updated past it
 */
export function readPin(paths: StorePaths, name: string): Pin | undefined {
  const file = pinFile(paths, name);
  let content: string;
  try {
    content = readFileSync(file, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
  const pin = parsePin(content);
  if (pin !== undefined) return pin;
  throw new TreesError('STORE_CORRUPT', `cannot read the pin of ${name}: ${file} is damaged`, {
    hint: `write it again: trees pin ${name}, or trees unpin ${name}`,
    details: { path: file },
  });
}

function parsePin(content: string): Pin | undefined {
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const range: unknown = Reflect.get(value, 'range');
  const generation: unknown = Reflect.get(value, 'generation');
  const since: unknown = Reflect.get(value, 'since');
  if (typeof range !== 'string' || typeof since !== 'string') return undefined;
  if (generation === undefined) return { range, since };
  return typeof generation === 'number' ? { range, generation, since } : undefined;
}
