import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import type { Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import type { HttpResponse } from '../../trees/feed/http-client.js';
import { nodeGet } from '../../trees/feed/node-get.js';
import { listen } from '../support/listen.js';

/** Milliseconds in which an answer that is here is read to its end. */
const SETTLED = 100;

async function serve(t: TestContext, answer: RequestListener): Promise<{ url: URL; connections: () => number }> {
  const server = createServer(answer);
  let connections = 0;
  server.on('connection', () => {
    connections += 1;
  });
  const listening = await listen(server);
  t.after(async () => {
    server.closeAllConnections();
    await listening[Symbol.asyncDispose]();
  });
  return { url: new URL(`${listening.origin}/file`), connections: () => connections };
}

const get = async (url: URL, signal = new AbortController().signal): Promise<HttpResponse> =>
  await nodeGet(url, { headers: { 'x-asked': 'yes' }, signal });

async function textOf({ body }: HttpResponse): Promise<string> {
  assert.ok(body !== null);
  const reader = body.getReader();
  const pieces: Uint8Array[] = [];
  for (let next = await reader.read(); !next.done; next = await reader.read()) pieces.push(next.value);
  return Buffer.concat(pieces).toString();
}

test('status, headers and a body of several pieces', async (t) => {
  const { url } = await serve(t, (request, response) => {
    response.writeHead(206, { etag: '"a"', 'x-echo': request.headers['x-asked'] });
    response.write('one ');
    setTimeout(() => response.end('two'), 20);
  });
  const response = await get(url);
  assert.equal(response.status, 206);
  assert.equal(response.headers.get('ETag'), '"a"');
  assert.equal(response.headers.get('x-echo'), 'yes');
  assert.equal(response.headers.get('location'), null);
  assert.equal(await textOf(response), 'one two');
});

test('one connection for requests that follow each other, also after a body that nobody wanted', async (t) => {
  const { url, connections } = await serve(t, (_, response) => response.end('text'));
  await (await get(url)).body?.cancel();
  await sleep(SETTLED);
  assert.equal(await textOf(await get(url)), 'text');
  assert.equal(await textOf(await get(url)), 'text');
  assert.equal(connections(), 1);
});

test('a connection that the server has closed meanwhile is not the end', async (t) => {
  const used = new WeakSet<Socket>();
  const { url, connections } = await serve(t, ({ socket }, response) => {
    if (used.has(socket)) {
      socket.resetAndDestroy();
      return;
    }
    used.add(socket);
    response.end('text');
  });
  assert.equal(await textOf(await get(url)), 'text');
  assert.equal(await textOf(await get(url)), 'text');
  assert.equal(connections(), 2);
});

test('a body that ends too early, and one that is given up', async (t) => {
  const { url } = await serve(t, (_, response) => {
    response.writeHead(200, { 'content-length': 100 });
    response.write('some');
    setTimeout(() => response.socket?.destroy(), 100);
  });
  await assert.rejects(textOf(await get(url)), { code: 'ECONNRESET' });
  const stop = new AbortController();
  const response = await get(url, stop.signal);
  stop.abort();
  await assert.rejects(textOf(response));
  await assert.rejects(get(url, stop.signal), { name: 'AbortError' });
});

test('encodings that nobody asked for', async (t) => {
  const encoders = { gzip: gzipSync, deflate: deflateSync, br: brotliCompressSync };
  for (const [name, encode] of Object.entries(encoders)) {
    const { url } = await serve(t, (_, response) => {
      response.writeHead(200, { 'content-encoding': name }).end(encode('what was meant'));
    });
    assert.equal(await textOf(await get(url)), 'what was meant', name);
  }
});

test('nothing has changed', async (t) => {
  const { url, connections } = await serve(t, (_, response) => response.writeHead(304, { etag: '"a"' }).end());
  const { status, body } = await get(url);
  assert.deepEqual([status, body], [304, null]);
  await sleep(SETTLED);
  await get(url);
  assert.equal(connections(), 1);
});
