import { readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceFile } from './files.js';
import type { StorePaths } from './paths.js';

/** What a rollback is about to do: `apps/<name>/rollback.json`, there only while it runs or after it was killed. */
export interface RollbackIntent {
  /** Generation that was current. */
  readonly from: number;
  /** Generation that is to be. */
  readonly to: number;
}

function intentFile(paths: StorePaths, name: string): string {
  return join(paths.app(name), 'rollback.json');
}

/** Undefined if there is none, or none that can be read: then it is as if nothing had been begun. */
export function readIntent(paths: StorePaths, name: string): RollbackIntent | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(intentFile(paths, name), 'utf8'));
    const from: unknown = Reflect.get(Object(value), 'from');
    const to: unknown = Reflect.get(Object(value), 'to');
    return typeof from === 'number' && typeof to === 'number' ? { from, to } : undefined;
  } catch {
    return undefined;
  }
}

/** The caller holds the app's lock. */
export async function writeIntent(paths: StorePaths, name: string, intent: RollbackIntent): Promise<void> {
  await replaceFile(intentFile(paths, name), `${JSON.stringify(intent)}\n`);
}

/** The caller holds the app's lock, or the store's exclusively. */
export async function deleteIntent(paths: StorePaths, name: string): Promise<void> {
  await rm(intentFile(paths, name), { force: true });
}
