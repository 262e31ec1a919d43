import satisfies from 'semver/functions/satisfies.js';
import { TreesError, usageError } from '../errors.js';
import { type Alternative, alternativesTo } from '../feed/alternatives.js';
import type { IndexedFeed } from '../feed/feeds.js';
import { type PathPlan, planPaths } from '../feed/path.js';
import type { BaseVersion, Channel, FeedIndex } from '../feed/schema.js';
import { channelIn, parseAppReference, type Selection, selectApp } from '../feed/select.js';
import type { Checksum } from '../ostree/types.js';
import { commitNames } from './commit-names.js';
import { type InstalledApp, isAppName, listInstalled, readInstalled } from './generations.js';
import { refName } from './metadata.js';
import type { StorePaths } from './paths.js';
import { readPin } from './pins.js';

export interface InstallRequest {
  /** `NAME`, `NAME@RANGE` or `FEED/NAME@RANGE`. */
  readonly app: string;
  /** `BASE` or `BASE@RANGE`. */
  readonly base?: string | undefined;
  /** Install under this name; default the app's. */
  readonly name?: string | undefined;
  /** Clear and install again even if it is there. */
  readonly force?: boolean | undefined;
  readonly arch: string;
  /** Look only in this feed. */
  readonly feed?: string | undefined;
  /** Default: that of the app if it is installed, else stable. */
  readonly channel?: Channel | undefined;
}

/** What to install, decided; nothing has been changed yet. */
export interface InstallTarget {
  readonly name: string;
  readonly selection: Selection;
  readonly installed: InstalledApp | undefined;
  /** It is installed at just this version on a fitting base, and nothing forces doing it again. */
  readonly done: boolean;
}

/**
 * Decides what a request means against what the feeds offer and what is installed. Reads only.
 * @throws TreesError as `selectApp`; VERSION_NOT_FOUND outside of the app's pin; USAGE for an impossible name; PATH_CONFLICT if another app has the name
 */
export function chooseTarget(feeds: readonly IndexedFeed[], paths: StorePaths, request: InstallRequest): InstallTarget {
  const reference = parseAppReference(request.app);
  const pin = readPin(paths, request.name ?? reference.name);
  const app = pin === undefined || reference.range !== undefined ? request.app : `${request.app}@${pin.range}`;
  const installed = readCurrent(paths, request.name ?? reference.name, request.force === true);
  const channel = request.channel ?? installed?.current.channel;
  const found = selectApp(feeds, { ...request, app, channel });
  const name = request.name ?? found.name;
  if (pin !== undefined && !satisfies(found.app.version, pin.range)) {
    throw new TreesError(
      'VERSION_NOT_FOUND',
      `cannot install ${found.name} ${found.app.version} as "${name}": it is pinned to ${pin.range}`,
      { hint: `trees unpin ${name} lets it go, trees pin ${name}@RANGE pins it elsewhere` },
    );
  }
  if (!isAppName(name)) {
    throw usageError(
      `Expected name to be lowercase letters, digits, ".", "_" and "-", starting with a letter or digit, got "${name}"`,
    );
  }
  if (installed !== undefined && installed.current.app !== found.name && request.force !== true) {
    throw new TreesError(
      'PATH_CONFLICT',
      `cannot install ${found.name} as "${name}": that is ${installed.current.app}`,
      {
        hint: `choose another name with --name, or replace it with --force`,
      },
    );
  }
  const selection = request.base?.includes('@') === true ? found : onInstalledBase(found, paths);
  const current = installed?.current;
  const done =
    request.force !== true &&
    current?.layer === selection.app.commit &&
    channelIn(selection.feed, current.channel) === channelIn(selection.feed, channel) &&
    (selection.feed.legacy !== undefined ||
      current.base.commit === selection.base.version.commit ||
      (request.base === undefined && satisfies(current.base.version, selection.app.base.range)));
  return { name, selection, installed, done };
}

/** Force is for replacing what is damaged, too. */
function readCurrent(paths: StorePaths, name: string, force: boolean): InstalledApp | undefined {
  try {
    return readInstalled(paths, name);
  } catch (error) {
    if (force && error instanceof TreesError && error.code === 'STORE_CORRUPT') return undefined;
    throw error;
  }
}

/**
 * All apps on a base share one installed version of it: a newer one is what `update` brings, to all of them. So the
 * newest version that is in use here is taken if the app can work with it and the feed still offers it.
 */
