import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod/mini';
import { isErrno, TreesError } from '../errors.js';
import { storePaths } from '../store/paths.js';
import type { KnownSignature } from './fetch-index.js';
import { isLegacyReference } from './legacy-url.js';
import { encodePublicKey, type PublicKey, parsePublicKey } from './minisign.js';
import { type Channel, channels } from './schema.js';
import type { SeenIndex } from './verify-index.js';

/**
 * What a store keeps of a feed, in `<root>/feeds/<name>/`: `feed.json` (what the user said), `state.json` (the newest
 * index accepted so far), and that index with its signature.
 */
export const recordFile = { feed: 'feed.json', state: 'state.json' } as const;

/** A feed that a store knows. */
export interface KnownFeed {
  readonly name: string;
  readonly url: string;
  /** Whose versions are taken where an app does not say; absent: stable. */
  readonly channel?: Channel;
  /** Nobody signs it, and the user has said yes to that: it has no keys. */
  readonly unsigned?: boolean;
  /** Keys the user trusts for this feed. */
  readonly keys: readonly PublicKey[];
  /** Higher wins where two feeds offer the same app; equal ones go by name. */
  readonly priority: number;
  /** ISO 8601. */
  readonly added: string;
  /** URLs of places with the same files, in the order in which they are tried. */
  readonly mirrors?: readonly string[];
  /** Keys that those above have succeeded: they vouch for commits they have signed, no longer for an index. */
  readonly former?: readonly PublicKey[];
}

/** The keys that may have signed a commit of a feed. */
export function commitKeys({ keys, former = [] }: KnownFeed): readonly PublicKey[] {
  return [...keys, ...former];
}

export interface FeedState extends SeenIndex {
  /** When this index was fetched, ISO 8601. */
  readonly fetched: string;
  readonly signature: KnownSignature | undefined;
}

const feedSchema = z
  .object({
    url: z.string(),
    keys: z.array(z.string()),
    priority: z.number(),
    added: z.string(),
    channel: z.optional(z.enum(channels)),
    mirrors: z.optional(z.array(z.string())),
    former: z.optional(z.array(z.string())),
  })
  .check(z.refine(({ url, keys }) => (keys.length === 0) === isLegacyReference(url)));

const stateSchema = z.object({
  id: z.string(),
  sequence: z.int().check(z.positive()),
  sha256: z.string(),
  fetched: z.string(),
  signature: z.optional(z.object({ place: z.string(), validator: z.string() })),
});

/** Directory of all feeds of a store. */
export function feedsDirectory(root: string): string {
  return storePaths(root).feeds;
}

export function feedDirectory(root: string, name: string): string {
  return join(feedsDirectory(root), name);
}

async function readRecord<T>(path: string, schema: z.ZodMiniType<T>): Promise<T | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
  try {
    return z.parse(schema, JSON.parse(text));
  } catch (cause) {
    throw new TreesError('STORE_CORRUPT', `cannot read ${path}: it is not what trees wrote`, {
      hint: 'remove the feed and add it again: `trees feed rm NAME`, `trees feed add URL`',
      cause,
    });
  }
}

/** @returns undefined if there is no such feed */
export async function readFeedRecord(root: string, name: string): Promise<KnownFeed | undefined> {
  const path = join(feedDirectory(root, name), recordFile.feed);
  const record = await readRecord(path, feedSchema);
  if (record === undefined) return undefined;
  const parse = (keys: readonly string[]): PublicKey[] => keys.map((key) => parsePublicKey(key, path));
  const { mirrors = [], former = [], channel: said, ...rest } = record;
  const channel = said === undefined ? {} : { channel: said };
  const unsigned = isLegacyReference(record.url) ? { unsigned: true } : {};
  return { ...rest, name, ...channel, mirrors, ...unsigned, keys: parse(record.keys), former: parse(former) };
}

export function formatFeedRecord(feed: KnownFeed): string {
  const { url, keys, priority, added, channel, mirrors = [], former = [] } = feed;
  const record = {
    url,
    keys: keys.map(encodePublicKey),
    priority,
    added,
    ...(channel === 'edge' ? { channel } : {}),
    ...(mirrors.length > 0 ? { mirrors } : {}),
    ...(former.length > 0 ? { former: former.map(encodePublicKey) } : {}),
  };
  return `${JSON.stringify(record, undefined, 2)}\n`;
}

export async function readFeedState(root: string, name: string): Promise<FeedState | undefined> {
  const state = await readRecord(join(feedDirectory(root, name), recordFile.state), stateSchema);
  return state === undefined ? undefined : { ...state, signature: state.signature };
}

export function formatFeedState({ id, sequence, sha256, fetched, signature }: FeedState): string {
  return `${JSON.stringify({ id, sequence, sha256, fetched, signature }, undefined, 2)}\n`;
}

/** Feeds of a store, highest priority first, then by name. Names that start with "." are feeds half added or removed. */
export async function listFeeds(root: string): Promise<readonly KnownFeed[]> {
  let names: string[];
  try {
    names = await readdir(feedsDirectory(root));
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  }
  const records = await Promise.all(
    names.filter((name) => !name.startsWith('.')).map(async (name) => await readFeedRecord(root, name)),
  );
  return records
    .filter((feed) => feed !== undefined)
    .toSorted((a, b) => b.priority - a.priority || (a.name < b.name ? -1 : 1));
}
