import { TreesError } from '../errors.js';
import type { Generation } from '../store/generations.js';
import { type Instance, listInstances } from './instances.js';
import type { RunSettings } from './prepare.js';
import { restartInstance } from './restart.js';

export interface MoveOptions {
  readonly settings: RunSettings;
  readonly signal?: AbortSignal | undefined;
}

export interface MoveResult {
  /** Instances that run on the generation now. */
  readonly moved: readonly string[];
  /** The first one that did not become healthy on it: then all have gone back. */
  readonly failed: { readonly name: string; readonly error: TreesError } | undefined;
}

/** Instances that run on another generation of an app than this one. */
export function instancesToMove({ settings }: MoveOptions, { name, number }: Generation): Instance[] {
  return listInstances(settings, { all: false }).filter(
    ({ app, state }) => app === name && state !== undefined && state.generation !== number,
  );
}

/**
 * Restarts the instances of an app on a generation, one after the other: what does not become healthy has stopped one of them
 * for a moment, not all.
 * @param previous where they go back to
 */
export async function moveInstances(
  generation: Generation,
  previous: Generation,
  options: MoveOptions,
): Promise<MoveResult> {
  const moved: Instance[] = [];
  for (const instance of instancesToMove(options, generation)) {
    try {
      await restartInstance(instance, { ...options, generation });
      moved.push(instance);
    } catch (error) {
      if (!(error instanceof TreesError) || options.signal?.aborted === true) throw error;
      for (const other of moved) await restartInstance(other, { ...options, generation: previous });
      return { moved: [], failed: { name: instance.name, error } };
    }
  }
  return { moved: moved.map(({ name }) => name), failed: undefined };
}
