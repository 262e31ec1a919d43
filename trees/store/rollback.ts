import { TreesError } from '../errors.js';
import { switchCurrent } from './checkout.js';
import { findGeneration, type Generation, type InstalledApp, readGeneration, requireInstalled } from './generations.js';
import { cleanLeftovers } from './leftovers.js';
import { openInstalled } from './open-installed.js';
import { type StorePaths, storePaths } from './paths.js';
import { deleteIntent, readIntent, writeIntent } from './rollback-intent.js';
import type { StoreOptions } from './store.js';

export interface RollbackOptions extends StoreOptions {
  readonly name: string;
  /** Generation to go to; default the one before the current one. */
  readonly to?: number | undefined;
  readonly dryRun: boolean;
}

export interface RollbackResult {
  readonly generation: Generation;
  /** What was current before. */
  readonly previous: Generation;
}

/**
 * Makes another generation of an app current, by one rename. The next update goes forward again, unless the app is
 * pinned. What it is about to do is written down before: killed, the same call again finishes the job, also if it does
 * not say which generation to go to.
 * @throws TreesError APP_NOT_INSTALLED, VERSION_NOT_FOUND if there is no such generation, STORE_CORRUPT if its record is damaged
 */
export async function rollbackApp(options: RollbackOptions): Promise<RollbackResult> {
  const { name, to } = options;
  if (options.dryRun) return choose(storePaths(options.root), name, to);
  using store = await openInstalled(options);
  using _app = await store.lockApp(name);
  // Keeps gc from deleting the generation meanwhile.
  using _store = await store.lockStore('shared');
  await cleanLeftovers(store, name);
  const result = choose(store.paths, name, to);
  const [from, number] = [result.previous.number, result.generation.number];
  if (number !== requireInstalled(store.paths, name).current.number) {
    await writeIntent(store.paths, name, { from, to: number });
    await switchCurrent(store, name, number);
  }
  await deleteIntent(store.paths, name);
  return result;
}

function choose(paths: StorePaths, name: string, to: number | undefined): RollbackResult {
  const app = requireInstalled(paths, name);
  const interrupted = to === undefined ? findInterrupted(paths, app) : undefined;
  if (interrupted !== undefined) return interrupted;
  const number = to ?? app.generations.findLast((candidate) => candidate < app.current.number);
  const generation = number === undefined ? undefined : readGeneration(paths, name, number);
  if (generation === undefined) throw noGeneration(app, number);
  return { generation, previous: app.current };
}

/** A rollback that was killed just after it had switched: the same command again finishes it, and goes no further. */
function findInterrupted(paths: StorePaths, { name, current }: InstalledApp): RollbackResult | undefined {
  const intent = readIntent(paths, name);
  if (intent?.to !== current.number) return undefined;
  const previous = findGeneration(paths, name, intent.from);
  return previous === undefined ? undefined : { generation: current, previous };
}

function noGeneration({ name, current, generations }: InstalledApp, number: number | undefined): TreesError {
  const why =
    number === undefined
      ? `there is no generation before ${current.number}, which is current`
      : `there is no generation ${number}`;
  return new TreesError('VERSION_NOT_FOUND', `cannot roll back ${name}: ${why}`, {
    hint: `there are: ${generations.join(', ')} (trees history ${name})`,
    details: { name, generations, current: current.number },
  });
}
