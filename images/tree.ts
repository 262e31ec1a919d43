import { chmodSync, chownSync, lstatSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { BuildTree } from './container.js';

/** Directories for changing a copy of `lower` below a build's work directory. */
export function makeTree(work: string, lower: string): BuildTree {
  const tree = { lower, upper: join(work, 'upper'), work: join(work, 'overlay'), stage: join(work, 'stage') };
  for (const directory of [tree.upper, tree.work, tree.stage]) mkdirSync(directory);
  // The upper's root is the merged root.
  const root = lstatSync(lower);
  chownSync(tree.upper, root.uid, root.gid);
  chmodSync(tree.upper, root.mode & 0o7777);
  chmodSync(tree.stage, 0o755);
  return tree;
}
