import { TreesError } from '../errors.js';
import type { Feed, OpenOptions } from './feed.js';
import type { BundleEntry } from './schema.js';

/** A bundle cannot be used: its bytes are not those that the index promises. */
export function corruptBundle(feed: Feed, entry: BundleEntry, why: string): TreesError {
  return new TreesError('BUNDLE_CORRUPT', `cannot use bundle ${entry.file} of ${feed.url}: ${why}`, {
    hint: 'nothing of it was kept; run the command again, and tell the publisher if it stays',
    details: { file: entry.file, feed: feed.url, sha256: entry.sha256 },
  });
}

/** The file that holds a certain byte of a bundle. */
interface Place {
  readonly file: string;
  /** Byte of the bundle that the file begins with. */
  readonly start: number;
  readonly size: number;
}

function placeOf(entry: BundleEntry, offset: number): Place {
  let start = 0;
  for (const { file, size } of entry.pieces ?? []) {
    if (offset < start + size) return { file, start, size };
    start += size;
  }
  return { file: entry.file, start: 0, size: entry.size };
}

/** The feed has another version of the file than the one that this transfer began with. */
export class ChangedFile extends Error {
  override readonly name = 'ChangedFile';
}

/** The feed sent a file from its beginning although a part was asked for. */
export class CannotSeek extends Error {
  override readonly name = 'CannotSeek';
}

export interface BundleBytesOptions {
  /** First byte of the bundle. */
  readonly offset: number;
  /** Byte after the last one; default: the end of the bundle. */
  readonly end?: number;
  readonly signal?: AbortSignal | undefined;
  /** Files of the feed by the version they had when they were first opened; filled here, shared by all requests for a bundle. */
  readonly validators?: Map<string, string> | undefined;
  /** Fail rather than fetch and drop what comes before `offset`. */
  readonly mustSeek?: boolean;
}

/**
 * Streams bytes of a bundle from `offset` on, at most to `end` and at most to the end of the file that holds `offset`.
 * A feed that cannot seek sends the file from its beginning; what comes before `offset` is then dropped here.
 * Ends early if the feed does.
 * @throws TreesError FEED_UNREACHABLE, BUNDLE_CORRUPT; ChangedFile; CannotSeek
 */
export async function* bundleBytes(
  feed: Feed,
  entry: BundleEntry,
  { offset, end = entry.size, signal, validators, mustSeek = false }: BundleBytesOptions,
): AsyncGenerator<Buffer, void> {
  const { file, start, size } = placeOf(entry, offset);
  const last = Math.min(end, start + size);
  const opened = await openPlace(feed, file, {
    signal,
    offset: offset - start,
    release: entry.release,
    ...(last < start + size || mustSeek ? { length: last - offset } : {}),
    validator: validators?.get(file),
  });
  if (opened.offset !== 0 && opened.offset !== offset - start) {
    opened.stream.destroy();
    throw corruptBundle(feed, entry, `the feed sent ${file} from byte ${opened.offset}`);
  }
  const known = validators?.get(file);
  if (known !== undefined && opened.validator !== undefined && opened.validator !== known) {
    opened.stream.destroy();
    throw new ChangedFile(`${file} has changed`);
  }
  if (opened.validator !== undefined) validators?.set(file, opened.validator);
  if (mustSeek && opened.offset !== offset - start) {
    opened.stream.destroy();
    throw new CannotSeek(`${feed.url} cannot send parts of ${file}`);
  }
  let position = start + opened.offset;
  for await (const chunk of opened.stream) {
    const bytes: Buffer = chunk;
    const from = position;
    position += bytes.length;
    if (position > start + size) throw corruptBundle(feed, entry, `${file} is longer than ${size} bytes`);
    if (position <= offset) continue;
    yield bytes.subarray(Math.max(0, offset - from), Math.min(bytes.length, last - from));
    // A feed that ignores the length goes on; the file's own end is waited for, so that a longer file is noticed.
    if (position >= last && last < start + size) return;
  }
}

async function openPlace(feed: Feed, file: string, options: OpenOptions) {
  const opened = await feed.open(file, options);
  if (opened !== undefined) return opened;
  throw new TreesError('FEED_UNREACHABLE', `cannot fetch bundle ${file}: ${feed.url} has no such file`, {
    hint: 'the feed may just be switching to a new release; run the command again',
  });
}
