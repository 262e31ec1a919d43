/** Installing over a slow link: how much of the work goes on while bytes arrive. */
import { createReadStream, createWriteStream, rmSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer, get, type ServerResponse } from 'node:http';
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

export function downloadFamilies(cache: Cache): Family[] {
  return [
    {
      name: 'throttled',
      summary: 'install a base and etcd over HTTP at 20 MB/s, against the bare download',
      minutes: 1,
      measure: async (tell) => {
        const feed = await installFeed(cache);
        await using server = await serveSlowly(feed, BYTES_PER_SECOND);
        using place = await openPlace('/dev/shm', feed, { url: `${server.origin}/` });
        server.takeSent();
        let requests: readonly Sent[] = [];
        const ours = turn(async () => {
          const store = place.newStore();
          const took = await secondsOf(trees(store, 'install', 'plain-etcd'));
          requests = server.takeSent();
          return took;
        });
        const bare = turn(async () => {
          const start = performance.now();
          for (const request of requests) await download(server.origin, request, place.path('downloaded'));
          server.takeSent();
          return (performance.now() - start) / 1000;
        });
        await takeTurns([ours, bare], { rounds: 5 });
        const total = requests.reduce((sum, { bytes }) => sum + bytes, 0);
        tell({
          what: 'install plain-etcd at 20 MB/s: time to the download',
          ours: seconds(median(ours.samples)),
          peer: `${seconds(median(bare.samples))} bare, ${bytes(total)}`,
          value: median(ours.samples) / median(bare.samples),
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

/** What a request got. */
interface Sent {
  readonly path: string;
  readonly range: string | undefined;
  readonly bytes: number;
}

interface SlowServer extends AsyncDisposable {
  readonly origin: string;
  /** What was sent since the last call. */
  takeSent(): readonly Sent[];
}

/** Serves a directory's files over one link that all connections share. */
async function serveSlowly(directory: string, bytesPerSecond: number): Promise<SlowServer> {
  const link = openLink(bytesPerSecond);
  let sent: Sent[] = [];
  const answer = async (response: ServerResponse, path: string, range: string | undefined): Promise<void> => {
    const file = join(directory, basename(path));
    const { size } = await stat(file);
    const [start, end] = parseRange(range, size);
    const length = end + 1 - start;
    const headers = { 'content-length': length, 'accept-ranges': 'bytes' };
    if (range === undefined) response.writeHead(200, headers);
    else response.writeHead(206, { ...headers, 'content-range': `bytes ${start}-${end}/${size}` });
    sent.push({ path, range, bytes: length });
    const content = createReadStream(file, { start, end, highWaterMark: CHUNK });
    await pipeline(content, (chunks) => slowed(chunks, link), response);
  };
  const server = createServer((request, response) => {
    answer(response, decodeURIComponent(request.url ?? '/'), request.headers.range).catch(() => {
      if (response.headersSent) response.destroy();
      else response.writeHead(404).end();
    });
  });
  const listening = await listen(server);
  return {
    origin: listening.origin,
    takeSent() {
      const taken = sent;
      sent = [];
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

async function download(origin: string, { path, range }: Sent, target: string): Promise<void> {
  const headers = range === undefined ? {} : { range };
  await new Promise<void>((resolve, reject) => {
    get(`${origin}${path}`, { headers }, (response) => {
      pipeline(response, createWriteStream(target)).then(resolve, reject);
    }).on('error', reject);
  });
  rmSync(target);
}
