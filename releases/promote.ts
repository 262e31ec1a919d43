import compare from 'semver/functions/rcompare.js';
import satisfies from 'semver/functions/satisfies.js';
import { TreesError } from '../trees/errors.js';
import { nearest } from '../trees/feed/nearest.js';
import type { AppVersion, BaseVersion, Channel, FeedIndex } from '../trees/feed/schema.js';
import { parseAppReference } from '../trees/feed/select.js';
import { type Content, isStable } from './content.js';

export interface Promotion {
  readonly name: string;
  readonly version: string;
  readonly arch: string;
  readonly from: Channel;
  readonly to: Channel;
}

type Version = AppVersion | BaseVersion;

/** Those versions of each architecture that are meant: all that satisfy the range, or the newest. */
function chosen(versions: readonly Version[], range: string | undefined): Set<Version> {
  const sorted = versions.toSorted((a, b) => compare(a.version, b.version));
  const meant = sorted.filter(({ version, arch }) =>
    range === undefined ? version === sorted.find((entry) => entry.arch === arch)?.version : satisfies(version, range),
  );
  return new Set(meant);
}

function unknownName(name: string, index: FeedIndex): TreesError {
  const near = nearest(name, [...Object.keys(index.bases), ...Object.keys(index.apps)]);
  return new TreesError('APP_NOT_FOUND', `cannot promote "${name}": the feed has no app and no base of that name`, {
    hint: near.length > 0 ? `did you mean ${near.join(' or ')}?` : 'release it first: trees release',
    details: { name, near },
  });
}

/**
 * Moves versions to another channel. An app that comes to stable needs a stable base that it works with.
 * @param what `NAME` (its newest version) or `NAME@RANGE`
 * @throws TreesError USAGE, APP_NOT_FOUND, VERSION_NOT_FOUND, BASE_RANGE_UNSATISFIED
 */
export function promote(
  index: FeedIndex,
  what: string,
  channel: Channel,
): { readonly content: Content; readonly promotions: readonly Promotion[] } {
  const { name, range } = parseAppReference(what);
  const promotions: Promotion[] = [];
  const move = <V extends Version>(versions: readonly V[]): V[] => {
    const meant = chosen(versions, range);
    if (meant.size === 0) {
      const offered = versions.map(({ version }) => version).join(', ');
      throw new TreesError('VERSION_NOT_FOUND', `cannot promote ${what}: no published version satisfies it`, {
        hint: `published: ${offered}`,
      });
    }
    return versions.map((entry) => {
      const from: Channel = entry.channel ?? 'stable';
      if (!meant.has(entry) || from === channel) return entry;
      promotions.push({ name, version: entry.version, arch: entry.arch, from, to: channel });
      const { channel: _, ...rest } = entry;
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only an optional member was taken out and put in
      return { ...rest, ...(channel === 'edge' ? { channel } : {}) } as V;
    });
  };
  const content: Content = { bases: { ...index.bases }, apps: { ...index.apps } };
  const app = Object.hasOwn(index.apps, name) ? index.apps[name] : undefined;
  const base = Object.hasOwn(index.bases, name) ? index.bases[name] : undefined;
  if (app !== undefined) content.apps[name] = { ...app, versions: move(app.versions) };
  if (base !== undefined) content.bases[name] = { ...base, versions: move(base.versions) };
  if (app === undefined && base === undefined) throw unknownName(name, index);
  checkBases(content);
  return { content, promotions };
}

/** Every stable app version must find a stable base. */
function checkBases({ apps, bases }: Content): void {
  for (const [name, { versions }] of Object.entries(apps)) {
    for (const { version, arch, base, channel } of versions) {
      if (!isStable({ channel })) continue;
      const fits = bases[base.name]?.versions.some(
        (candidate) => isStable(candidate) && candidate.arch === arch && satisfies(candidate.version, base.range),
      );
      if (fits === true) continue;
      throw new TreesError(
        'BASE_RANGE_UNSATISFIED',
        `cannot promote: ${name} ${version} is stable and would have no stable base ${base.name}@${base.range}`,
        { hint: `promote the base first: trees release promote ${base.name} --channel stable` },
      );
    }
  }
}
