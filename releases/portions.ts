import type { Built } from './built.js';
import type { ReleaseOptions, ReleaseResult } from './release.js';

/** So many builds at a time that the files of one publication are enough for all their bundles; bases first. */
export function inPortions(
  built: readonly Built[],
  { destination, encodings, back }: Pick<ReleaseOptions, 'destination' | 'encodings' | 'back'>,
): Built[][] {
  // From nothing, from the base, from each version before; pieces of large bundles are few.
  const each = (back + 2) * encodings.length;
  const size = Math.max(1, Math.floor((destination.fileLimit ?? Number.POSITIVE_INFINITY) / each));
  const sorted = built.toSorted((a, b) => Number(a.kind === 'layer') - Number(b.kind === 'layer'));
  if (sorted.length <= size) return [sorted];
  return Array.from({ length: Math.ceil(sorted.length / size) }, (_, at) => sorted.slice(at * size, (at + 1) * size));
}

/** What several publications, one after the other, come to. */
export function joinResults(before: ReleaseResult | undefined, after: ReleaseResult): ReleaseResult {
  if (before === undefined) return after;
  const made = [...before.made, ...after.made];
  return {
    status: before.status === 'published' ? before.status : after.status,
    index: after.index,
    made,
    reused: after.reused.filter(({ file }) => !made.some((bundle) => bundle.file === file)),
    declined: [...before.declined, ...after.declined],
    pruned: [...before.pruned, ...after.pruned],
  };
}
