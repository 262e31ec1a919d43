import { extname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isErrno, reasonOf, TreesError } from '../errors.js';
import { noteUnknowable, readTextFile } from '../inputs.js';

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
    const found = await searchDirectory(directory, layer === 'project');
    if (found !== undefined) sources.push({ layer, ...found });
  }
  if (locations.explicit !== undefined) {
    const path = resolve(locations.explicit);
    sources.push({ layer: '--config', path, content: await loadExplicit(path) });
  }
  return sources;
}

/** The first settings file of a directory. @returns undefined if it has none */
async function searchDirectory(directory: string, withPackage: boolean) {
  for (const name of FILE_NAMES) {
    const path = join(directory, name);
    const text = readIfThere(path);
    if (text !== undefined) return { path, content: await parse(path, text) };
  }
  const path = join(directory, 'package.json');
  const text = withPackage ? readIfThere(path) : undefined;
  // The word is looked for first, so that most projects' manifests are not parsed at every start.
  if (text === undefined || !text.includes('"trees"')) return undefined;
  const content: unknown = Reflect.get(Object(await parse(path, text)), 'trees');
  return content === undefined ? undefined : { path, content };
}

function readIfThere(path: string): string | undefined {
  try {
    return readTextFile(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'EACCES', 'ENOTDIR')) return undefined;
    throw unreadable(path, error);
  }
}

async function loadExplicit(path: string): Promise<unknown> {
  if (EXECUTABLE.has(extname(path))) return loadExecutable(path);
  const text = readIfThere(path);
  if (text === undefined) {
    throw new TreesError('CONFIG_INVALID', `cannot read settings: ${path} is not there or not readable`, {
      hint: 'check the path given with --config',
    });
  }
  return parse(path, text);
}

async function parse(path: string, text: string): Promise<unknown> {
  try {
    if (extname(path) === '.json') return JSON.parse(text);
    return (await import('./cosmiconfig.js')).parseYaml(path, text);
  } catch (error) {
    throw unreadable(path, error);
  }
}

async function loadExecutable(path: string): Promise<unknown> {
  noteUnknowable(`what ${path} does`);
  try {
    const { createJiti } = await import('jiti');
    return await createJiti(pathToFileURL(path).href).import(path, { default: true });
  } catch (error) {
    throw unreadable(path, error);
  }
}

function unreadable(path: string, error: unknown): TreesError {
  const reason = reasonOf(error);
  return new TreesError('CONFIG_INVALID', `cannot read settings in ${path}: ${reason}`, {
    hint: 'correct the file; `trees config --help` names all settings',
    cause: error,
  });
}
