import { type BundleBytesOptions, bundleBytes } from './bundle-bytes.js';
import type { Feed } from './feed.js';
import type { BundleEntry } from './schema.js';

/** Connections for one bundle. More help nobody but the server's rate limit. */
export const CONNECTIONS = 3;
/** Bytes of one request: few big ones. Also what each connection holds in memory at most. */
const RANGE = 8 * 1024 * 1024;
/** Bytes from which on more than one connection is used. */
const PARALLEL_FROM = 8 * RANGE;

/** One range, fetched ahead of its turn. */
interface Ahead {
  /** Its bytes as they arrive; ends with the range, or with its failure. */
  chunks(): AsyncGenerator<Buffer, void>;
}

function fetchAhead(feed: Feed, entry: BundleEntry, options: BundleBytesOptions & { end: number }): Ahead {
  const queue: Buffer[] = [];
  const state: { ended: boolean; failure: unknown; wake: () => void } = {
    ended: false,
    failure: undefined,
    wake: () => undefined,
  };
  const run = async (): Promise<void> => {
    for (let offset = options.offset; offset < options.end; ) {
      const before = offset;
      for await (const bytes of bundleBytes(feed, entry, { ...options, offset, mustSeek: true })) {
        queue.push(bytes);
        offset += bytes.length;
        state.wake();
      }
      // The feed sent less than it was asked for: the one connection that follows finds out why.
      if (offset === before) return;
    }
  };
  run()
    .catch((error: unknown) => {
      state.failure = error;
    })
    .finally(() => {
      state.ended = true;
      state.wake();
    });
  return {
    async *chunks() {
      for (;;) {
        const bytes = queue.shift();
        if (bytes !== undefined) {
          yield bytes;
          continue;
        }
        if (state.failure !== undefined) throw state.failure;
        if (state.ended) return;
        await new Promise<void>((resolve) => {
          state.wake = resolve;
        });
      }
    },
  };
}

export interface ParallelOptions extends Omit<BundleBytesOptions, 'end' | 'mustSeek'> {
  /** 1 for small bundles, for feeds that are no network, and after a failure. */
  readonly connections: number;
}

/**
 * The bytes of a bundle from `offset` on, in order; those of big ones over several connections. May end before the
 * bundle does.
 * @throws as `bundleBytes`
 */
export async function* parallelBytes(
  feed: Feed,
  entry: BundleEntry,
  { connections, offset, signal, validators }: ParallelOptions,
): AsyncGenerator<Buffer, void> {
  if (connections < 2 || feed.isRemote !== true || entry.size - offset < PARALLEL_FROM) {
    yield* bundleBytes(feed, entry, { offset, signal, validators });
    return;
  }
  const stop = new AbortController();
  const both = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
  const ahead: Ahead[] = [];
  let next = offset;
  const fillUp = (): void => {
    while (ahead.length < connections && next < entry.size) {
      const end = Math.min(next + RANGE, entry.size);
      ahead.push(fetchAhead(feed, entry, { offset: next, end, signal: both, validators }));
      next = end;
    }
  };
  try {
    fillUp();
    let position = offset;
    for (let head = ahead[0], end = Math.min(offset + RANGE, entry.size); head !== undefined; head = ahead[0]) {
      for await (const bytes of head.chunks()) {
        position += bytes.length;
        yield bytes;
      }
      if (position < end) return;
      end = Math.min(end + RANGE, entry.size);
      ahead.shift();
      fillUp();
    }
  } finally {
    stop.abort();
  }
}
