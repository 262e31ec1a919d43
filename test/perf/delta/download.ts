/** Installing over a slow link: how much of the work goes on while bytes arrive. */
import { createReadStream, mkdirSync, rmSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { listen } from '../../support/listen.js';
import type { Cache } from './cache.js';
import { openPlace } from './feeds.js';
import { installFeed } from './install.js';
import { type Command, runBeside, trees } from './programs.js';
import { median, takeTurns, turn } from './rounds.js';
import { atMost, bytes, type Family, seconds } from './table.js';

const BYTES_PER_SECOND = 20e6;
const CHUNK = 32 * 1024;
/** One process, one connection. The directory follows, then the addresses. */
const CURL = ['curl', '--silent', '--show-error', '--fail', '--remote-name-all', '--output-dir'] as const;

export function downloadFamilies(cache: Cache): Family[] {
  return [
    {
      name: 'throttled',
      summary: 'install a base and etcd over HTTP at 20 MB/s, against downloading the same files with curl',
      minutes: 1,
      measure: async (tell) => {
        const feed = await installFeed(cache);
        await using server = await serveSlowly(feed, BYTES_PER_SECOND);
        using place = await openPlace('/dev/shm', feed, { url: `${server.origin}/` });
        server.takeSent();
        let files: ReadonlyMap<string, number> = new Map();
        const ours = turn(async () => {
          const store = place.newStore();
          const took = await secondsOf(trees(store, 'install', 'plain-etcd'));
          files = server.takeSent();
          return took;
        });
        const curl = turn(async () => {
          const target = place.path('downloaded');
          mkdirSync(target);
          const urls = [...files.keys()].map((path) => `${server.origin}${path}`);
          const took = await secondsOf([...CURL, target, ...urls]);
          rmSync(target, { recursive: true });
          server.takeSent();
          return took;
        });
        await takeTurns([ours, curl], { rounds: 5 });
        const total = [...files.values()].reduce((sum, size) => sum + size, 0);
        tell({
          what: 'install plain-etcd at 20 MB/s: time to the download',
          ours: seconds(median(ours.samples)),
          peer: `${seconds(median(curl.samples))} curl, ${bytes(total)}`,
          value: median(ours.samples) / median(curl.samples),
          unit: ' ×',
          bar: atMost(1.15),
        });
      },
    },
  ];
}

/** Wall-clock seconds of a command, without blocking: the server runs in this process. */
async function secondsOf(command: Command): Promise<number> {
  const start = performance.now();
  await runBeside(command);
  return (performance.now() - start) / 1000;
}

interface SlowServer extends AsyncDisposable {
  readonly origin: string;
  /** The files of which something was sent since the last call, with their sizes. */
  takeSent(): ReadonlyMap<string, number>;
}

/** Serves a directory's files over one link that all connections share. */
async function serveSlowly(directory: string, bytesPerSecond: number): Promise<SlowServer> {
  const link = openLink(bytesPerSecond);
  let sent = new Map<string, number>();
  const answer = async ({ url = '/', headers: asked }: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = decodeURIComponent(url);
    const file = join(directory, basename(path));
    const { size, mtimeMs } = await stat(file);
    sent.set(path, size);
    // As web servers do.
    const etag = `"${size.toString(16)}-${Math.floor(mtimeMs).toString(16)}"`;
    if (asked['if-none-match'] === etag) {
      response.writeHead(304, { etag }).end();
      return;
    }
    const { range } = asked;
    const [start, end] = parseRange(range, size);
    const headers = { 'content-length': end + 1 - start, 'accept-ranges': 'bytes', etag };
    if (range === undefined) response.writeHead(200, headers);
    else response.writeHead(206, { ...headers, 'content-range': `bytes ${start}-${end}/${size}` });
    const content = createReadStream(file, { start, end, highWaterMark: CHUNK });
    await pipeline(content, (chunks) => slowed(chunks, link), response);
  };
  const server = createServer((request, response) => {
    answer(request, response).catch(() => {
      if (response.headersSent) response.destroy();
      else response.writeHead(404).end();
    });
  });
  const listening = await listen(server);
  return {
    origin: listening.origin,
    takeSent() {
      const taken = sent;
      sent = new Map();
      return taken;
    },
    [Symbol.asyncDispose]: listening[Symbol.asyncDispose],
  };
}

async function* slowed(chunks: AsyncIterable<Buffer>, link: (bytes: number) => Promise<void>): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    await link(chunk.length);
    yield chunk;
  }
}

/** A token bucket: waits until the link has had time for so many bytes. An idle link saves up a hundredth of a second. */
function openLink(bytesPerSecond: number): (bytes: number) => Promise<void> {
  const saved = 10;
  let free = 0;
  return async (bytes) => {
    const now = performance.now();
    free = Math.max(free, now - saved) + (bytes * 1000) / bytesPerSecond;
    if (free > now) await sleep(free - now);
  };
}

/** First and last byte. */
function parseRange(range: string | undefined, size: number): [number, number] {
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(range ?? '') ?? [];
  if (first === '') return last === '' ? [0, size - 1] : [Math.max(0, size - Number(last)), size - 1];
  return [Number(first), last === '' ? size - 1 : Math.min(Number(last), size - 1)];
}
