import { rm } from 'node:fs/promises';
import type { BundleEntry } from '../trees/feed/schema.js';
import type { BundleCache } from './bundle-cache.js';
import { edgeKey } from './bundle-file.js';
import type { Delivered } from './destination.js';
import { type Edge, isWorthwhile } from './edges.js';
import { type ProveOptions, proveBundle } from './prove.js';
import { type Jobs, sideBySide } from './side-by-side.js';
import { createWays } from './ways.js';

export type Encoding = BundleEntry['encoding'];

export interface BundleOptions {
  readonly encodings: readonly Encoding[];
  readonly cache: BundleCache;
  /** Sizes of bundles that were made before and found not worth publishing, by `edgeKey`; added to. */
  readonly declined: Map<string, number>;
  /** Bundles that were delivered and proved before, by `edgeKey`; added to. */
  readonly delivered: Map<string, BundleEntry>;
  readonly signal?: AbortSignal | undefined;
  /** Whether a commit is here, whole, or could be fetched back from what is published. */
  obtain(commit: string): Promise<boolean>;
  /** Brings a bundle to where it will be published from; undefined: only its size is wanted. */
  readonly deliver: ((entry: BundleEntry, path: string) => Promise<Delivered>) | undefined;
  readonly proof: ProveOptions;
}

export interface MadeBundles {
  /** Those that are new in the index. */
  readonly made: readonly BundleEntry[];
  readonly declined: readonly Edge[];
}

/**
 * Bundles that are delivered and proved beside each other and beside the making of the next one; most of the time of a
 * small one is waiting for servers and disks.
 */
const AT_ONCE = 4;
/** Unpacked bytes up to which a bundle counts as small. Of larger ones each has memory and processors to itself. */
const SMALL = 16 * 1024 * 1024;

/** Of two encodings of the same edge the second has to save this share of the first. */
const ENCODING_SAVING = 0.05;

const sameEdge = (a: Pick<Edge, 'from' | 'to'>, b: Pick<Edge, 'from' | 'to'>): boolean =>
  a.from === b.from && a.to === b.to;

/**
 * Whether an entry of this size is worth publishing beside the others.
 * @param others those that are part of a way to where the edge leads
 */
function pays(edge: Edge, { encoding, size }: Pick<BundleEntry, 'encoding' | 'size'>, others: readonly BundleEntry[]) {
  const twin = others.find((other) => sameEdge(other, edge) && other.encoding !== encoding);
  if (twin !== undefined) return size <= twin.size * (1 - ENCODING_SAVING);
  // Like is compared with like: what another encoding would save is no merit of this way.
  const alike = others.filter(
    (other) =>
      other.encoding === encoding || !others.some((same) => sameEdge(same, other) && same.encoding === encoding),
  );
  return isWorthwhile(edge, size, alike);
}

async function deliverAndProve(made: BundleEntry, options: BundleOptions): Promise<BundleEntry> {
  const path = options.cache.path(made);
  if (options.deliver === undefined) return made;
  options.signal?.throwIfAborted();
  const delivered = await options.deliver(made, path);
  await proveBundle(delivered.path, delivered.entry, options.proof);
  return delivered.entry;
}

interface Made {
  readonly entry: BundleEntry;
  readonly isDelivered: boolean;
}

/** Makes what an edge needs. @returns undefined if it is not worth publishing */
async function tryEdge(
  edge: Edge,
  encoding: Encoding,
  { others, options }: { others: readonly BundleEntry[]; options: BundleOptions },
): Promise<Made | undefined> {
  const { declined, delivered, cache } = options;
  const key = edgeKey(edge, encoding);
  const known = delivered.get(key);
  if (known !== undefined && pays(edge, known, others)) return { entry: known, isDelivered: true };
  const knownSize = declined.get(key);
  if (knownSize !== undefined && !pays(edge, { encoding, size: knownSize }, others)) return undefined;
  // An older version whose commit cannot be had any more is reached by other ways.
  if (!edge.required && edge.from !== null && !(await options.obtain(edge.from))) return undefined;
  const made = await cache.make(edge, encoding);
  if (!pays(edge, made, others)) {
    declined.set(key, made.size);
    await cache.drop(made);
    return undefined;
  }
  return { entry: made, isDelivered: false };
}

/**
 * Makes the bundles that are worth publishing, each delivered and proven to apply.
 * @param existing bundles that are published already and stay
 */
export async function makeBundles(
  edges: readonly Edge[],
  existing: readonly BundleEntry[],
  options: BundleOptions,
): Promise<MadeBundles> {
  let result: MadeBundles = { made: [], declined: [] };
  await sideBySide(AT_ONCE, async (jobs) => {
    result = await makeAll(edges, existing, { options, jobs });
  });
  return result;
}

async function makeAll(
  edges: readonly Edge[],
  existing: readonly BundleEntry[],
  { options, jobs }: { readonly options: BundleOptions; readonly jobs: Jobs },
): Promise<MadeBundles> {
  const ways = createWays(existing);
  const made: BundleEntry[] = [];
  const declined: Edge[] = [];
  for (const edge of edges) {
    let isMade = false;
    for (const encoding of options.encodings) {
      options.signal?.throwIfAborted();
      jobs.throwIfFailed();
      if (ways.to(edge.to).some((bundle) => sameEdge(bundle, edge) && bundle.encoding === encoding)) continue;
      const found = await tryEdge(edge, encoding, { others: ways.leadingTo(edge.to), options });
      if (found === undefined) break;
      const { entry } = found;
      ways.add(entry);
      const at = made.push(entry) - 1;
      isMade = true;
      if (found.isDelivered) continue;
      const finish = async (): Promise<void> => {
        const delivered = await deliverAndProve(entry, options);
        // Now with its pieces.
        made[at] = delivered;
        options.delivered.set(edgeKey(edge, encoding), delivered);
      };
      if (entry.rawSize <= SMALL) await jobs.start(finish);
      else await finish();
    }
    if (!isMade && !ways.to(edge.to).some((bundle) => sameEdge(bundle, edge))) declined.push(edge);
  }
  return { made, declined };
}

/** What is left in the cache once everything is published. */
export async function clearCache(cache: BundleCache): Promise<void> {
  await rm(cache.directory, { recursive: true, force: true });
}
