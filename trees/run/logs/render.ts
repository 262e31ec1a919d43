import type { LogEntry } from './entry.js';

export interface RenderOptions {
  /** Label lines `[service OUT] ` as on the console. */
  readonly labels: boolean;
  readonly timestamps: boolean;
}

/** Lines as they were written: the pieces of a long one are joined, and one that had no newline gets none. */
export async function* renderText(entries: AsyncIterable<LogEntry>, options: RenderOptions): AsyncGenerator<string> {
  let open: string | undefined;
  for await (const entry of entries) {
    const { service, stream, time, text, partial } = entry;
    const source = `${service} ${stream}`;
    const begins = open !== source;
    const between = open !== undefined && begins ? '\n' : '';
    const label = options.labels ? `[${service} ${stream === 'stderr' ? 'ERR' : 'OUT'}] ` : '';
    const start = begins ? `${options.timestamps ? `${time} ` : ''}${label}` : '';
    yield `${between}${start}${text}${partial ? '' : '\n'}`;
    open = partial ? source : undefined;
  }
}

/** One JSON array, or with `lines` one document a line: for output that has no end. */
export async function* renderJson(
  entries: AsyncIterable<LogEntry>,
  { instance, lines }: { readonly instance: string; readonly lines: boolean },
): AsyncGenerator<string> {
  let separator = lines ? '' : '[\n';
  for await (const { service, stream, time, text, partial } of entries) {
    const document = JSON.stringify({ instance, service, stream, time, text, partial });
    yield lines ? `${document}\n` : `${separator}  ${document}`;
    separator = ',\n';
  }
  if (!lines) yield separator === '[\n' ? '[]\n' : '\n]\n';
}

/** Joins what comes in quick succession: a write for each line would cost more than everything else. */
export async function* inChunks(texts: AsyncIterable<string>, size = 1 << 16): AsyncGenerator<string> {
  let chunk = '';
  for await (const text of texts) {
    chunk += text;
    if (chunk.length < size) continue;
    yield chunk;
    chunk = '';
  }
  if (chunk !== '') yield chunk;
}
