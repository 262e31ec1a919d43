import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Every path below a directory with what it is, its mode and a digest of what it holds: equal before and after means
 * untouched.
 * @param skip paths, relative, that are left out with all below them
 */
export function listContents(directory: string, skip: readonly string[] = []): string[] {
  const lines: string[] = [];
  const visit = (path: string): void => {
    for (const name of readdirSync(join(directory, path)).sort()) {
      const relative = join(path, name);
      if (skip.includes(relative)) continue;
      const full = join(directory, relative);
      const info = lstatSync(full);
      const mode = (info.mode & 0o7777).toString(8);
      if (info.isDirectory()) {
        lines.push(`${relative}/ ${mode}`);
        visit(relative);
      } else if (info.isSymbolicLink()) {
        lines.push(`${relative} -> ${readlinkSync(full)}`);
      } else {
        lines.push(`${relative} ${mode} ${createHash('sha256').update(readFileSync(full)).digest('hex')}`);
      }
    }
  };
  visit('');
  return lines;
}
