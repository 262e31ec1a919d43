import { Agent, type IncomingMessage, type RequestOptions, request } from 'node:http';
import { pipeline, type Readable, type Transform } from 'node:stream';
import type { HttpBody, HttpRequest, HttpResponse } from './http-client.js';

/** Of a body that nobody wants: more is not worth keeping the connection for. */
const DRAINED = 64 * 1024;

interface Protocol {
  readonly send: typeof request;
  readonly agent: Agent;
}

let plain: Protocol | undefined;
let secure: Promise<Protocol> | undefined;

/** Node's `https` is loaded where it is needed only. */
async function protocolOf({ protocol }: URL): Promise<Protocol> {
  if (protocol !== 'https:') {
    plain ??= { send: request, agent: new Agent({ keepAlive: true }) };
    return plain;
  }
  secure ??= import('node:https').then((https) => ({
    send: https.request,
    agent: new https.Agent({ keepAlive: true }),
  }));
  return await secure;
}

/**
 * GET with Node's `http`, without following redirects. It loads faster than `fetch`, and takes less time for each piece
 * of a body, which counts where all cores are busy with what the pieces hold.
 * @throws what went wrong with the connection; AbortError
 */
export async function nodeGet(url: URL, { headers, signal }: HttpRequest): Promise<HttpResponse> {
  const { send, agent } = await protocolOf(url);
  for (;;) {
    const response = await respond(send, url, { agent, signal, headers: { accept: '*/*', ...headers } });
    if (response !== 'stale') return await responseOf(response);
  }
}

/** @returns `stale` if the server had closed a connection that was kept */
async function respond(send: typeof request, url: URL, options: RequestOptions): Promise<IncomingMessage | 'stale'> {
  return await new Promise((resolve, reject) => {
    const sent = send(url, options);
    sent.once('response', resolve);
    sent.on('error', (error) => {
      const isStale = sent.reusedSocket && 'code' in error && error.code === 'ECONNRESET';
      if (isStale && options.signal?.aborted !== true) resolve('stale');
      else reject(error);
    });
    sent.end();
  });
}

async function responseOf(response: IncomingMessage): Promise<HttpResponse> {
  const { statusCode = 0, statusMessage = '', headers } = response;
  const get = (name: string): string | null => {
    const value = headers[name.toLowerCase()];
    return value === undefined ? null : String(value);
  };
  const common = { status: statusCode, statusText: statusMessage, headers: { get } };
  if (statusCode === 204 || statusCode === 304) {
    response.resume();
    return { ...common, body: null };
  }
  const decoder = await decoderFor(get('content-encoding'));
  // What fails in between is seen by whoever reads.
  const content = decoder === undefined ? response : pipeline(response, decoder, () => undefined);
  return { ...common, body: bodyOf(response, content) };
}

/** As `fetch` does it. Nobody asks for an encoding, but servers have been seen to encode all the same. */
async function decoderFor(encoding: string | null): Promise<Transform | undefined> {
  if (encoding === null) return undefined;
  const { createBrotliDecompress, createGunzip, createInflate } = await import('node:zlib');
  switch (encoding.trim().toLowerCase()) {
    case 'gzip':
    case 'x-gzip':
      return createGunzip();
    case 'deflate':
      return createInflate();
    case 'br':
      return createBrotliDecompress();
    default:
      return undefined;
  }
}

function bodyOf(response: IncomingMessage, content: Readable): HttpBody {
  let wake: () => void = () => undefined;
  for (const event of ['readable', 'end', 'error', 'close']) content.on(event, () => wake());
  const cancel = async (): Promise<void> => {
    const length = Number(response.headers['content-length'] ?? Number.NaN);
    // Read to its end the connection can be used again.
    if (content === response && length <= DRAINED) response.removeAllListeners('readable').resume();
    else response.destroy();
    await Promise.resolve();
  };
  const read: ReturnType<HttpBody['getReader']>['read'] = async () => {
    for (;;) {
      const bytes: unknown = content.read();
      if (bytes instanceof Uint8Array) return { done: false, value: bytes };
      if (content.readableEnded) return { done: true };
      if (content.errored !== null) throw content.errored;
      if (content.destroyed) throw new Error('the connection was closed');
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  return { cancel, getReader: () => ({ read, cancel }) };
}
