import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Modification time of the newest regular file below a directory, in whole seconds since the epoch; 0 without any. */
export function newestFile(directory: string): number {
  let newest = 0;
  for (const name of readdirSync(directory)) {
    const path = join(directory, name);
    const stats = lstatSync(path);
    if (stats.isDirectory()) newest = Math.max(newest, newestFile(path));
    else if (stats.isFile()) newest = Math.max(newest, Math.floor(stats.mtimeMs / 1000));
  }
  return newest;
}
