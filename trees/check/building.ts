import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { type CheckResult, ok, warn } from './result.js';

const tools = [
  ['mmdebstrap', 'building Debian and Ubuntu bases'],
  ['apt-get', 'fetching packages'],
  ['tar', 'unpacking archives'],
  ['unshare', 'building in namespaces'],
  ['setpriv', 'building in namespaces'],
] as const;

/** Programs that only `trees build` needs. */
export function checkBuilding(path: string): CheckResult[] {
  return tools.map(([name, purpose]) => {
    const found = find(name, path);
    return found === undefined
      ? warn('building', name, `${name} is not there (for ${purpose})`, `apt-get install ${packageOf(name)}`)
      : ok('building', name, found);
  });
}

function packageOf(tool: string): string {
  const packages: Readonly<Record<string, string>> = { 'apt-get': 'apt', unshare: 'util-linux', setpriv: 'util-linux' };
  return packages[tool] ?? tool;
}

function find(name: string, path: string): string | undefined {
  return path
    .split(':')
    .map((directory) => join(directory === '' ? '.' : directory, name))
    .find((candidate) => {
      try {
        accessSync(candidate, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}
