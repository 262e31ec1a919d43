/** Repeating what is compared in turns, so that a busy machine slows all of it. */

/** The middle value. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** One of those that take turns. */
export interface Turn<Sample> {
  readonly measure: () => Sample | Promise<Sample>;
  /** In the order in which they were taken. */
  readonly samples: Sample[];
}

export function turn<Sample>(measure: () => Sample | Promise<Sample>): Turn<Sample> {
  return { measure, samples: [] };
}

/** Measures each once, `rounds` times over, and `warm` times before that without keeping the samples. */
export async function takeTurns<Sample>(
  turns: readonly Turn<Sample>[],
  { rounds, warm = 1 }: { readonly rounds: number; readonly warm?: number },
): Promise<void> {
  for (let round = -warm; round < rounds; round++) {
    for (const { measure, samples } of turns) {
      const sample = await measure();
      if (round >= 0) samples.push(sample);
    }
  }
}
