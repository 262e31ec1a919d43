import { existsSync, readFileSync } from 'node:fs';
import { extname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isErrno, TreesError } from '../errors.js';

const FILE_NAMES = ['trees.yaml', 'trees.yml', 'trees.json'];
const EXECUTABLE = new Set(['.ts', '.mts', '.js', '.mjs', '.cjs']);

export interface SettingsSource {
  /** `system`, `user`, `project` or `--config`. */
  readonly layer: string;
  /** File it came from. */
  readonly path: string;
  /** Unvalidated content. */
  readonly content: unknown;
}

export interface SettingsLocations {
  /** Usually `/etc/trees`. */
  readonly system: string;
  /** `$XDG_CONFIG_HOME/trees`. */
  readonly user: string;
  /** The working directory, and only that: parents are never searched. */
  readonly project: string;
  /** File named with `--config`, read last. */
  readonly explicit: string | undefined;
}

/**
 * Reads the settings files that exist, weakest first. Files found by walking are data only (YAML, JSON); code runs
 * only from a file that was named explicitly.
 * @throws TreesError CONFIG_INVALID naming the file
 */
export async function readSettingsFiles(locations: SettingsLocations): Promise<SettingsSource[]> {
  const sources: SettingsSource[] = [];
  for (const layer of ['system', 'user', 'project'] as const) {
    const directory = locations[layer];
    if (!hasSettings(directory, layer === 'project')) continue;
    const found = await searchDirectory(directory, layer === 'project');
    if (found !== undefined) sources.push({ layer, ...found });
  }
  if (locations.explicit !== undefined) {
    const path = resolve(locations.explicit);
    sources.push({ layer: '--config', path, content: await loadExplicit(path) });
  }
  return sources;
}

/** Cheap check, so that cosmiconfig is loaded only where there is something to read. */
function hasSettings(directory: string, withPackage: boolean): boolean {
  if (FILE_NAMES.some((name) => existsSync(join(directory, name)))) return true;
  if (!withPackage) return false;
  try {
    return readFileSync(join(directory, 'package.json'), 'utf8').includes('"trees"');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'EACCES', 'ENOTDIR')) return false;
    throw error;
  }
}

async function searchDirectory(directory: string, withPackage: boolean) {
  const { cosmiconfig } = await import('./cosmiconfig.js');
  const explorer = cosmiconfig('trees', {
    searchPlaces: withPackage ? [...FILE_NAMES, 'package.json'] : FILE_NAMES,
    packageProp: 'trees',
    searchStrategy: 'none',
    cache: false,
  });
  try {
    const result = await explorer.search(directory);
    return result === null || result.isEmpty === true ? undefined : { path: result.filepath, content: result.config };
  } catch (error) {
    throw unreadable(directory, error);
  }
}

async function loadExplicit(path: string): Promise<unknown> {
  if (!existsSync(path)) {
    throw new TreesError('CONFIG_INVALID', `cannot read settings: ${path} does not exist`, {
      hint: 'check the path given with --config',
    });
  }
  try {
    if (EXECUTABLE.has(extname(path))) return await loadExecutable(path);
    const { cosmiconfig } = await import('./cosmiconfig.js');
    const result = await cosmiconfig('trees', { searchStrategy: 'none', cache: false }).load(path);
    return result?.config ?? {};
  } catch (error) {
    throw unreadable(path, error);
  }
}

async function loadExecutable(path: string): Promise<unknown> {
  const { createJiti } = await import('jiti');
  return createJiti(pathToFileURL(path).href).import(path, { default: true });
}

function unreadable(path: string, error: unknown): TreesError {
  const reason = error instanceof Error ? error.message : String(error);
  return new TreesError('CONFIG_INVALID', `cannot read settings in ${path}: ${reason}`, {
    hint: 'correct the file; `trees config --help` names all settings',
    cause: error,
  });
}
