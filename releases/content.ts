import compare from 'semver/functions/rcompare.js';
import satisfies from 'semver/functions/satisfies.js';
import { TreesError } from '../trees/errors.js';
import type { AppVersion, BaseVersion, Channel, FeedIndex } from '../trees/feed/schema.js';
import type { Built, BuiltBase, BuiltLayer } from './built.js';

/** The part of an index that says what there is, without how to get it. */
export type Content = Pick<FeedIndex, 'bases' | 'apps'>;

/** What only the repository knows of a commit. */
export interface Measure {
  /** Unpacked bytes and number of files. */
  size(commit: string): Promise<{ size: number; files: number }>;
  /** Whether the commit is here, whole. */
  has(commit: string): Promise<boolean>;
  /** Checksum of the tree that the layer makes over the base. */
  compose(base: string, layer: string): Promise<string>;
  /** Equal for commits that differ in nothing but version and date; undefined if the commit cannot be had. */
  fingerprint(commit: string): Promise<string | undefined>;
}

export interface ContentOptions {
  /** Versions of each base and app to keep for each architecture. */
  readonly keep: number;
  /** Channel of versions that are new; default stable. */
  readonly channel?: Channel | undefined;
  readonly measure: Measure;
}

interface Versioned {
  readonly version: string;
  readonly arch: string;
  readonly commit: string;
  readonly channel?: Channel | undefined;
}

function sameVersion(a: Versioned, b: Versioned): boolean {
  return a.version === b.version && a.arch === b.arch;
}

export function isStable({ channel }: Pick<Versioned, 'channel'>): boolean {
  return channel !== 'edge';
}

/** Newest first, by architecture; of each at most `keep`, those that must stay, and the newest of `stable`. */
function keepNewest<V extends Versioned>(versions: readonly V[], keep: number, mustStay: (version: V) => boolean): V[] {
  const sorted = versions.toSorted((a, b) =>
    a.arch === b.arch ? compare(a.version, b.version) : a.arch < b.arch ? -1 : 1,
  );
  const counts = new Map<string, number>();
  const withStable = new Set<string>();
  return sorted.filter((version) => {
    const count = (counts.get(version.arch) ?? 0) + 1;
    counts.set(version.arch, count);
    const isNewestStable = isStable(version) && !withStable.has(version.arch);
    if (isNewestStable) withStable.add(version.arch);
    return count <= keep || isNewestStable || mustStay(version);
  });
}

/**
 * Without what would be published again under another version: builds whose content is that of the newest published
 * version, or of the published one of the same number.
 */
async function withoutRepeats<B extends Built>(
  built: readonly B[],
  previous: readonly Versioned[],
  measure: Measure,
): Promise<B[]> {
  const fresh: B[] = [];
  for (const one of built) {
    const sorted = previous.filter(({ arch }) => arch === one.arch).toSorted((a, b) => compare(a.version, b.version));
    const candidates = [sorted.find((entry) => sameVersion(entry, one)), sorted[0]];
    const isListed = sorted.some((entry) => sameVersion(entry, one) && entry.commit === one.commit);
    if (isListed || !(await isRepeat(one.commit, candidates, measure))) fresh.push(one);
  }
  return fresh;
}

async function isRepeat(
  commit: string,
  candidates: readonly (Versioned | undefined)[],
  measure: Measure,
): Promise<boolean> {
  for (const candidate of candidates) {
    if (candidate === undefined) continue;
    const known = await measure.fingerprint(candidate.commit);
    if (known !== undefined && known === (await measure.fingerprint(commit))) return true;
  }
  return false;
}

function previousVersions<V>(
  group: Readonly<Record<string, { versions: V[] }>> | undefined,
  name: string,
): readonly V[] {
  return group !== undefined && Object.hasOwn(group, name) ? (group[name]?.versions ?? []) : [];
}

/** New versions are of the channel that was asked for; those that take the place of another stay in its. */
function channelOf(
  previous: readonly Versioned[],
  one: Versioned,
  channel: Channel | undefined,
): { channel?: Channel | undefined } {
  const replaced = previous.find((entry) => sameVersion(entry, one));
  const chosen = replaced === undefined ? channel : replaced.channel;
  return chosen === 'edge' ? { channel: chosen } : {};
}

async function baseVersions(
  previous: readonly BaseVersion[],
  all: readonly BuiltBase[],
  { measure, channel }: ContentOptions,
): Promise<BaseVersion[]> {
  const versions: BaseVersion[] = [];
  const built = await withoutRepeats(all, previous, measure);
  for (const base of built) {
    const known = previous.find((entry) => sameVersion(entry, base) && entry.commit === base.commit);
    const { version, arch, commit, released } = base;
    const size = await measure.size(commit);
    versions.push(known ?? { version, arch, ...channelOf(previous, base, channel), commit, ...size, released });
  }
  return [...versions, ...previous.filter((entry) => !built.some((base) => sameVersion(entry, base)))];
}

