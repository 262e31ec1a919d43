import { randomInt } from 'node:crypto';

/** Numbers of a seeded sequence: the same seed gives the same ones. */
export interface Random {
  readonly seed: number;
  /** In [0, 1). */
  next(): number;
  /** A whole number in [0, bound). */
  below(bound: number): number;
  /** One of the values. */
  pick<T>(values: readonly [T, ...T[]]): T;
}

/**
 * A sequence to test with. The seed is random unless the environment names one (`TREES_TEST_SEED`); tests print it, so that
 * what failed can be done again. Algorithm: mulberry32.
 */
export function createRandom(seed = Number(process.env['TREES_TEST_SEED'] ?? randomInt(2 ** 31))): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (bound: number): number => Math.floor(next() * bound);
  return { seed, next, below, pick: (values) => values[below(values.length)] ?? values[0] };
}
