import { existsSync, mkdirSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno } from '../errors.js';

/** What an instance was asked to be, as JSON. */
export const SPEC_FILE = 'spec.json';

/**
 * Writes it to directories, which are made if need be, or removes it from them. The caller holds the instance, so nobody
 * reads it half written; the rename is for a full disk.
 * @param text undefined: it is what the app declares, and there is nothing to note
 */
export function writeSpecFiles(directories: readonly string[], text: string | undefined): void {
  for (const directory of directories) {
    const file = join(directory, SPEC_FILE);
    if (text === undefined) {
      removeFile(file);
      continue;
    }
    if (!existsSync(directory)) mkdirSync(directory, { recursive: true, mode: 0o700 });
    writeFileSync(`${file}.new`, text, { mode: 0o600 });
    renameSync(`${file}.new`, file);
  }
}

function removeFile(file: string): void {
  // A failure takes ten times as long as looking.
  if (!existsSync(file)) return;
  try {
    unlinkSync(file);
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'ENOTDIR')) throw error;
  }
}
