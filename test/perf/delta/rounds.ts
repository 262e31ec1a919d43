/** Repeating what is compared in turns, so that a busy machine slows all of it. */

/** The middle value. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/**
 * Takes turns: every subject once, `rounds` times, and `warm` times before that without counting.
 * @returns the samples of each subject
 */
export async function takeTurns<Name extends string, Sample>(
  subjects: Readonly<Record<Name, () => Sample | Promise<Sample>>>,
  { rounds, warm = 1 }: { readonly rounds: number; readonly warm?: number },
): Promise<Record<Name, Sample[]>> {
  const samples = Object.fromEntries(Object.keys(subjects).map((name) => [name, []])) as unknown as Record<
    Name,
    Sample[]
  >;
  for (let round = -warm; round < rounds; round++) {
    for (const name of Object.keys(subjects) as Name[]) {
      const sample = await subjects[name]();
      if (round >= 0) samples[name].push(sample);
    }
  }
  return samples;
}
