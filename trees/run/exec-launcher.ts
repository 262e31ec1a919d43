import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { reasonOf, TreesError } from '../errors.js';
import { nativePath } from '../native-loader.js';
import { execve } from '../system/calls.js';

/**
 * Path of trees-launch; trees-init lies beside it.
 *
 * @throws TreesError `NATIVE_MISSING` when it was not built.
 */
export function launcherPath(): string {
  const path = join(dirname(nativePath('system')), 'trees-launch');
  if (!existsSync(path)) {
    throw new TreesError('NATIVE_MISSING', `cannot find the launcher: ${path} does not exist`, {
      hint: 'build it: node scripts/build-native.mjs trees-launch trees-init',
      status: 125,
      details: { path },
    });
  }
  return path;
}

/**
 * Replaces this process by the launcher.
 * @throws TreesError `LAUNCH_FAILED` when it cannot be executed
 */
export function execLauncher(
  args: readonly string[],
  options: { readonly keep?: readonly number[]; readonly env?: Readonly<Record<string, string>> } = {},
): never {
  const launcher = launcherPath();
  try {
    return execve(launcher, ['trees-launch', ...args], { env: options.env ?? {}, keep: options.keep ?? [] });
  } catch (error) {
    throw launchFailed(error);
  }
}

export function launchFailed(error: unknown): TreesError {
  const why = reasonOf(error);
  return new TreesError('LAUNCH_FAILED', `cannot execute the launcher: ${why}`, { cause: error, status: 125 });
}
