import { planPath } from '../trees/feed/path.js';
import type { AppVersion, BaseVersion, BundleEntry, Channel, FeedIndex } from '../trees/feed/schema.js';

/** A version as a catalog shows it. */
export interface CatalogVersion {
  readonly version: string;
  readonly arch: string;
  readonly channel: Channel;
  /** ISO 8601. */
  readonly released: string;
  /** Unpacked bytes. */
  readonly size: number;
  /** Bytes to fetch by who has the base (of a base: by who has nothing); undefined if no bundle leads there. */
  readonly download: number | undefined;
  /** `deb ^12.0.0`; undefined for a base. */
  readonly base: string | undefined;
}

export interface CatalogEntry {
  readonly name: string;
  readonly summary: string;
  /** Newest first, as in the index. */
  readonly versions: readonly CatalogVersion[];
}

export interface Catalog {
  readonly apps: readonly CatalogEntry[];
  readonly bases: readonly CatalogEntry[];
}

function bytesTo(bundles: readonly BundleEntry[], have: readonly string[], want: string): number | undefined {
  return planPath(bundles, new Set(have), want)?.bytes;
}

function describe(version: AppVersion | BaseVersion, download: number | undefined): CatalogVersion {
  const { version: number, arch, channel = 'stable', released, size } = version;
  const base = 'base' in version ? `${version.base.name} ${version.base.range}` : undefined;
  return { version: number, arch, channel, released, size, download, base };
}

/** What a feed offers, sorted by name, with what each version costs to fetch. */
export function catalogOf({ apps, bases, bundles }: FeedIndex): Catalog {
  const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : 1);
  const baseCommit = ({ base, arch }: AppVersion): readonly string[] =>
    (bases[base.name]?.versions ?? [])
      .filter((version) => version.version === base.tested && version.arch === arch)
      .map(({ commit }) => commit);
  return {
    apps: Object.entries(apps)
      .toSorted(byName)
      .map(([name, { summary, versions }]) => ({
        name,
        summary,
        versions: versions.map((version) => describe(version, bytesTo(bundles, baseCommit(version), version.commit))),
      })),
    bases: Object.entries(bases)
      .toSorted(byName)
      .map(([name, { summary, versions }]) => ({
        name,
        summary,
        versions: versions.map((version) => describe(version, bytesTo(bundles, [], version.commit))),
      })),
  };
}
