import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import satisfies from 'semver/functions/satisfies.js';
import { TreesError } from '../errors.js';
import { loadNative, type NativeName, packageRoot } from '../native-loader.js';
import { type CheckResult, missing, ok, reason } from './result.js';

const NODE_RANGE = '>=20.19.0';
const addons: ReadonlyArray<readonly [NativeName, string]> = [
  ['system', 'system calls'],
  ['ostree', 'libostree binding'],
  ['delta', 'bundle decoder'],
];
const programs = ['trees-launch', 'trees-init', 'trees-probe'] as const;

/** Node itself and our native parts. */
export function checkProgram(): CheckResult[] {
  return [checkNode(process.versions.node), ...addons.map(checkAddon), ...programs.map(checkExecutable)];
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
    return ok('program', id, `${title} loads`);
  } catch (error) {
    const hint = error instanceof TreesError ? error.hint : undefined;
    return missing('program', id, reason(error), hint ?? 'build the native parts: node scripts/build-native.mjs');
  }
}

function checkExecutable(name: (typeof programs)[number]): CheckResult {
  try {
    const path = builtProgram(name);
    accessSync(path, constants.X_OK);
    return ok('program', name, path);
  } catch (error) {
    return missing('program', name, reason(error), `build it: node scripts/build-native.mjs ${name}`);
  }
}
