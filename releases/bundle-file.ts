import type { BundleEntry } from '../trees/feed/schema.js';
import type { Edge } from './edges.js';

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
