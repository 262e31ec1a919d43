import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod/mini';
import { $ZodError } from 'zod/v4/core';
import { isErrno } from '../errors.js';
import { dateVersion } from './date-version.js';
import { formatLegacyRepository, type LegacyReference, type LegacyRepository } from './legacy-url.js';
import { feedDirectory } from './records.js';
import { type FeedIndex, INDEX_SCHEMA_VERSION } from './schema.js';

/** What a store knows of a legacy feed, in `<root>/feeds/<name>/legacy.json`: there is no index, so it is looked together. */
export const LISTING_FILE = 'legacy.json';

/** The original project made nothing for other machines. */
const ARCH = 'x86_64';
/** What apps are listed on whose base nobody knows. */
const NO_BASE = { name: 'none', version: '0.0.0', commit: '0'.repeat(64) } as const;

const checksum = z.string().check(z.regex(/^[0-9a-f]{64}$/));
const count = z.int().check(z.nonnegative());

const entrySchema = z.object({
  /** Contents of `NAME.sum`, and what the server calls this version of it. */
  sum: checksum,
  validator: z.optional(z.string()),
  from: z.nullable(checksum),
  to: checksum,
  size: count,
  writes: count,
  objects: count,
  /** Seconds since 1970, of the commit. */
  time: count,
});

const listingSchema = z.object({
  schema: z.literal(1),
  /** ISO 8601. */
  fetched: z.string(),
  bases: z.record(z.string(), entrySchema),
  apps: z.record(z.string(), entrySchema),
});

export type LegacyEntry = z.infer<typeof entrySchema>;
export type LegacyListing = z.infer<typeof listingSchema>;

/** Where a commit of a legacy feed is had from. */
export interface LegacyOffer {
  readonly as: 'app' | 'base';
  readonly reference: LegacyReference;
  readonly version: string;
  readonly arch: string;
  readonly entry: LegacyEntry;
}

/** @returns undefined if there is none that can be used: it is looked together again then */
export async function readListing(root: string, feed: string): Promise<LegacyListing | undefined> {
  try {
    return z.parse(listingSchema, JSON.parse(await readFile(join(feedDirectory(root, feed), LISTING_FILE), 'utf8')));
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR') || error instanceof SyntaxError || error instanceof $ZodError) {
      return undefined;
    }
    throw error;
  }
}

export function formatListing(listing: LegacyListing): string {
  return `${JSON.stringify(listing, undefined, 1)}\n`;
}

/** What a repository of the original project offers. */
export interface LegacySource {
  readonly repository: LegacyRepository;
  readonly listing: LegacyListing;
}

function offers({ repository, listing }: LegacySource): LegacyOffer[] {
  const place = formatLegacyRepository(repository);
  return (['base', 'app'] as const).flatMap((as) =>
    Object.entries(as === 'base' ? listing.bases : listing.apps).map(([name, entry]) => {
      const reference = { ...repository, url: `${place}/${name}`, name, tag: undefined };
      return { as, reference, version: dateVersion(entry.time), arch: ARCH, entry };
    }),
  );
}

/**
 * What selecting and planning take for an index. Its apps are whole trees; their bases are what they are fetched as a
 * difference from. The digest of a bundle is not known before it is here: the commit stands for it.
 * @param own the feed itself
 * @param bases what other legacy feeds offer: apps and bases are in different repositories
 */
export function legacyIndex(
  own: LegacySource,
  bases: readonly LegacySource[],
): { index: FeedIndex; legacy: ReadonlyMap<string, LegacyOffer> } {
  const all = [...offers(own), ...bases.flatMap(offers).filter(({ as }) => as === 'base')];
  const legacy = new Map(all.map((offer) => [offer.entry.to, offer]));
  const released = own.listing.fetched;
  const content = ({ to, writes, objects, time }: LegacyEntry) => ({
    commit: to,
    size: writes,
    files: objects,
    released: new Date(time * 1000).toISOString(),
  });
  const none = { version: NO_BASE.version, arch: ARCH, commit: NO_BASE.commit, size: 0, files: 0, released };
  const index: FeedIndex = {
    schema: INDEX_SCHEMA_VERSION,
    feed: formatLegacyRepository(own.repository),
    sequence: 1,
    created: released,
    expires: new Date(8.64e15).toISOString(),
    bases: { [NO_BASE.name]: { summary: '', versions: [none] } },
    apps: {},
    bundles: [],
  };
  for (const { as, reference, version, arch, entry } of all) {
    const { name } = reference;
    if (as === 'base') index.bases[name] = { summary: '', versions: [{ version, arch, ...content(entry) }] };
    else {
      const base = entry.from === null ? undefined : legacy.get(entry.from);
      const on = { name: base?.reference.name ?? NO_BASE.name, range: '*', tested: base?.version ?? NO_BASE.version };
      const versions = [{ version, arch, ...content(entry), base: { ...on, tree: entry.to } }];
      index.apps[name] = { summary: 'of the original project, unsigned', versions };
    }
    index.bundles.push({
      from: entry.from,
      to: entry.to,
      file: `${name}.tar`,
      encoding: 'small',
      size: entry.size,
      sha256: entry.to,
      rawSize: entry.size,
      writes: entry.writes,
    });
  }
  return { index, legacy };
}
