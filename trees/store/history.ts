import { findGeneration, type Generation, requireInstalled } from './generations.js';
import type { StorePaths } from './paths.js';
import { type Pin, readPin } from './pins.js';
import { findRunning } from './running.js';

export interface HistoryEntry {
  readonly number: number;
  /** Undefined if its record is damaged. */
  readonly generation: Generation | undefined;
  readonly current: boolean;
  /** Kept by gc because the app was pinned at it. */
  readonly pinned: boolean;
  /** Something runs from it. */
  readonly running: boolean;
}

export interface History {
  readonly pin: Pin | undefined;
  /** Oldest first. */
  readonly generations: readonly HistoryEntry[];
}

/**
 * The generations of an installed app. Reads links and JSON only.
 * @throws TreesError APP_NOT_INSTALLED, STORE_CORRUPT
 */
export function readHistory(paths: StorePaths, name: string): History {
  const { current, generations } = requireInstalled(paths, name);
  const pin = readPin(paths, name);
  const running = new Set(findRunning(paths, name, generations));
  return {
    pin,
    generations: generations.map((number) => ({
      number,
      generation: findGeneration(paths, name, number),
      current: number === current.number,
      pinned: number === pin?.generation,
      running: running.has(number),
    })),
  };
}
