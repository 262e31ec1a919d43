import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { feedDirectory, type KnownFeed } from '../feed/records.js';
import { replaceFile } from './files.js';

/** `feeds/<feed>/link.json`: how fast bundles of the feed arrived. Losing it costs nothing. */
const LINK_FILE = 'link.json';
/** Less than this says more about the latency of a link than about its speed. */
const MIN_BYTES = 1_000_000;
/** Of a directory that was never measured: slower than most disks, faster than most links. */
const DISK_SPEED = 200e6;
/** How much the newest measurement counts. */
const WEIGHT = 0.5;

/**
 * Speed of the link to a feed in bytes a second; undefined if nothing large was fetched from it yet.
 * @param root the store's root
 */
export function linkSpeed(root: string, feed: KnownFeed): number | undefined {
  return readSpeed(root, feed.name) ?? (feed.url.startsWith('dir:') ? DISK_SPEED : undefined);
}

function readSpeed(root: string, feed: string): number | undefined {
  try {
    const record: unknown = JSON.parse(readFileSync(join(feedDirectory(root, feed), LINK_FILE), 'utf8'));
    const speed: unknown = typeof record === 'object' && record !== null ? Reflect.get(record, 'bytesPerSecond') : 0;
    return typeof speed === 'number' && Number.isFinite(speed) && speed > 0 ? speed : undefined;
  } catch {
    return undefined;
  }
}

/** Times one download, from its first bytes to its last. */
export interface LinkMeasurement {
  /** To be called with the number of bytes that are there so far; those of an earlier run are not counted. */
  update(bytes: number): void;
  /** As measured so far; undefined at the beginning. */
  bytesPerSecond(): number | undefined;
  /** Remembers the speed, if enough was fetched to tell. Never fails: it is only good for choosing. */
  record(root: string, feed: string): Promise<void>;
}

export function measureLink(now: () => number = () => performance.now()): LinkMeasurement {
  let first: { bytes: number; at: number } | undefined;
  let last: { bytes: number; at: number } | undefined;
  const bytesPerSecond = (): number | undefined => {
    const bytes = (last?.bytes ?? 0) - (first?.bytes ?? 0);
    const seconds = ((last?.at ?? 0) - (first?.at ?? 0)) / 1000;
    return bytes < MIN_BYTES || seconds <= 0 ? undefined : bytes / seconds;
  };
  return {
    update(bytes) {
      last = { bytes, at: now() };
      if (first === undefined || bytes < first.bytes) first = last;
    },
    bytesPerSecond,
    async record(root, feed) {
      const measured = bytesPerSecond();
      if (measured === undefined) return;
      const known = readSpeed(root, feed);
      const speed = Math.round(known === undefined ? measured : WEIGHT * measured + (1 - WEIGHT) * known);
      const path = join(feedDirectory(root, feed), LINK_FILE);
      await replaceFile(path, `${JSON.stringify({ bytesPerSecond: speed })}\n`).catch(() => undefined);
    },
  };
}
