import type { BundleEntry } from './schema.js';
import { pickEncodings } from './transfer.js';

/** Which bundles to fetch, in the order in which they have to be applied. */
export interface PathPlan<E extends BundleEntry = BundleEntry> {
  readonly edges: readonly E[];
  /** Bytes to fetch. */
  readonly bytes: number;
  /** Bytes of object content that applying writes. */
  readonly writes: number;
  /** Why this path, for people. */
  readonly reason: string;
}

export interface PathOptions<E extends BundleEntry> {
  /** What a bundle costs; default its bytes. Must not be negative. */
  cost?: ((bundle: E) => number) | undefined;
  /** Bundles (by sha256) that are known not to work, e.g. because one has just failed. */
  exclude?: ReadonlySet<string> | undefined;
  /** Speed of the link, if known: of two encodings of one bundle the one that is done sooner is taken. */
  bytesPerSecond?: number | undefined;
  /** What a commit is called in reasons; default the start of its checksum. */
  nameOf?: ((commit: string) => string) | undefined;
}

interface Reached<E> {
  readonly cost: number;
  /** Bundles on the way; settles ties, because every bundle is a request and a transaction. */
  readonly hops: number;
  readonly last: E | undefined;
}

const short = (checksum: string): string => checksum.slice(0, 12);

function isBetter(a: Reached<unknown>, b: Reached<unknown> | undefined): boolean {
  return b === undefined || a.cost < b.cost || (a.cost === b.cost && a.hops < b.hops);
}

function takeNearest<E>(frontier: Map<string, Reached<E>>): [string, Reached<E>] | undefined {
  let best: [string, Reached<E>] | undefined;
  for (const entry of frontier) if (isBetter(entry[1], best?.[1])) best = entry;
  if (best !== undefined) frontier.delete(best[0]);
  return best;
}

/** Node of the graph that stands for an empty store; no checksum is empty. */
const NOTHING = '';

function groupByOrigin<E extends BundleEntry>(bundles: readonly E[], options: PathOptions<E>): Map<string, E[]> {
  const byOrigin = new Map<string, E[]>();
  const usable = bundles.filter(({ sha256 }) => options.exclude?.has(sha256) !== true);
  for (const bundle of pickEncodings(usable, options.bytesPerSecond)) {
    const origin = bundle.from ?? NOTHING;
    const list = byOrigin.get(origin);
    if (list === undefined) byOrigin.set(origin, [bundle]);
    else list.push(bundle);
  }
  return byOrigin;
}

/** Dijkstra from every commit in `have` and from nothing. Stops at `want`. */
function shortest<E extends BundleEntry>(
  byOrigin: ReadonlyMap<string, readonly E[]>,
  have: ReadonlySet<string>,
  want: string,
  cost: (bundle: E) => number,
): readonly E[] | undefined {
  const settled = new Map<string, Reached<E>>();
  const frontier = new Map<string, Reached<E>>([[NOTHING, { cost: 0, hops: 0, last: undefined }]]);
  for (const checksum of have) frontier.set(checksum, { cost: 0, hops: 0, last: undefined });
  for (let nearest = takeNearest(frontier); nearest !== undefined; nearest = takeNearest(frontier)) {
    const [node, reached] = nearest;
    settled.set(node, reached);
    if (node === want) break;
    for (const bundle of byOrigin.get(node) ?? []) {
      if (settled.has(bundle.to)) continue;
      const next = { cost: reached.cost + cost(bundle), hops: reached.hops + 1, last: bundle };
      if (isBetter(next, frontier.get(bundle.to))) frontier.set(bundle.to, next);
    }
  }
  if (!settled.has(want)) return undefined;
  const edges: E[] = [];
  for (let last = settled.get(want)?.last; last !== undefined; last = settled.get(last.from ?? NOTHING)?.last) {
    edges.unshift(last);
  }
  return edges;
}

/** `nothing → deb 12.1.0 → etcd 3.5.1`: chains in one piece, as far as they go. */
function explain(edges: readonly BundleEntry[], nameOf: (commit: string) => string): string {
  if (edges.length === 0) return 'everything is here already';
  const chains: Array<{ names: string[]; end: string }> = [];
  for (const { from, to } of edges) {
    const last = chains.at(-1);
    if (last !== undefined && last.end === from) {
      last.names.push(nameOf(to));
      last.end = to;
    } else {
      chains.push({ names: [from === null ? 'nothing' : nameOf(from), nameOf(to)], end: to });
    }
  }
  const count = edges.length === 1 ? '1 bundle' : `${edges.length} bundles`;
  return `${count}: ${chains.map(({ names }) => names.join(' → ')).join('; ')}`;
}

function summarise<E extends BundleEntry>(edges: readonly E[], reason: string): PathPlan<E> {
  return {
    edges,
    bytes: edges.reduce((sum, edge) => sum + edge.size, 0),
    writes: edges.reduce((sum, edge) => sum + edge.writes, 0),
    reason,
  };
}

/**
 * The cheapest chain of bundles that gives `want` to a store which has the commits `have`. Pure.
 * Bundles of several feeds may be mixed: commits are named by content.
 * @returns undefined if no chain of bundles leads there
 */
export function planPath<E extends BundleEntry>(
  bundles: readonly E[],
  have: ReadonlySet<string>,
  want: string,
  options: PathOptions<E> = {},
): PathPlan<E> | undefined {
  const edges = shortest(groupByOrigin(bundles, options), have, want, options.cost ?? ((bundle) => bundle.size));
  return edges === undefined ? undefined : summarise(edges, explain(edges, options.nameOf ?? short));
}

function* permutations<T>(items: readonly T[]): Generator<readonly T[]> {
  if (items.length <= 1) {
    yield items;
    return;
  }
  for (const [index, item] of items.entries()) {
    for (const rest of permutations(items.toSpliced(index, 1))) yield [item, ...rest];
  }
}

/** Orders of more commits than this are not all tried. */
const MAX_PERMUTED = 4;

/**
 * As `planPath`, for several commits at once (a base and a layer): what is fetched for one is a start for the others,
 * so every order is tried and the cheapest kept. More than four are taken in the order given.
 * @returns undefined if one of them cannot be reached
 */
export function planPaths<E extends BundleEntry>(
  bundles: readonly E[],
  have: ReadonlySet<string>,
  wants: readonly string[],
  options: PathOptions<E> = {},
): PathPlan<E> | undefined {
  const byOrigin = groupByOrigin(bundles, options);
  const cost = options.cost ?? ((bundle: E) => bundle.size);
  const distinct = [...new Set(wants)];
  const orders = distinct.length > MAX_PERMUTED ? [distinct] : permutations(distinct);
  let best: { edges: readonly E[]; cost: number } | undefined;
  for (const order of orders) {
    const reachable = new Set(have);
    const edges: E[] = [];
    for (const want of order) {
      const path = shortest(byOrigin, reachable, want, cost);
      if (path === undefined) return undefined;
      for (const edge of path) reachable.add(edge.to);
      edges.push(...path);
    }
    const total = edges.reduce((sum, edge) => sum + cost(edge), 0);
    if (best === undefined || total < best.cost) best = { edges, cost: total };
  }
  const edges = best?.edges ?? [];
  return summarise(edges, explain(edges, options.nameOf ?? short));
}
