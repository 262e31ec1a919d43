import greater from 'semver/functions/gt.js';
import satisfies from 'semver/functions/satisfies.js';
import { TreesError } from '../errors.js';
import type { IndexedFeed } from '../feed/feeds.js';
import type { GatheredFeeds } from '../feed/gather.js';
import { channelIn, type Selection, selectApp } from '../feed/select.js';
import { type InstalledApp, requireInstalled } from './generations.js';
import type { InstallTarget } from './install-plan.js';
import type { StorePaths } from './paths.js';
import { type Pin, readPin } from './pins.js';

/** What an update means for one installed app, decided; nothing has been changed yet. */
export interface UpdateTarget extends InstallTarget {
  readonly installed: InstalledApp;
  readonly pin: Pin | undefined;
}

/** A base version that an app is to move to because another one does. */
type BaseMove = Selection['base'];

/**
 * The newest version of an installed app that its pin and its feed allow, on the newest base that this version allows.
 * Never older than what is installed, unless a pin asks for it.
 * @throws TreesError APP_NOT_INSTALLED, STORE_CORRUPT, FEED_NOT_FOUND, the feed's own problem, and as `selectApp`
 */
export function chooseUpdate(gathered: GatheredFeeds, paths: StorePaths, name: string): UpdateTarget {
  const installed = requireInstalled(paths, name);
  const pin = readPin(paths, name);
  const { current } = installed;
  const feed = feedOf(gathered, installed);
  const app = `${current.feed}/${current.app}${pin === undefined ? '' : `@${pin.range}`}`;
  const newest = selectApp([feed], { app, arch: current.arch, channel: current.channel });
  if (pin !== undefined || !greater(current.version, newest.app.version)) return toTarget(installed, pin, newest);
  // The feed has withdrawn what is installed, or a prerelease was chosen: the app stays, its base need not.
  return chooseSameLayer(feed, installed, pin) ?? toTarget(installed, pin, newest, true);
}

/**
 * An app that follows another one to a newer version of the base they share, with the layer it has.
 * @returns undefined if it cannot: the feed no longer offers the layer, or the app does not work with that version
 * @throws TreesError APP_NOT_INSTALLED, STORE_CORRUPT
 */
export function chooseFollower(
  { feeds }: GatheredFeeds,
  paths: StorePaths,
  { name, move, from }: { name: string; move: BaseMove; from: string },
): UpdateTarget | undefined {
  const installed = requireInstalled(paths, name);
  const { current } = installed;
  if (current.feed !== from || current.base.name !== move.name || current.arch !== move.version.arch) return undefined;
  if (!greater(move.version.version, current.base.version)) return undefined;
  const feed = feeds.find((candidate) => candidate.feed.name === from);
  if (feed === undefined) return undefined;
  if (move.version.channel === 'edge' && channelIn(feed, current.channel) !== 'edge') return undefined;
  const app = installedVersion(feed, installed);
  if (app?.base.name !== move.name) return undefined;
  if (!satisfies(move.version.version, app.base.range)) return undefined;
  const { channel, summary } = current;
  const selection: Selection = { feed, name: current.app, summary, app, base: move, channel };
  return toTarget(installed, readPin(paths, name), selection);
}

/** The layer that is installed, on the newest base it works with. */
function chooseSameLayer(feed: IndexedFeed, installed: InstalledApp, pin: Pin | undefined): UpdateTarget | undefined {
  const app = installedVersion(feed, installed);
  if (app === undefined) return undefined;
  const { current } = installed;
  // What is installed may have been taken back from stable since.
  const channel = app.channel ?? current.channel;
  const selection = selectApp([feed], { app: `${current.app}@${app.version}`, arch: current.arch, channel });
  return toTarget(installed, pin, selection);
}

function installedVersion(feed: IndexedFeed, { current }: InstalledApp) {
  const entry = Object.hasOwn(feed.index.apps, current.app) ? feed.index.apps[current.app] : undefined;
  return entry?.versions.find((version) => version.commit === current.layer);
}

function toTarget(installed: InstalledApp, pin: Pin | undefined, selection: Selection, keep = false): UpdateTarget {
  const { current } = installed;
  const { name, version } = selection.base;
  const done =
    keep ||
    (current.layer === selection.app.commit &&
      (selection.feed.legacy !== undefined ||
        current.base.commit === version.commit ||
        (current.base.name === name && greater(current.base.version, version.version))));
  return { name: installed.name, selection, installed, done, pin };
}

/** Updates come from the feed that the app came from: another one may mean something else by the name. */
function feedOf({ feeds, problems }: GatheredFeeds, { name, current }: InstalledApp): IndexedFeed {
  const found = feeds.find(({ feed }) => feed.name === current.feed);
  if (found !== undefined) return found;
  const problem = problems.find(({ feed }) => feed.name === current.feed);
  if (problem !== undefined) throw problem.error;
  if (current.feed === '') {
    throw new TreesError('FEED_NOT_FOUND', `cannot update ${name}: it was installed from a file`, {
      hint: `trees bundle install FILE brings a newer one, trees install FEED/${current.app} takes it from a feed`,
    });
  }
  throw new TreesError('FEED_NOT_FOUND', `cannot update ${name}: it came from feed "${current.feed}", which is gone`, {
    hint: `add the feed again under that name, or take the app from another one: trees install FEED/${current.app}`,
    details: { feed: current.feed },
  });
}
