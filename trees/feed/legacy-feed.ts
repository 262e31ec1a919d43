import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { TreesError, usageError } from '../errors.js';
import { checkUnknown, createFeed, type FeedsOptions, lockFeeds, notFound } from './feed-list.js';
import type { AddFeedOptions, IndexedFeed } from './feeds.js';
import { writeFileAtomic } from './files.js';
import { readIfChanged } from './index-pair.js';
import { legacyReleases, legacySum, legacyTar, parseSum } from './legacy.js';
import { readLegacyDelta } from './legacy-delta.js';
import {
  formatListing,
  type LegacyEntry,
  type LegacyListing,
  type LegacySource,
  LISTING_FILE,
  legacyIndex,
  readListing,
} from './legacy-listing.js';
import { listTags } from './legacy-tags.js';
import type { LegacyRepository } from './legacy-url.js';
import { feedDirectory, type KnownFeed, listFeeds, readFeedRecord } from './records.js';
import { parseFeedUrl } from './url.js';

/*
 * The original project's repositories as feeds. They have no index: which apps there are is told by the tags (asked for
 * as git does), and what an app is by its `.sum` and by the ends of its tar. Nothing of that costs the API's budget.
 * Asked about one app, only its files are looked at: one request if nothing has changed.
 */

const APP_NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;
/** Tags that are looked at: each takes a request. The original project had some fifty. */
const MOST_APPS = 1000;
/** Apps that are looked at at once. */
const SIDE_BY_SIDE = 8;

function repositoryOf(feed: KnownFeed): LegacyRepository {
  const url = parseFeedUrl(feed.url);
  if (url.scheme !== 'legacy') throw new Error(`${feed.url} is no legacy feed`);
  return url;
}

/** What one release has. @returns undefined if it is none of the original project's */
async function look(
  repository: LegacyRepository,
  wanted: { readonly as: 'app' | 'base'; readonly name: string; readonly known: LegacyEntry | undefined },
  { network = {}, signal, reporter }: FeedsOptions,
): Promise<LegacyEntry | undefined> {
  const { as, name, known } = wanted;
  const releases = legacyReleases(repository, network);
  const release = as === 'base' ? undefined : name;
  const feed = {
    ...releases,
    open: async (file: string, how?: object) => await releases.open(file, { ...how, release }),
  };
  const { file, limit } = legacySum(name);
  const found = await readIfChanged(feed, file, { limit, signal, reporter, unless: known?.validator });
  if (found === undefined) return undefined;
  if (found.bytes === undefined) return known;
  const sum = parseSum(found.bytes, file, feed.url);
  const validator = found.validator === undefined ? {} : { validator: found.validator };
  if (known?.sum === sum) return { ...known, ...validator };
  const tar = legacyTar(as, name);
  const { rootTree, from, to, size, writes, objects, time } = await readLegacyDelta(
    feed,
    { file: tar, release },
    signal,
  );
  if (rootTree === sum) return { sum, ...validator, from, to, size, writes, objects, time };
  throw new TreesError(
    'BUNDLE_CORRUPT',
    `cannot use ${tar} of ${feed.url}: its tree is ${rootTree}, ${file} says ${sum}`,
    { hint: 'it may just be being replaced: try again, or tell the publisher', details: { name, sum, rootTree } },
  );
}

/** Looks at a repository: at the apps that are asked about, or at all of it. */
async function fetchListing(
  repository: LegacyRepository,
  before: LegacyListing | undefined,
  options: FeedsOptions,
): Promise<LegacyListing> {
  const { now = new Date(), network = {}, signal, reporter } = options;
  const asked = before === undefined ? undefined : options.apps;
  const listing: LegacyListing = {
    schema: 1,
    fetched: now.toISOString(),
    bases: {},
    apps: asked === undefined ? {} : { ...before?.apps },
  };
  const base = repository.repo.toLowerCase();
  const knownBase = before?.bases[base];
  // A repository of apps is not asked for a base each time.
  if (asked === undefined || knownBase !== undefined) {
    const found = await look(repository, { as: 'base', name: base, known: knownBase }, options);
    if (found !== undefined) listing.bases[base] = found;
  }
  const feed = legacyReleases(repository, network);
  const names = asked ?? (await listTags(repository, feed, { network, signal }));
  const apps = names.filter((name) => APP_NAME.test(name));
  if (apps.length > MOST_APPS) {
    throw new TreesError(
      'UNSUPPORTED',
      `cannot read ${feed.url}: it has ${apps.length} tags, each of which may be an app`,
      {
        hint: 'is it a repository of the original project? trees bundle install legacy:OWNER/REPO/NAME takes a single release',
      },
    );
  }
  const pending = apps.values();
  const worker = async (): Promise<void> => {
    for (const name of pending) {
      try {
        const found = await look(repository, { as: 'app', name, known: before?.apps[name] }, options);
        if (found === undefined) delete listing.apps[name];
        else listing.apps[name] = found;
      } catch (error) {
        signal?.throwIfAborted();
        if (asked !== undefined || !(error instanceof TreesError) || error.code !== 'BUNDLE_CORRUPT') throw error;
        reporter?.warn(`${name} is left out: ${error.message}`);
      }
    }
  };
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, worker));
  listing.apps = Object.fromEntries(Object.entries(listing.apps).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  return listing;
}

