import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { dump } from 'js-yaml';
import { isErrno, reasonOf, TreesError } from '../../trees/errors.js';
import type { Definition } from '../schema.js';
import { validateDefinition } from '../validate.js';
import { type Conversion, convertEnvironment } from './convert.js';
import { parseShell, type ShellFile } from './shell.js';

const COLUMNS = 100;

export interface ImportedDefinition {
  readonly definition: Definition;
  readonly notes: readonly string[];
  /** The definition as a YAML file, with the notes as comments. */
  readonly yaml: string;
}

/**
 * A definition for an image that was described by an `image.env`, and by an `image.conf` if that lies beside it.
 *
 * @param file path of the `image.env`
 * @param base what the app is to be built on
 * @throws TreesError `DEFINITION_INVALID` naming the file and what is wrong
 */
export function importEnvironment(file: string, { cwd, base }: { cwd: string; base: string }): ImportedDefinition {
  const path = resolve(cwd, file);
  const conf = join(dirname(path), 'image.conf');
  const env = read(path);
  const settings = conf !== path && existsSync(conf) ? read(conf) : undefined;
  const converted = convert(path, env, settings);
  const name = converted.name ?? '';
  const document = {
    kind: 'app',
    name,
    summary: `${name}, converted from ${file}`,
    from: { base, range: '*' },
    version: { fixed: '1.0.0' },
    build: {},
    run: converted.run,
  };
  const definition = validateDefinition(document, path);
  const notes = [
    'build: say which packages or files make the image',
    'version: say where the version comes from, e.g. {package: NAME}',
    ...converted.notes,
  ];
  const comments = notes.map((note) => `# ${note}\n`).join('');
  return { definition, notes, yaml: `${comments}${dump(document, { lineWidth: COLUMNS, noRefs: true })}` };
}

function read(path: string): ShellFile {
  try {
    return parseShell(readFileSync(path, 'utf8'));
  } catch (error) {
    if (error instanceof RangeError || isErrno(error, 'ENOENT', 'EACCES', 'EISDIR')) throw invalid(path, error);
    throw error;
  }
}

function convert(path: string, env: ShellFile, conf: ShellFile | undefined): Conversion {
  try {
    return convertEnvironment(env, conf);
  } catch (error) {
    if (error instanceof RangeError) throw invalid(path, error);
    throw error;
  }
}

function invalid(path: string, error: unknown): TreesError {
  return new TreesError('DEFINITION_INVALID', `cannot convert ${path}: ${reasonOf(error)}`, {
    hint: 'an image.env assigns services, NAME_exec, NAME_args, NAME_port, NAME_res, NAME_when_…, NAME_health_…, watches',
    details: { file: path },
    cause: error,
  });
}
