import compare from 'semver/functions/rcompare.js';
import satisfies from 'semver/functions/satisfies.js';
import validRange from 'semver/ranges/valid.js';
import { TreesError, usageError } from '../errors.js';
import type { IndexedFeed } from './feeds.js';
import { nearest } from './nearest.js';
import type { AppVersion, BaseVersion, Channel } from './schema.js';

export interface SelectRequest {
  /** `NAME`, `NAME@RANGE` or `FEED/NAME@RANGE`. */
  readonly app: string;
  /** As in `uname -m`. */
  readonly arch: string;
  /** `BASE` or `BASE@RANGE`: only versions of the app that build on it. */
  readonly base?: string | undefined;
  /** Look only in this feed (name or URL): `settings.feed`. A feed named in `app` wins. */
  readonly feed?: string | undefined;
  /** `edge`: versions of all channels, `stable`: only those; default: what the feed is set to. */
  readonly channel?: Channel | undefined;
}

export interface Selection {
  readonly feed: IndexedFeed;
  readonly name: string;
  readonly summary: string;
  readonly app: AppVersion;
  readonly base: { readonly name: string; readonly version: BaseVersion };
  /** What was chosen for it; its updates are from there, too. Absent: what the feed is set to. */
  readonly channel?: Channel | undefined;
}

export interface AppReference {
  readonly feed: string | undefined;
  readonly name: string;
  /** Semver range; undefined: the newest release. */
  readonly range: string | undefined;
}

const REFERENCE = /^(?:([a-z0-9][a-z0-9._-]*)\/)?([a-z0-9][a-z0-9._-]*)(?:@(.*))?$/;

/**
 * Takes `NAME`, `NAME@RANGE` or `FEED/NAME@RANGE` apart.
 * @throws TreesError USAGE
 */
export function parseAppReference(text: string): AppReference {
  const [, feed, name, range] = REFERENCE.exec(text) ?? [];
  if (name === undefined) {
    throw usageError(`Expected app to be NAME, NAME@RANGE or FEED/NAME@RANGE, got "${text}"`, 'for example: etcd@^3.5');
  }
  if (range === '' || (range !== undefined && range !== 'latest' && validRange(range) === null)) {
    throw usageError(
      `Expected version of ${name} to be a semver range (1.2.3, ^1.2, latest), got "${range}"`,
      `for example: ${name}@^1.2`,
    );
  }
  return { feed, name, range: range === 'latest' ? undefined : range };
}

/** Newest first. */
function newestFirst<V extends { readonly version: string }>(versions: readonly V[]): V[] {
  return versions.toSorted((a, b) => compare(a.version, b.version));
}

/**
 * Versions that satisfy the range, newest first. Without a range, releases come before prereleases, so that a
 * prerelease is only taken where there is nothing else.
 */
function matching<V extends { readonly version: string }>(versions: readonly V[], range: string | undefined): V[] {
  const sorted = newestFirst(versions);
  if (range !== undefined) return sorted.filter(({ version }) => satisfies(version, range));
  const isPrerelease = ({ version }: V): boolean => version.includes('-');
  return [...sorted.filter((version) => !isPrerelease(version)), ...sorted.filter(isPrerelease)];
}

/** Users of `edge` get what is stable too, where that is newer. */
function inChannel<V extends { readonly channel?: Channel | undefined }>(
  versions: readonly V[],
  channel: Channel | undefined,
): readonly V[] {
  return channel === 'edge' ? versions : versions.filter((version) => version.channel !== 'edge');
}

/** The channel that an app follows: the one that was chosen for it, or else its feed's. */
export function channelIn(
  { feed }: { readonly feed: { readonly channel?: Channel | undefined } },
  chosen: Channel | undefined,
): Channel {
  return chosen ?? feed.channel ?? 'stable';
}

/** `record[name]`, but never something inherited: "constructor" is a valid name. */
function own<T>(record: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}

/** The feeds to ask, by descending priority: only the named one if one is named. */
function candidates(feeds: readonly IndexedFeed[], named: string | undefined): IndexedFeed[] {
  const asked = named === undefined ? feeds : feeds.filter(({ feed }) => feed.name === named || feed.url === named);
  if (named !== undefined && asked.length === 0) {
    throw new TreesError('FEED_NOT_FOUND', `cannot find feed "${named}": no feed has this name or URL`, {
      hint: `known: ${feeds.map(({ feed }) => feed.name).join(', ') || 'none; `trees feed add URL` adds one'}`,
    });
  }
  return asked.toSorted(
    (a, b) => b.feed.priority - a.feed.priority || (a.feed.name < b.feed.name ? -1 : Number(a.feed.name > b.feed.name)),
  );
}

function appNotFound(feeds: readonly IndexedFeed[], name: string, all: readonly IndexedFeed[]): TreesError {
  const elsewhere = all
    .filter(({ index }) => own(index.apps, name) !== undefined)
    .map(({ feed }) => `${feed.name}/${name}`);
  const names = [...new Set(feeds.flatMap(({ index }) => Object.keys(index.apps)))];
  const near = nearest(name, names);
  const searched = feeds.map(({ feed }) => feed.name).join(', ');
  return new TreesError(
    'APP_NOT_FOUND',
    feeds.length === 0
      ? `cannot find app "${name}": no feed has been added`
      : `cannot find app "${name}": not in ${feeds.length === 1 ? 'feed' : 'feeds'} ${searched}`,
    {
      hint:
        feeds.length === 0
          ? '`trees feed add URL` adds one'
          : elsewhere.length > 0
            ? `another feed has it: ${elsewhere.join(', ')}`
            : near.length > 0
              ? `did you mean ${near.join(' or ')}?`
              : '`trees search` lists what the feeds offer',
      details: { app: name, near },
    },
  );
}

