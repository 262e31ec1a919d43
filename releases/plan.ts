import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { type BundleEntry, type FeedIndex, INDEX_SCHEMA_VERSION } from '../trees/feed/schema.js';
import type { Content } from './content.js';
import { considerEdges, type Edge } from './edges.js';
import type { Published } from './published.js';
import { createWays } from './ways.js';

/** What a release comes down to, before any bundle is made. */
export interface Plan {
  readonly previous: Published | undefined;
  readonly content: Content;
  /** Published bundles that the new index goes on naming. */
  readonly existing: readonly BundleEntry[];
  readonly edges: readonly Edge[];
}

/** `renewed`: only the dates are new. */
export type ReleaseStatus = 'published' | 'renewed' | 'unchanged';

const DAY = 24 * 60 * 60 * 1000;

/** Published bundles that the new index can go on naming. */
function stayingBundles(content: Content, bundles: readonly BundleEntry[]): BundleEntry[] {
  const commits = new Set<string>();
  for (const group of [content.bases, content.apps]) {
    for (const { versions } of Object.values(group)) for (const { commit } of versions) commits.add(commit);
  }
  return bundles.filter(({ to }) => commits.has(to));
}

/**
 * @param options.present bundles of the previous index that are still there
 * @param options.back how many versions before the newest get a way to it
 */
export function makePlan(
  previous: Published | undefined,
  content: Content,
  options: { readonly present: readonly BundleEntry[]; readonly back: number },
): Plan {
  const existing = stayingBundles(content, options.present);
  const edges = considerEdges(content, previous?.index, { existing, back: options.back });
  return { previous, content, existing, edges };
}

/** The index that a plan leads to. */
export function nextIndex(
  { previous, content }: Plan,
  bundles: readonly BundleEntry[],
  options: { readonly now: Date; readonly expiresDays: number },
): FeedIndex {
  return {
    schema: INDEX_SCHEMA_VERSION,
    feed: previous?.index.feed ?? randomUUID(),
    sequence: (previous?.index.sequence ?? 0) + 1,
    created: options.now.toISOString(),
    expires: new Date(options.now.getTime() + options.expiresDays * DAY).toISOString(),
    ...content,
    bundles: [...bundles],
  };
}

export function compareIndexes(before: FeedIndex | undefined, after: FeedIndex, now: Date): ReleaseStatus {
  const pick = ({ bases, apps, bundles }: FeedIndex) => ({ bases, apps, bundles });
  if (before === undefined || !isDeepStrictEqual(pick(before), pick(after))) return 'published';
  const half = (Date.parse(before.created) + Date.parse(before.expires)) / 2;
  return now.getTime() < half ? 'unchanged' : 'renewed';
}

/** Those edges that nothing published covers; a published bundle is not doubled in another encoding later. */
export function freshEdges({ edges, existing }: Plan): Edge[] {
  const ways = createWays(existing);
  return edges.filter((edge) => !ways.to(edge.to).some(({ from }) => from === edge.from));
}
