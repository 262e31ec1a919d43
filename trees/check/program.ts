import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import satisfies from 'semver/functions/satisfies.js';
import { reasonOf, TreesError } from '../errors.js';
import { loadNative, type NativeName, packageRoot } from '../native-loader.js';
import { type CheckResult, missing, ok, warn } from './result.js';

const NODE_RANGE = '>=20.19.0';
const addons: ReadonlyArray<readonly [NativeName, string]> = [
  ['system', 'system calls'],
  ['ostree', 'libostree binding'],
  ['delta', 'bundle decoder'],
  ['store', 'composition and checkout'],
];
const programs = ['trees-launch', 'trees-init', 'trees-probe'] as const;

/** Node itself, our native parts and the library they use. */
export async function checkProgram(): Promise<CheckResult[]> {
  return [
    checkNode(process.versions.node),
    ...addons.map(checkAddon),
    ...(await checkLibrary()),
    ...programs.map(checkExecutable),
  ];
}

/** Path of a program that was built with the package. */
export function builtProgram(name: (typeof programs)[number]): string {
  return join(packageRoot(), 'build', 'Release', name);
}

function checkNode(version: string): CheckResult {
  return satisfies(version, NODE_RANGE)
    ? ok('program', 'node', `Node ${version}`)
    : missing('program', 'node', `Node ${version} is too old, ${NODE_RANGE} is needed`, 'install a newer Node');
}

function checkAddon([name, title]: readonly [NativeName, string]): CheckResult {
  const id = `native-${name}`;
  try {
    loadNative(name);
    return ok('program', id, `${title}: loaded`);
  } catch (error) {
    const hint = error instanceof TreesError ? error.hint : undefined;
    return missing('program', id, reasonOf(error), hint ?? 'build the native parts: node scripts/build-native.mjs');
  }
}

const OLDEST_LIBRARY = 2022.7;

/** The binding loading shows that the library is there; which one, its own command line tool says if it is installed. */
async function checkLibrary(): Promise<CheckResult[]> {
  let output: string;
  try {
    ({ stdout: output } = await promisify(execFile)('ostree', ['--version'], { timeout: 10_000 }));
  } catch {
    return [];
  }
  const version = /Version: '(\d+\.\d+)'/.exec(output)?.[1] ?? 'unknown';
  return Number(version) >= OLDEST_LIBRARY
    ? [ok('program', 'libostree', `libostree ${version}`)]
    : [warn('program', 'libostree', `libostree ${version}`, `${OLDEST_LIBRARY} is the oldest that is known to work`)];
}

function checkExecutable(name: (typeof programs)[number]): CheckResult {
  try {
    const path = builtProgram(name);
    accessSync(path, constants.X_OK);
    return ok('program', name, path);
  } catch (error) {
    return missing('program', name, reasonOf(error), `build it: node scripts/build-native.mjs ${name}`);
  }
}