function onInstalledBase(selection: Selection, paths: StorePaths): Selection {
  const { name } = selection.base;
  const inUse = new Set(
    listInstalled(paths, () => undefined)
      .map((app) => app.current.base)
      .filter((base) => base.name === name)
      .map((base) => base.commit),
  );
  const offered = selection.feed.index.bases[name]?.versions ?? [];
  const usable = offered.filter(
    (version) =>
      inUse.has(version.commit) &&
      version.arch === selection.app.arch &&
      (channelIn(selection.feed, selection.channel) === 'edge' || version.channel !== 'edge') &&
      satisfies(version.version, selection.app.base.range),
  );
  const best = usable.reduce<BaseVersion | undefined>(
    (newest, version) => (newest === undefined || satisfies(version.version, `>${newest.version}`) ? version : newest),
    undefined,
  );
  return best === undefined ? selection : { ...selection, base: { name, version: best } };
}

export interface PlanOptions {
  /** Bundles (by sha256) that have failed. */
  readonly exclude?: ReadonlySet<string> | undefined;
  /** Speed of the link to the feed, if known. */
  readonly bytesPerSecond?: number | undefined;
  /** The store's refs: what sources that the index does not know are called. */
  readonly refs?: ReadonlyMap<string, Checksum> | undefined;
}

/**
 * The bundles to fetch for a selection.
 * @param have commits that are whole in the store: of whatever app, base or tree
 * @throws TreesError VERSION_NOT_FOUND if no chain of published bundles leads there
 */
export function planBundles(selection: Selection, have: ReadonlySet<Checksum>, options: PlanOptions = {}): PathPlan {
  const { exclude, bytesPerSecond, refs } = options;
  const { index } = selection.feed;
  const nameOf = commitNames(index, refs);
  const plan = planPaths(index.bundles, have, wantsOf(selection, have), { exclude, bytesPerSecond, nameOf });
  if (plan !== undefined) return plan;
  throw new TreesError(
    'VERSION_NOT_FOUND',
    `cannot install ${selection.name} ${selection.app.version}: no chain of bundles of feed ` +
      `${selection.feed.feed.name} leads there${(exclude?.size ?? 0) > 0 ? ' without the ones that failed' : ''}`,
    {
      hint:
        selection.feed.legacy === undefined
          ? 'tell the publisher: every version needs a way from nothing or from its base'
          : 'add the repository of the base that it was made from, too: trees feed add legacy:OWNER/REPO',
    },
  );
}

/** A plan with what else could have been done, for people who ask first. */
export interface ExplainedPlan extends PathPlan {
  readonly alternatives: readonly Alternative[];
  readonly nameOf: (commit: Checksum) => string;
}

/**
 * As `planBundles`, with the next best ways.
 * @throws TreesError as `planBundles`
 */
export function explainBundles(
  selection: Selection,
  have: ReadonlySet<Checksum>,
  options: PlanOptions = {},
): ExplainedPlan {
  const plan = planBundles(selection, have, options);
  const { bundles } = selection.feed.index;
  const { exclude, bytesPerSecond, refs } = options;
  const nameOf = commitNames(selection.feed.index, refs);
  const wants = wantsOf(selection, have);
  const alternatives = alternativesTo(plan, bundles, { have, wants, exclude, bytesPerSecond, nameOf });
  return { ...plan, alternatives, nameOf };
}

function wantsOf({ base, app, feed }: Selection, have: ReadonlySet<Checksum>): Checksum[] {
  // A whole tree needs its base for being fetched only, if at all.
  const needed = feed.legacy === undefined ? [base.version.commit, app.commit] : [app.commit];
  return needed.filter((commit) => !have.has(commit));
}

/** The ref that keeps a commit of an index alive; the index was checked to know every commit it has bundles to. */
export function refOf(index: FeedIndex, commit: Checksum): string {
  for (const [name, base] of Object.entries(index.bases)) {
    const version = base.versions.find((candidate) => candidate.commit === commit);
    if (version !== undefined) return refName.base(name, version.arch, version.version);
  }
  for (const [name, app] of Object.entries(index.apps)) {
    const version = app.versions.find((candidate) => candidate.commit === commit);
    if (version !== undefined) return refName.layer(name, version.arch, version.version);
  }
  throw new TreesError('INDEX_INVALID', `cannot place commit ${commit}: the index names no version of it`);
}
