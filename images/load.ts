import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { reasonOf, TreesError } from '../trees/errors.js';
import { packageRoot } from '../trees/native-loader.js';
import type { Definition } from './schema.js';
import { nearest } from './suggest.js';
import { validateDefinition } from './validate.js';

export interface LoadedDefinition {
  readonly definition: Definition;
  /** Absolute path of the file. */
  readonly file: string;
  /** Its directory: where relative paths in it start. */
  readonly directory: string;
}

const EXTENSIONS = new Set(['.yaml', '.yml', '.json']);

/**
 * Directories that are searched for definitions, first match wins: those asked for, those of the settings,
 * `images/definitions` in the working directory, and the ones that come with this package.
 *
 * @throws TreesError `DEFINITION_NOT_FOUND` when one that was asked for is missing
 */
export function definitionDirectories(asked: readonly string[], settings: readonly string[], cwd: string): string[] {
  const packaged = join(packageRoot(), 'images', 'definitions');
  const missing = asked.find((directory) => !existsSync(resolve(cwd, directory)));
  if (missing !== undefined) {
    throw new TreesError(
      'DEFINITION_NOT_FOUND',
      `cannot look for definitions in ${missing}: there is no such directory`,
      {
        hint: 'check the path given with --definitions',
      },
    );
  }
  const all = [...asked, ...settings].map((directory) => resolve(cwd, directory));
  return [...new Set([...all, join(cwd, 'images', 'definitions'), packaged])];
}

/**
 * Reads a definition by name or by path.
 *
 * @param wanted a name, or a path: anything with a slash or one of the file name extensions
 * @throws TreesError `DEFINITION_NOT_FOUND` or `DEFINITION_INVALID`
 */
export async function loadDefinition(
  wanted: string,
  directories: readonly string[],
  cwd: string,
): Promise<LoadedDefinition> {
  if (wanted.includes('/') || EXTENSIONS.has(extname(wanted))) return readDefinition(resolve(cwd, wanted));
  const found = listDefinitionFiles(directories).get(wanted);
  if (found === undefined) throw notFound(wanted, directories);
  const loaded = await readDefinition(found);
  if (loaded.definition.name !== wanted) {
    throw new TreesError(
      'DEFINITION_INVALID',
      `definition ${found} is wrong: name: Expected ${JSON.stringify(wanted)}, as the file is named, got ${JSON.stringify(loaded.definition.name)}`,
    );
  }
  return loaded;
}

/** Paths of all definitions by name, in the order of names. */
export function listDefinitionFiles(directories: readonly string[]): Map<string, string> {
  const found = new Map<string, string>();
  for (const directory of directories) {
    if (!existsSync(directory)) continue;
    for (const file of readdirSync(directory).sort()) {
      const name = basename(file, extname(file));
      if (EXTENSIONS.has(extname(file)) && !found.has(name)) found.set(name, join(directory, file));
    }
  }
  return new Map([...found].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** @throws TreesError `DEFINITION_NOT_FOUND` or `DEFINITION_INVALID` */
export async function readDefinition(file: string): Promise<LoadedDefinition> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new TreesError('DEFINITION_NOT_FOUND', `cannot read the definition ${file}: ${reasonOf(cause)}`, {
      hint: 'name the YAML file itself, or a definition that trees build --list shows',
      cause,
    });
  }
  return { definition: validateDefinition(await parse(text, file), file), file, directory: dirname(file) };
}

async function parse(text: string, file: string): Promise<unknown> {
  try {
    if (extname(file) === '.json') return JSON.parse(text);
    // The YAML reader that also reads the settings; loaded only when something is built.
    return (await import('../trees/config/cosmiconfig.js')).parseYaml(file, text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.replace(/^YAML Error in .*?:\n/, '') : String(cause);
    throw new TreesError('DEFINITION_INVALID', `definition ${file} cannot be read: ${why.trim()}`, { cause });
  }
}

function notFound(wanted: string, directories: readonly string[]): TreesError {
  const names = [...listDefinitionFiles(directories).keys()];
  const guess = nearest(wanted, names);
  const help = guess === undefined ? `there are: ${names.join(', ')}` : `did you mean ${guess}?`;
  return new TreesError('DEFINITION_NOT_FOUND', `no definition of ${wanted} in ${directories.join(', ')}`, {
    hint: names.length === 0 ? 'name a directory with --definitions DIR' : help,
    details: { names, directories },
  });
}
