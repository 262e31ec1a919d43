import { join } from 'node:path';
import { currentNumber } from '../../store/generations.js';
import { storePaths } from '../../store/paths.js';
import type { InstancePlaces } from '../instances.js';
import { removeEntries } from './files.js';
import { KEPT_DIRECTORY, keptDirectory } from './line.js';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Removes what is kept of apps that are not installed any more. It would not be used anyway: it only takes room.
 * @param context of the command
 */
export function forgetLaunches(
  places: InstancePlaces,
  { env, cwd }: { readonly env: Environment; readonly cwd: string },
): void {
  const paths = storePaths(places.root);
  const usual = keptDirectory(undefined, { env, cwd, uid: process.geteuid?.() ?? 0 });
  const own = join(places.runtimeDir, KEPT_DIRECTORY);
  // One store's entries can lie in the place for all of a user's: others' there are of apps that this one need not have.
  for (const directory of new Set([own, usual ?? own])) {
    removeEntries(directory, ({ launch: { app, start } }) => {
      const ours = start.runDir.startsWith(`${places.runtimeDir}/`);
      return !ours || currentNumber(paths, app) !== undefined;
    });
  }
}
