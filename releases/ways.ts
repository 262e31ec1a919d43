import type { BundleEntry } from '../trees/feed/schema.js';

type Way = Pick<BundleEntry, 'from' | 'to'>;

/**
 * Bundles by where they lead. In a feed of a thousand apps few bundles have to do with any one of them: to look at all of
 * them for each is what would take longest of a publication.
 */
export interface Ways<W extends Way = BundleEntry> {
  add(way: W): void;
  /** Those from whatever commit straight to this one. */
  to(commit: string): readonly W[];
  /** Those that are part of a chain to this commit, wherever it begins; no other can be of use for getting there. */
  leadingTo(commit: string): W[];
  /** Whether a chain leads there from nothing. */
  isReachable(commit: string): boolean;
}

export function createWays<W extends Way>(ways: Iterable<W> = []): Ways<W> {
  const byTarget = new Map<string, W[]>();
  const add = (way: W): void => {
    const known = byTarget.get(way.to);
    if (known === undefined) byTarget.set(way.to, [way]);
    else known.push(way);
  };
  const to = (commit: string): readonly W[] => byTarget.get(commit) ?? [];
  const leadingTo = (commit: string): W[] => {
    const seen = new Set([commit]);
    const leading: W[] = [];
    // A set gives what is added to it while it is gone through.
    for (const target of seen) {
      for (const way of to(target)) {
        leading.push(way);
        if (way.from !== null) seen.add(way.from);
      }
    }
    return leading;
  };
  for (const way of ways) add(way);
  return {
    add,
    to,
    leadingTo,
    isReachable: (commit) => leadingTo(commit).some(({ from }) => from === null),
  };
}
