import { join } from 'node:path';
import { createBundle } from '../trees/delta/index.js';
import type { BundleEntry } from '../trees/feed/schema.js';
import type { Reporter } from '../trees/reporter.js';
import { type Edge, isWorthwhile } from './edges.js';
import { type ProveOptions, proveBundle } from './prove.js';

export interface BundleOptions extends ProveOptions {
  readonly encoding: BundleEntry['encoding'];
  /** Directory for the finished bundles. */
  readonly output: string;
  readonly reporter: Reporter;
  /** Sizes of bundles that were made before and found not worth publishing, by `edgeKey`; added to. */
  readonly declined: Map<string, number>;
  /** Whether a commit is here, whole. */
  has(commit: string): Promise<boolean>;
}

export interface MadeBundles {
  /** All bundles of the new index. */
  readonly bundles: readonly BundleEntry[];
  /** Those of them that were made now. */
  readonly made: readonly BundleEntry[];
  readonly declined: readonly Edge[];
}

export const BUNDLE_SUFFIX = '.delta.zst';

export function edgeKey({ from, to }: Pick<Edge, 'from' | 'to'>, encoding: BundleEntry['encoding']): string {
  return `${from ?? 'nothing'}-${to}-${encoding}`;
}

/** The same bundle always has the same name, and two bundles never do. */
export function bundleFile(edge: Edge, encoding: BundleEntry['encoding']): string {
  const version = edge.version.slice(0, 60);
  const way = `${edge.from?.slice(0, 12) ?? 'full'}-${edge.to.slice(0, 12)}`;
  return `${edge.name}-${version}-${edge.arch}.${way}${encoding === 'small' ? '.small' : ''}${BUNDLE_SUFFIX}`;
}

async function makeBundle(edge: Edge, options: BundleOptions): Promise<BundleEntry> {
  const { encoding, output, reporter, repo, signal } = options;
  const file = bundleFile(edge, encoding);
  using task = reporter.task(`making ${file}`, { unit: 'bytes' });
  const { size, sha256, rawSize, writes } = await createBundle({
    repoPath: repo.path,
    from: edge.from ?? undefined,
    to: edge.to,
    output: join(output, file),
    encoding,
    signal,
    onProgress: ({ done }) => task.update(done),
  });
  task.done(`made ${file}`);
  return { from: edge.from, to: edge.to, file, encoding, size, sha256, rawSize, writes };
}

/** Makes and proves what an edge needs. @returns undefined if it is not worth publishing */
async function tryEdge(
  edge: Edge,
  existing: readonly BundleEntry[],
  options: BundleOptions,
): Promise<BundleEntry | undefined> {
  const { declined, encoding, output } = options;
  const key = edgeKey(edge, encoding);
  const knownSize = declined.get(key);
  if (knownSize !== undefined && !isWorthwhile(edge, knownSize, existing)) return undefined;
  // An older version whose commit is no longer here is reached by other ways.
  if (!edge.required && edge.from !== null && !(await options.has(edge.from))) return undefined;
  const entry = await makeBundle(edge, options);
  if (!isWorthwhile(edge, entry.size, existing)) {
    declined.set(key, entry.size);
    return undefined;
  }
  await proveBundle(join(output, entry.file), entry, options);
  return entry;
}

/**
 * Makes the bundles that are worth publishing, in the output directory, each proven to apply.
 * @param existing bundles that are published already and stay
 */
export async function makeBundles(
  edges: readonly Edge[],
  existing: readonly BundleEntry[],
  options: BundleOptions,
): Promise<MadeBundles> {
  const bundles = [...existing];
  const made: BundleEntry[] = [];
  const declined: Edge[] = [];
  for (const edge of edges) {
    options.signal?.throwIfAborted();
    if (bundles.some((bundle) => bundle.from === edge.from && bundle.to === edge.to)) continue;
    const entry = await tryEdge(edge, bundles, options);
    if (entry === undefined) {
      declined.push(edge);
      continue;
    }
    bundles.push(entry);
    made.push(entry);
  }
  return { bundles, made, declined };
}
