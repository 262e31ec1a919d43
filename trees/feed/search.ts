import compare from 'semver/functions/rcompare.js';
import type { IndexedFeed } from './feeds.js';
import type { Channel } from './schema.js';

/** An app that a feed offers for an architecture. */
export interface Offer {
  readonly name: string;
  readonly summary: string;
  readonly feed: string;
  /** Nobody vouches for what the feed offers. */
  readonly unsigned: boolean;
  /** Newest release; a prerelease only if there is nothing else. */
  readonly version: string;
  /** `edge` if the feed has nothing of it for everybody. */
  readonly channel: Channel;
  /** All versions, newest first. */
  readonly versions: readonly string[];
  /** Base of the newest version. */
  readonly base: { readonly name: string; readonly range: string };
  /** Unpacked bytes of the newest version, its base not counted. */
  readonly size: number;
}

/** How well an offer fits: smaller is better, undefined is not at all. */
function rank(offer: Offer, words: readonly string[]): number | undefined {
  const summary = offer.summary.toLowerCase();
  let worst = 0;
  for (const word of words) {
    const place =
      offer.name === word
        ? 0
        : offer.name.startsWith(word)
          ? 1
          : offer.name.includes(word)
            ? 2
            : summary.includes(word)
              ? 3
              : 4;
    if (place === 4) return undefined;
    worst = Math.max(worst, place);
  }
  return worst;
}

/** Everything that the feeds offer for `arch`, feeds in the order given. */
export function listOffers(feeds: readonly IndexedFeed[], arch: string): Offer[] {
  return feeds.flatMap(({ feed, index }) =>
    Object.entries(index.apps).flatMap(([name, app]) => {
      const versions = app.versions
        .filter((version) => version.arch === arch)
        .toSorted((a, b) => compare(a.version, b.version));
      const open = versions.filter(({ channel = 'stable' }) => channel === 'stable' || feed.channel === 'edge');
      const [list, channel] = open.length > 0 ? ([open, 'stable'] as const) : ([versions, 'edge'] as const);
      const newest = list.find(({ version }) => !version.includes('-')) ?? list[0];
      if (newest === undefined) return [];
      const base = { name: newest.base.name, range: newest.base.range };
      const all = versions.map(({ version }) => version);
      const { version, size } = newest;
      return [
        {
          name,
          summary: app.summary,
          feed: feed.name,
          unsigned: feed.unsigned === true,
          version,
          channel,
          versions: all,
          base,
          size,
        },
      ];
    }),
  );
}

/** Offers whose name or summary has every word, best first, then by name. No words: all of them. */
export function searchOffers(offers: readonly Offer[], words: readonly string[]): Offer[] {
  const wanted = words.map((word) => word.toLowerCase());
  return offers
    .map((offer, position) => ({ offer, position, rank: rank(offer, wanted) }))
    .filter((found): found is typeof found & { rank: number } => found.rank !== undefined)
    .sort(
      (a, b) =>
        a.rank - b.rank ||
        (a.offer.name < b.offer.name ? -1 : Number(a.offer.name > b.offer.name)) ||
        a.position - b.position,
    )
    .map(({ offer }) => offer);
}
