import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { reasonOf } from '../errors.js';
import type { StorePaths } from './paths.js';
import { unusable } from './usable.js';

/**
 * Whether the store is a user's (`bare-user`: owners and extended attributes are not on its files), without loading
 * libostree.
 * @throws TreesError STORE_UNUSABLE
 */
export function isUserStore({ root, repo }: StorePaths): boolean {
  let config: string;
  try {
    config = readFileSync(join(repo, 'config'), 'utf8');
  } catch (error) {
    throw unusable(root, `cannot read its repository (${reasonOf(error)})`);
  }
  const mode = /^\s*mode\s*=\s*(\S+)\s*$/m.exec(config)?.[1];
  if (mode === 'bare-user') return true;
  if (mode === 'bare') return false;
  throw unusable(root, `Expected its repository to be bare or bare-user, got ${mode ?? 'nothing'}`);
}
