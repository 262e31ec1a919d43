import { join } from 'node:path';
import { setPackageRoot } from '../native-loader.js';
import { startKept } from '../run/kept/start.js';

/** Commands whose launches are kept. */
const KEEPING = ['run', 'exec'];

/**
 * Tries to do what a line asks for before the bundle of all commands is loaded. It is part of the starter, so what it
 * imports is paid by every command: synchronous file access and the system addon only, and nothing that reads the
 * settings. Whatever it does not fully understand, mistakes included, it leaves to the bundle.
 * @param argv words after `trees`
 * @returns false if the bundle has to do it; where it can do it, it does not return, as the process has become another
 */
export function tryQuick(argv: readonly string[]): boolean {
  if (!KEEPING.some((word) => argv.includes(word))) return false;
  try {
    // The starter is dist/cli/bin.js.
    setPackageRoot(join(import.meta.dirname, '..', '..'));
    startKept(argv, process.env);
  } catch {
    // The bundle meets the same obstacle, and says what it is.
  }
  return false;
}
