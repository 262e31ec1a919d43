import { existsSync } from 'node:fs';
import { currentNumber } from '../store/generations.js';
import { storePaths } from '../store/paths.js';
import { instancePaths } from './instance.js';
import type { Instance, InstancePlaces } from './instances.js';

/** What an instance's root consists of, on this machine. */
export interface InstanceTree {
  /** What it wrote; it may not be there. */
  readonly upper: string;
  /** The link tree below it. */
  readonly lower: string;
}

/**
 * The tree of an instance: of the generation that it runs on, or else of its app's current one, which it would be started
 * on. Undefined where neither is there.
 */
export function instanceUpper(places: InstancePlaces, { name, app, alive, state }: Instance): InstanceTree | undefined {
  const paths = storePaths(places.root);
  const number = alive ? state?.generation : currentNumber(paths, app);
  if (number === undefined) return undefined;
  const lower = paths.rootfs(app, number);
  return existsSync(lower) ? { upper: instancePaths(paths, name).upper, lower } : undefined;
}
