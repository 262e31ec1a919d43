import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { isErrno, TreesError } from '../trees/errors.js';
import { digestFileSync } from './compare.js';
import type { LoadedDefinition } from './load.js';

/** Raised whenever the same inputs would give another result than before: rules, normalisation, metadata. */
const FORMAT = 1;

/** What an image was last built from. */
export interface BuildState {
  /** Digest of all inputs. */
  readonly inputs: string;
  readonly version: string;
  readonly commit: string;
  /** Absolute path of its definition; absent if that alone does not say how to build it again. */
  readonly file?: string;
}

/**
 * Digest of everything that the result of a build depends on.
 *
 * @param from what builders and the package manager resolved, JSON
 */
export function inputsDigest(loaded: LoadedDefinition, arch: string, from: unknown): string {
  const files = (loaded.definition.build.files ?? []).flatMap((file) =>
    file.source === undefined ? [] : [fileDigest(resolve(loaded.directory, file.source), loaded.file)],
  );
  const everything = canonical({ format: FORMAT, arch, definition: loaded.definition, files, from });
  return createHash('sha256').update(JSON.stringify(everything)).digest('hex');
}

/** @throws TreesError `DEFINITION_INVALID` when the file cannot be read */
function fileDigest(path: string, definition: string): string {
  try {
    return digestFileSync(path);
  } catch (cause) {
    throw new TreesError('DEFINITION_INVALID', `definition ${definition} is wrong: build.files: cannot read ${path}`, {
      hint: 'source is relative to the definition file',
      cause,
    });
  }
}

/** Keys of mappings in order, so that their order in a file does not matter. */
function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== 'object' || value === null) return value;
  const sorted = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(sorted.map(([key, item]) => [key, canonical(item)]));
}

export function readState(directory: string, id: string): BuildState | undefined {
  try {
    const state: unknown = JSON.parse(readFileSync(join(directory, `${id}.json`), 'utf8'));
    return isState(state) ? state : undefined;
  } catch (error) {
    // A damaged record only costs a build.
    if (isErrno(error, 'ENOENT') || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Definition files that something was built from here, as far as they are still there: by name. */
export function builtFrom(directory: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const kind of ['base', 'layer']) {
    const states = join(directory, kind);
    for (const entry of existsSync(states) ? readdirSync(states).sort() : []) {
      const file = entry.endsWith('.json') ? readState(states, entry.slice(0, -'.json'.length))?.file : undefined;
      // `NAME.ARCH.json`
      if (file !== undefined && existsSync(file)) found.set(entry.replace(/\.[^.]+\.json$/, ''), file);
    }
  }
  return found;
}

export function writeState(directory: string, id: string, state: BuildState): void {
  const file = join(directory, `${id}.json`);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.new`, `${JSON.stringify(state)}\n`);
  renameSync(`${file}.new`, file);
}

function isState(value: unknown): value is BuildState {
  if (typeof value !== 'object' || value === null) return false;
  return ['inputs', 'version', 'commit'].every((key) => typeof Reflect.get(value, key) === 'string');
}