interface Narrowed {
  readonly arch: string;
  readonly base: AppReference | undefined;
  readonly channel: Channel | undefined;
}

/** Narrows an app's versions to what can be installed, naming the first condition that leaves nothing. */
function narrowVersions(feed: IndexedFeed, reference: AppReference, request: Narrowed): AppVersion[] {
  const { name, range } = reference;
  const listed = own(feed.index.apps, name)?.versions ?? [];
  const all = inChannel(listed, channelIn(feed, request.channel));
  if (all.length === 0 && listed.length > 0) {
    throw new TreesError('VERSION_NOT_FOUND', `cannot install ${name}: all its versions are on the channel "edge"`, {
      hint: `trees install ${name} --channel edge takes them`,
    });
  }
  const here = all.filter((version) => version.arch === request.arch);
  if (here.length === 0) {
    const arches = [...new Set(all.map((version) => version.arch))].join(', ') || 'nothing';
    throw new TreesError(
      'VERSION_NOT_FOUND',
      `cannot install ${name} on ${request.arch}: it is published for ${arches}`,
      { hint: 'another feed may have it; the setting arch says what to look for' },
    );
  }
  const based = here.filter((version) => request.base === undefined || version.base.name === request.base.name);
  if (based.length === 0) {
    const bases = [...new Set(here.map((version) => version.base.name))].join(', ');
    const asked = request.base?.name ?? '';
    const known = own(feed.index.bases, asked) !== undefined;
    const why = known ? `it builds on ${bases}` : `feed ${feed.feed.name} has no base called "${asked}"`;
    throw new TreesError('BASE_NOT_FOUND', `cannot install ${name} on base "${asked}": ${why}`, {
      hint: `leave --base out or use --base ${bases}`,
    });
  }
  const found = matching(based, range);
  if (found.length > 0) return found;
  const offered = newestFirst(based).map(({ version }) => version);
  throw new TreesError('VERSION_NOT_FOUND', `cannot find ${name}@${range ?? ''}: no published version satisfies it`, {
    hint: `published: ${offered.slice(0, 10).join(', ')}${offered.length > 10 ? ', …' : ''}`,
    details: { app: name, range, published: offered },
  });
}

/** The newest base version that satisfies the app's range and the user's. */
function pickBase(
  feed: IndexedFeed,
  app: AppVersion,
  { range, channel }: { range: string | undefined; channel: Channel | undefined },
): BaseVersion | undefined {
  const versions = inChannel(own(feed.index.bases, app.base.name)?.versions ?? [], channelIn(feed, channel));
  return matching(
    versions.filter((version) => version.arch === app.arch && satisfies(version.version, app.base.range)),
    range,
  )[0];
}

function selectIn(feed: IndexedFeed, reference: AppReference, request: Narrowed): Selection {
  const [app] = narrowVersions(feed, reference, request);
  const summary = own(feed.index.apps, reference.name)?.summary ?? '';
  if (app === undefined) throw new Error(`no version of ${reference.name} is left`);
  const version = pickBase(feed, app, { range: request.base?.range, channel: request.channel });
  if (version !== undefined) {
    const base = { name: app.base.name, version };
    return { feed, name: reference.name, summary, app, base, channel: request.channel };
  }
  const offered = newestFirst(own(feed.index.bases, app.base.name)?.versions ?? []).map((base) => base.version);
  const asked = request.base?.range === undefined ? '' : ` and you asked for ${request.base.range}`;
  throw new TreesError(
    'BASE_RANGE_UNSATISFIED',
    `cannot install ${reference.name} ${app.version}: it needs base ${app.base.name}@${app.base.range}${asked}`,
    {
      hint: `feed ${feed.feed.name} has ${app.base.name} ${[...new Set(offered)].join(', ') || '(none)'}`,
      details: { base: app.base.name, range: app.base.range, published: offered },
    },
  );
}

/**
 * Picks an app version and the base version it goes on: the newest ones that satisfy every range. Feeds are asked by
 * priority; the first that offers something installable wins. Pure.
 * @throws TreesError APP_NOT_FOUND, VERSION_NOT_FOUND, BASE_NOT_FOUND, BASE_RANGE_UNSATISFIED, FEED_NOT_FOUND, USAGE
 */
export function selectApp(feeds: readonly IndexedFeed[], request: SelectRequest): Selection {
  const reference = parseAppReference(request.app);
  const base = request.base === undefined ? undefined : parseAppReference(request.base);
  if (base?.feed !== undefined)
    throw usageError(`Expected base to be BASE or BASE@RANGE, got "${request.base}"`, 'for example: deb@^12');
  const asked = candidates(feeds, reference.feed ?? request.feed);
  let first: unknown;
  for (const feed of asked) {
    if (own(feed.index.apps, reference.name) === undefined) continue;
    try {
      return selectIn(feed, reference, { arch: request.arch, base, channel: request.channel });
    } catch (error) {
      // Another feed may have what this one lacks; if none has, the first one's reason is the one to tell.
      if (!(error instanceof TreesError)) throw error;
      first ??= error;
    }
  }
  throw first ?? appNotFound(asked, reference.name, feeds);
}
