import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno } from '../errors.js';

/** Beside the generation's tree. */
const PLAN_FILE = 'launch.plan';

/**
 * Keeps an app's plan in its generation, where launchers find it without Node. It is written only when it changes.
 *
 * @returns its path; undefined where it cannot be kept (no permission, no space): a plan in memory does as well
 */
export function cachedPlan(directory: string, plan: Uint8Array): string | undefined {
  const file = join(directory, PLAN_FILE);
  try {
    if (isSame(file, plan)) return file;
    const temporary = `${file}.${process.pid}`;
    writeFileSync(temporary, plan, { mode: 0o600, flag: 'wx' });
    renameSync(temporary, file);
    return file;
  } catch (error) {
    if (isErrno(error, 'EACCES', 'EROFS', 'EPERM', 'ENOSPC', 'EDQUOT', 'EEXIST')) return undefined;
    throw error;
  }
}

function isSame(file: string, plan: Uint8Array): boolean {
  try {
    return Buffer.compare(readFileSync(file), plan) === 0;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false;
    throw error;
  }
}
