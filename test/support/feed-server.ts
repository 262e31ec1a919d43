import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { basename, join } from 'node:path';
import { listen } from './listen.js';

/** One request as it arrived. */
interface Seen {
  readonly url: string;
  readonly range: string | undefined;
  readonly headers: IncomingMessage['headers'];
}

type Fault =
  /** Send this many bytes of the body, then close the connection. */
  | { readonly kind: 'cut'; readonly after: number }
  | { readonly kind: 'status'; readonly status: number }
  | { readonly kind: 'redirect'; readonly to: string };

/** Serves one directory over HTTP on the loopback interface, whatever the directory part of the request, with faults on demand. */
export interface FeedServer extends AsyncDisposable {
  readonly origin: string;
  readonly seen: Seen[];
  /** Whether Range is honoured; set to false to imitate servers that send the whole file instead. */
  ranges: boolean;
  /** The next requests for `file` fail in these ways, in order. */
  fail(file: string, ...faults: Fault[]): void;
  /** Called, and waited for, before a request is answered. */
  before: ((url: string) => Promise<void>) | undefined;
  /** Called, and waited for, before each piece of at most 16 KiB of a body is sent: to slow it down. */
  beforePiece: ((file: string, bytes: number) => Promise<void>) | undefined;
}

const PIECE = 16 * 1024;

export async function serveDirectory(directory: string): Promise<FeedServer> {
  const seen: Seen[] = [];
  const faults = new Map<string, Fault[]>();
  const state: Pick<FeedServer, 'ranges' | 'before' | 'beforePiece'> = {
    ranges: true,
    before: undefined,
    beforePiece: undefined,
  };

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = request.url ?? '/';
    const file = basename(decodeURIComponent(url));
    const range = request.headers.range;
    seen.push({ url, range, headers: request.headers });
    await state.before?.(url);
    const fault = faults.get(file)?.shift();
    if (fault?.kind === 'status') {
      response.writeHead(fault.status).end();
      return;
    }
    if (fault?.kind === 'redirect') {
      response.writeHead(302, { location: fault.to }).end();
      return;
    }
    const path = join(directory, file);
    const size = await stat(path).then(
      (found) => found.size,
      () => undefined,
    );
    if (size === undefined) {
      response.writeHead(404).end();
      return;
    }
    const [, first = '0', last = ''] = (state.ranges ? /^bytes=(\d+)-(\d*)$/.exec(range ?? '') : undefined) ?? [];
    const start = Number(first);
    if (start > 0 && start >= size) {
      response.writeHead(416, { 'content-range': `bytes */${size}` }).end();
      return;
    }
    const end = last === '' ? size - 1 : Math.min(Number(last), size - 1);
    const headers = { 'content-length': end - start + 1 };
    if (start > 0 || last !== '')
      response.writeHead(206, { ...headers, 'content-range': `bytes ${start}-${end}/${size}` });
    else response.writeHead(200, headers);
    if (fault === undefined && state.beforePiece !== undefined) {
      for await (const piece of createReadStream(path, { start, end: Math.max(end, 0), highWaterMark: PIECE })) {
        if (!Buffer.isBuffer(piece)) throw new Error('Expected bytes');
        if (response.destroyed) return;
        await state.beforePiece?.(file, piece.length);
        // Whoever asked may have been killed.
        if (response.destroyed) return;
        response.write(piece);
      }
      response.end();
      return;
    }
    if (fault === undefined) {
      createReadStream(path, { start, end: Math.max(end, 0) }).pipe(response);
      return;
    }
    if (fault.after === 0) {
      response.flushHeaders();
      response.destroy();
      return;
    }
    for await (const chunk of createReadStream(path, { start, end: start + fault.after - 1 })) response.write(chunk);
    // Let the bytes leave before the connection is reset.
    setTimeout(() => response.destroy(), 20);
  }

  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  const listening = await listen(server);
  return {
    origin: listening.origin,
    seen,
    get ranges() {
      return state.ranges;
    },
    set ranges(value) {
      state.ranges = value;
    },
    get before() {
      return state.before;
    },
    set before(value) {
      state.before = value;
    },
    get beforePiece() {
      return state.beforePiece;
    },
    set beforePiece(value) {
      state.beforePiece = value;
    },
    fail(file, ...list) {
      faults.set(file, list);
    },
    [Symbol.asyncDispose]: listening[Symbol.asyncDispose],
  };
}
