import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno } from '../errors.js';
import { readTextFile } from '../inputs.js';
import type { Generation } from '../store/generations.js';
import type { RunSpec } from './spec.js';

/** What was found to be valid, word for word, so that the next start needs no schema. */
const VALID_FILE = 'run.valid';

/**
 * How a generation runs, as its publisher said.
 * @param directory of the generation
 * @throws TreesError `STORE_CORRUPT`
 */
export async function declaredRun(generation: Generation, directory: string): Promise<RunSpec> {
  const text = JSON.stringify(generation.run ?? {});
  const file = join(directory, VALID_FILE);
  // The schema has seen exactly this.
  if (text === '{}' || text === readValid(file)) return generation.run ?? {};
  const { readRunSpec } = await import('./read-run-spec.js');
  const spec = readRunSpec(generation);
  // What the schema completes or changes has to be completed again.
  if (JSON.stringify(spec) === text) noteValid(file, text);
  return spec;
}

function readValid(file: string): string | undefined {
  try {
    return readTextFile(file);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'EACCES', 'EISDIR')) return undefined;
    throw error;
  }
}

/** Only saves time: where it cannot be written, nothing is lost. */
function noteValid(file: string, text: string): void {
  try {
    writeFileSync(`${file}.${process.pid}`, text, { mode: 0o600 });
    renameSync(`${file}.${process.pid}`, file);
  } catch (error) {
    if (!isErrno(error, 'EACCES', 'EROFS', 'EPERM', 'ENOSPC', 'EDQUOT')) throw error;
  }
}
