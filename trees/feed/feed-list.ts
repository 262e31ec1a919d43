import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TreesError } from '../errors.js';
import type { Reporter } from '../reporter.js';
import { syncDirectory } from '../store/files.js';
import { acquireLock } from '../store/locks.js';
import { checkUsable, createRoot } from '../store/usable.js';
import type { NetworkOptions } from './network.js';
import { feedDirectory, feedsDirectory, formatFeedRecord, type KnownFeed, listFeeds, recordFile } from './records.js';

export interface FeedsOptions {
  /** Default: the clock. */
  now?: Date | undefined;
  allowStale?: boolean | undefined;
  /** Check everything, store nothing. */
  dryRun?: boolean | undefined;
  signal?: AbortSignal | undefined;
  reporter?: Reporter | undefined;
  /** Seconds to wait for another trees that writes to the feeds; default 60. */
  lockTimeout?: number | undefined;
  network?: NetworkOptions | undefined;
  /** Apps that are asked about: a feed that has no index looks at these only. Default: all. */
  apps?: readonly string[] | undefined;
}

const LOCK_TIMEOUT = 60;
/** Feeds half added or half removed. */
const HALF_DONE = /^\.(add|rm)-/;

/** Runs `action` while no other process changes the list of feeds. @throws TreesError LOCKED, STORE_UNUSABLE */
export async function lockFeeds<T>(root: string, options: FeedsOptions, action: () => Promise<T>): Promise<T> {
  const directory = feedsDirectory(root);
  if (!(await checkUsable(root))) await createRoot(root);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  using _lock = await acquireLock(join(directory, '.lock'), 'exclusive', {
    what: `the list of feeds in ${directory}`,
    command: 'change the feeds',
    timeout: options.lockTimeout ?? LOCK_TIMEOUT,
    signal: options.signal,
    reporter: options.reporter,
  });
  // Under the lock these are what killed processes left.
  for (const name of await readdir(directory)) {
    if (HALF_DONE.test(name)) await rm(join(directory, name), { recursive: true, force: true });
  }
  return await action();
}

export function notFound(name: string, known: readonly KnownFeed[]): TreesError {
  return new TreesError('FEED_NOT_FOUND', `cannot find feed "${name}": no feed has this name or URL`, {
    hint: `known: ${known.map((feed) => feed.name).join(', ') || 'none; `trees feed add URL` adds one'}`,
  });
}

/**
 * The feed with this name or URL.
 * @throws TreesError FEED_NOT_FOUND
 */
export async function findFeed(root: string, nameOrUrl: string): Promise<KnownFeed> {
  const known = await listFeeds(root);
  const found = known.find((feed) => feed.name === nameOrUrl || feed.url === nameOrUrl);
  if (found === undefined) throw notFound(nameOrUrl, known);
  return found;
}

/** The same URL may be there twice, with other keys or another priority, but only if the user gives it a name. @throws TreesError FEED_EXISTS */
export function checkUnknown(known: readonly KnownFeed[], feed: { name: string; url: string; isNamed: boolean }): void {
  const twin = known.find((other) => other.name === feed.name || (!feed.isNamed && other.url === feed.url));
  if (twin === undefined) return;
  const isSame = twin.url === feed.url;
  const why = isSame ? `it is known as "${twin.name}"` : `the name "${feed.name}" is taken by ${twin.url}`;
  throw new TreesError('FEED_EXISTS', `cannot add the feed ${feed.url}: ${why}`, {
    hint: isSame ? `\`trees feed rm ${twin.name}\` removes it` : 'choose another name with --name',
    details: { name: twin.name, url: twin.url },
  });
}

/**
 * Adds a feed to the store, whole or not at all.
 * @param options.fill writes what is known of it beside its record
 */
export async function createFeed(
  root: string,
  feed: KnownFeed,
  options: FeedsOptions & { readonly isNamed: boolean; fill(directory: string): Promise<void> },
): Promise<void> {
  await lockFeeds(root, options, async () => {
    checkUnknown(await listFeeds(root), { ...feed, isNamed: options.isNamed });
    const temporary = await mkdtemp(join(feedsDirectory(root), '.add-'));
    try {
      await writeFile(join(temporary, recordFile.feed), formatFeedRecord(feed), { flush: true });
      await options.fill(temporary);
      await rename(temporary, feedDirectory(root, feed.name));
      await syncDirectory(feedsDirectory(root));
    } catch (error) {
      await rm(temporary, { recursive: true, force: true });
      throw error;
    }
  });
}