/** What the other legacy feeds of a store offer, as it was seen last. */
async function others(root: string, feed: KnownFeed): Promise<Array<LegacySource & { readonly feed: KnownFeed }>> {
  const known = (await listFeeds(root)).filter(({ name, unsigned }) => unsigned === true && name !== feed.name);
  const sources = await Promise.all(
    known.map(async (one) => ({
      feed: one,
      repository: repositoryOf(one),
      listing: await readListing(root, one.name),
    })),
  );
  return sources.flatMap(({ listing, ...source }) => (listing === undefined ? [] : [{ ...source, listing }]));
}

async function toIndexed(root: string, feed: KnownFeed, listing: LegacyListing): Promise<IndexedFeed> {
  const own = { repository: repositoryOf(feed), listing };
  return { feed, stale: false, ...legacyIndex(own, await others(root, feed)) };
}

/** What was seen last, without touching the network. @returns undefined if nothing was */
export async function loadLegacyFeed(root: string, feed: KnownFeed): Promise<IndexedFeed | undefined> {
  const listing = await readListing(root, feed.name);
  return listing === undefined ? undefined : await toIndexed(root, feed, listing);
}

/**
 * Looks at the repository again and stores what is there. The other legacy feeds are asked for their bases if an app
 * needs one that has not been seen yet.
 * @throws TreesError FEED_UNREACHABLE, BUNDLE_CORRUPT for an app that was asked about, LOCKED, FEED_NOT_FOUND
 */
export async function refreshLegacyFeed(root: string, feed: KnownFeed, options: FeedsOptions): Promise<IndexedFeed> {
  const before = await readListing(root, feed.name);
  const listing = await fetchListing(repositoryOf(feed), before, options);
  const same = before !== undefined && isDeepStrictEqual({ ...before, fetched: '' }, { ...listing, fetched: '' });
  if (options.dryRun !== true && !same) {
    await lockFeeds(root, options, async () => {
      if ((await readFeedRecord(root, feed.name))?.url !== feed.url) throw notFound(feed.name, await listFeeds(root));
      await writeFileAtomic(join(feedDirectory(root, feed.name), LISTING_FILE), formatListing(listing));
    });
  }
  const indexed = await toIndexed(root, feed, listing);
  const asked = (options.apps ?? []).flatMap((name) => listing.apps[name] ?? []);
  if (!asked.some(({ from }) => from !== null && !indexed.legacy?.has(from))) return indexed;
  for (const other of await others(root, feed)) await refreshLegacyFeed(root, other.feed, { ...options, apps: [] });
  return await toIndexed(root, feed, listing);
}

/**
 * Adds a repository of the original project, if the user says that nobody need vouch for it.
 * @throws TreesError NOT_CONFIRMED, FEED_UNREACHABLE, FEED_EXISTS, USAGE for keys or mirrors
 */
export async function addLegacyFeed(
  root: string,
  { href, name, ...repository }: LegacyRepository & { readonly href: string; readonly name: string },
  options: AddFeedOptions,
): Promise<IndexedFeed> {
  if (options.keys.length > 0 || (options.mirrors ?? []).length > 0) {
    throw usageError(
      `Expected neither --key nor --mirror with ${href}: nothing there is signed`,
      'leave them out; --trust-unsigned is what it takes',
    );
  }
  const isNamed = options.name !== undefined;
  checkUnknown(await listFeeds(root), { name, url: href, isNamed });
  const question =
    `Nobody signs ${href}: whoever can write to that repository, or to the network on the way, decides what you get. ` +
    'Add it all the same?';
  if (options.trustUnsigned !== true && !(await options.confirm(question))) {
    throw new TreesError('NOT_CONFIRMED', `cannot add the feed ${href}: it is not signed, and that was not accepted`, {
      hint: '--trust-unsigned adds it all the same: nobody vouches then for what comes from it but you',
    });
  }
  const listing = await fetchListing(repository, undefined, { ...options, apps: undefined });
  if (Object.keys(listing.apps).length + Object.keys(listing.bases).length === 0) {
    throw new TreesError('FEED_UNREACHABLE', `cannot add the feed ${href}: it has no release of the original project`, {
      hint: 'a release tagged NAME has NAME.tar and NAME.sum; for feeds of trees itself the address is github:OWNER/REPO',
    });
  }
  const added = (options.now ?? new Date()).toISOString();
  const feed: KnownFeed = { name, url: href, unsigned: true, keys: [], priority: options.priority ?? 0, added };
  const fill = async (directory: string): Promise<void> =>
    await writeFileAtomic(join(directory, LISTING_FILE), formatListing(listing));
  if (options.dryRun !== true) await createFeed(root, feed, { ...options, isNamed, fill });
  return await toIndexed(root, feed, listing);
}
