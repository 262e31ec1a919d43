import type { LogEntry } from './entry.js';
import { readServiceEntries, type ServiceFiles } from './files.js';

export interface LogRange {
  /** Entries before this time are left out, as in `LogEntry.time`. */
  readonly since?: string | undefined;
  /** Entries after it. */
  readonly until?: string | undefined;
  /** Only the last so many lines, of all services together. */
  readonly tail?: number | undefined;
  readonly stream?: LogEntry['stream'] | undefined;
}

/** The stored entries of several services, by time; within one service in the order in which they were written. */
export async function* readEntries(files: readonly ServiceFiles[], range: LogRange): AsyncGenerator<LogEntry> {
  const entries = select(mergeByTime(files.map(readServiceEntries)), range);
  if (range.tail === undefined) yield* entries;
  else yield* await lastLines(entries, range.tail);
}

async function* mergeByTime(sources: readonly AsyncGenerator<LogEntry>[]): AsyncGenerator<LogEntry> {
  const [only] = sources;
  if (sources.length === 1 && only !== undefined) return yield* only;
  const heads = new Map<AsyncGenerator<LogEntry>, LogEntry>();
  const advance = async (source: AsyncGenerator<LogEntry>): Promise<void> => {
    const { done, value } = await source.next();
    if (done === true) heads.delete(source);
    else heads.set(source, value);
  };
  await Promise.all(sources.map(advance));
  while (heads.size > 0) {
    const [first, ...others] = heads;
    if (first === undefined) return;
    const [source, entry] = others.reduce((least, other) => (other[1].time < least[1].time ? other : least), first);
    yield entry;
    await advance(source);
  }
}

async function* select(entries: AsyncIterable<LogEntry>, range: LogRange): AsyncGenerator<LogEntry> {
  for await (const entry of entries) {
    if (range.since !== undefined && entry.time < range.since) continue;
    if (range.until !== undefined && entry.time > range.until) continue;
    if (range.stream !== undefined && entry.stream !== range.stream) continue;
    yield entry;
  }
}

async function lastLines(entries: AsyncIterable<LogEntry>, count: number): Promise<LogEntry[]> {
  let kept: LogEntry[] = [];
  // Cut now and then only: shifting one by one would cost as much as the number kept.
  const limit = Math.max(2 * count, 4096);
  for await (const entry of entries) {
    if (kept.push(entry) >= limit) kept = cut(kept, count);
  }
  return cut(kept, count);
}

/** The pieces of one line count once. */
function cut(entries: LogEntry[], count: number): LogEntry[] {
  const open = new Set<string>();
  let lines = 0;
  for (let at = entries.length - 1; at >= 0; at--) {
    const entry = entries[at];
    if (entry === undefined) break;
    const stream = `${entry.service} ${entry.stream}`;
    if (!entry.partial || !open.has(stream)) {
      if (++lines > count) return entries.slice(at + 1);
    }
    open.add(stream);
  }
  return entries;
}