/** The base version to test a layer with: the one it was built on, else the newest that fits and is here. */
async function testedBase(layer: BuiltLayer, bases: readonly BaseVersion[], measure: Measure): Promise<BaseVersion> {
  const fitting = bases
    .filter((base) => base.arch === layer.arch && satisfies(base.version, layer.base.range))
    .toSorted(
      (a, b) =>
        Number(b.commit === layer.base.commit) - Number(a.commit === layer.base.commit) ||
        compare(a.version, b.version),
    );
  for (const base of fitting) if (await measure.has(base.commit)) return base;
  const { name, range } = layer.base;
  throw new TreesError(
    'RELEASE_FAILED',
    `cannot release ${layer.name} ${layer.version}: no base ${name}@${range} for ${layer.arch} has been built`,
    { hint: `build it first: trees build ${name}`, details: { app: layer.name, base: name, range } },
  );
}

async function appVersions(
  previous: readonly AppVersion[],
  all: readonly BuiltLayer[],
  options: ContentOptions & { readonly bases: Readonly<Record<string, BaseVersion[]>> },
): Promise<AppVersion[]> {
  const { measure, channel } = options;
  const versions: AppVersion[] = [];
  const built = await withoutRepeats(all, previous, measure);
  for (const layer of built) {
    const known = previous.find((entry) => sameVersion(entry, layer) && entry.commit === layer.commit);
    if (known !== undefined) {
      versions.push(known);
      continue;
    }
    const { version, arch, commit, released, base } = layer;
    const tested = await testedBase(layer, options.bases[base.name] ?? [], measure);
    const tree = await measure.compose(tested.commit, commit);
    const size = await measure.size(commit);
    const on = { name: base.name, range: base.range, tested: tested.version, tree };
    versions.push({ version, arch, ...channelOf(previous, layer, channel), commit, ...size, released, base: on });
  }
  return [...versions, ...previous.filter((entry) => !built.some((layer) => sameVersion(entry, layer)))];
}

function summaryOf(built: readonly Built[], name: string, previous: string | undefined): string {
  const [newest] = built.filter((entry) => entry.name === name).toSorted((a, b) => compare(a.version, b.version));
  return newest?.summary ?? previous ?? '';
}

const sortedNames = (...names: readonly Iterable<string>[]): string[] =>
  [...new Set(names.flatMap((some) => [...some]))].sort();

/**
 * What an index lists after a release: what it listed before, with the built versions added or put in the place of
 * equal ones, and the oldest left out. Entries of commits that were listed before stay as they were.
 * @throws TreesError RELEASE_FAILED for an app whose base is missing
 */
export async function mergeContent(
  previous: Content | undefined,
  built: readonly Built[],
  options: ContentOptions,
): Promise<Content> {
  const { keep } = options;
  const bases = built.filter((entry): entry is BuiltBase => entry.kind === 'base');
  const layers = built.filter((entry): entry is BuiltLayer => entry.kind === 'layer');
  const allBases: Record<string, BaseVersion[]> = {};
  for (const name of sortedNames(
    Object.keys(previous?.bases ?? {}),
    bases.map((base) => base.name),
  )) {
    const mine = bases.filter((base) => base.name === name);
    allBases[name] = await baseVersions(previousVersions(previous?.bases, name), mine, options);
  }
  const content: Content = { bases: {}, apps: {} };
  for (const name of sortedNames(
    Object.keys(previous?.apps ?? {}),
    layers.map((layer) => layer.name),
  )) {
    const mine = layers.filter((layer) => layer.name === name);
    const versions = await appVersions(previousVersions(previous?.apps, name), mine, { ...options, bases: allBases });
    const summary = summaryOf(layers, name, previous?.apps[name]?.summary);
    content.apps[name] = { summary, versions: keepNewest(versions, keep, () => false) };
  }
  const tested = new Set(
    Object.values(content.apps).flatMap(({ versions }) =>
      versions.map(({ arch, base }) => `${base.name}/${arch}/${base.tested}`),
    ),
  );
  for (const [name, versions] of Object.entries(allBases)) {
    const kept = keepNewest(versions, keep, ({ arch, version }) => tested.has(`${name}/${arch}/${version}`));
    content.bases[name] = { summary: summaryOf(bases, name, previous?.bases[name]?.summary), versions: kept };
  }
  return content;
}
