/** Finds and loads the native addons, from a checkout (tsx) and from the bundle alike. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { reasonOf, TreesError } from './errors.js';

export type NativeName = 'ostree' | 'delta' | 'store' | 'system';

const PACKAGE = 'pine-trees';
const loaded = new Map<NativeName, unknown>();
let root: string | undefined;

/**
 * The directory of this package: the nearest one above this file whose `package.json` is ours. Source files and
 * bundled chunks lie at different depths, so it is looked for rather than computed.
 *
 * @throws TreesError `NATIVE_MISSING` when there is none (the file was copied out of the package).
 */
export function packageRoot(): string {
  if (root !== undefined) return root;
  const start = import.meta.dirname;
  for (let directory = start; ; directory = dirname(directory)) {
    if (isPackageRoot(directory)) {
      root = directory;
      return directory;
    }
    if (dirname(directory) === directory) break;
  }
  throw new TreesError('NATIVE_MISSING', `cannot find the native parts: no ${PACKAGE} package above ${start}`, {
    hint: `install the ${PACKAGE} package as a whole, its files do not work on their own`,
  });
}

/** For who knows it, as looking takes longer than all else that happens before a program is executed. */
export function setPackageRoot(directory: string): void {
  root = directory;
}

/**
 * Path of an addon. The environment variable `TREES_NATIVE=Debug` selects the sanitizer build.
 *
 * @throws TreesError `NATIVE_MISSING` when the package directory cannot be found.
 */
export function nativePath(name: NativeName): string {
  const configuration = process.env['TREES_NATIVE'] === 'Debug' ? 'Debug' : 'Release';
  return join(packageRoot(), 'build', configuration, `${name}.node`);
}

/**
 * Loads an addon once per thread and returns its exports; the caller gives them their type.
 *
 * @throws TreesError `NATIVE_MISSING` when it was not built or does not load (a library is missing, another Node ABI).
 */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the caller knows what its addon exports
export function loadNative<T>(name: NativeName): T {
  const exports = loaded.get(name) ?? load(name);
  loaded.set(name, exports);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as above
  return exports as T;
}

function load(name: NativeName): unknown {
  const path = nativePath(name);
  const debug = process.env['TREES_NATIVE'] === 'Debug';
  const build = `node scripts/build-native.mjs ${debug ? '--debug ' : ''}${name}`;
  if (!existsSync(path)) {
    throw new TreesError('NATIVE_MISSING', `cannot load the native part "${name}": ${path} does not exist`, {
      hint: `build it in ${packageRoot()}: ${build} (./scripts/setup-debian installs what that needs)`,
      details: { path },
    });
  }
  try {
    // What `require` does, without its search for files, which takes longer.
    const module = { exports: {} };
    process.dlopen(module, path);
    return module.exports;
  } catch (error) {
    const why = reasonOf(error);
    throw new TreesError('NATIVE_MISSING', `cannot load the native part "${name}": ${why} (${path})`, {
      hint: `build it again in ${packageRoot()}: ${build}`,
      cause: error,
      details: { path },
    });
  }
}

function isPackageRoot(directory: string): boolean {
  try {
    const manifest: unknown = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'));
    return typeof manifest === 'object' && manifest !== null && 'name' in manifest && manifest.name === PACKAGE;
  } catch {
    return false;
  }
}
