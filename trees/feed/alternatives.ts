import { type PathOptions, type PathPlan, planPaths } from './path.js';
import type { BundleEntry } from './schema.js';

/** Another way to the same commits, to compare a plan with. */
export interface Alternative<E extends BundleEntry = BundleEntry> {
  readonly edges: readonly E[];
  /** Bytes to fetch. */
  readonly bytes: number;
  /** The way, for people. */
  readonly reason: string;
}

/** More than these are noise. */
const SHOWN = 3;

/**
 * The next best ways: without each of the plan's bundles, without any bundle between the same two commits, and from
 * nothing at all. Pure.
 * @returns at most three, cheapest first; none if there is only one way
 */
export function alternativesTo<E extends BundleEntry>(
  plan: PathPlan<E>,
  bundles: readonly E[],
  { have, wants, ...options }: PathOptions<E> & { have: ReadonlySet<string>; wants: readonly string[] },
): Alternative<E>[] {
  const found = new Map<string, Alternative<E>>();
  const consider = (start: ReadonlySet<string>, without: readonly E[]): void => {
    const exclude = new Set([...(options.exclude ?? []), ...without.map(({ sha256 }) => sha256)]);
    const other = planPaths(bundles, start, wants, { ...options, exclude });
    if (other === undefined || other.edges.length === 0) return;
    const { edges, bytes, reason } = other;
    found.set(identify(edges), { edges, bytes, reason });
  };
  consider(new Set(), []);
  for (const edge of plan.edges) {
    consider(have, [edge]);
    consider(
      have,
      bundles.filter(({ from, to }) => from === edge.from && to === edge.to),
    );
  }
  found.delete(identify(plan.edges));
  return [...found.values()].sort((a, b) => a.bytes - b.bytes).slice(0, SHOWN);
}

function identify(edges: readonly BundleEntry[]): string {
  return edges.map(({ sha256 }) => sha256).join(' ');
}
