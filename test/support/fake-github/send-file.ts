import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { createGzip } from 'node:zlib';
import type { Fault } from './faults.js';
import type { Asset } from './world.js';

interface Span {
  readonly start: number;
  /** Of the last byte. */
  readonly end: number;
}

/** What a Range header asks for. @returns undefined for all of it, `null` if there is no such range */
function parseRange(header: string | undefined, size: number): Span | null | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '');
  if (match === null) return undefined;
  const [, first = '', last = ''] = match;
  if (first === '' && last === '') return undefined;
  if (first === '') return Number(last) === 0 ? null : { start: Math.max(0, size - Number(last)), end: size - 1 };
  const span = { start: Number(first), end: last === '' ? size - 1 : Math.min(Number(last), size - 1) };
  return span.start >= size || span.end < span.start ? null : span;
}

export interface Sending {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly fault: Fault | undefined;
  /** Called with the number of bytes of each piece of a body. */
  readonly onSent: (bytes: number) => void;
}

/** Sends an asset's bytes as a content delivery network does: entity tag, ranges, conditions. */
export async function sendAsset(asset: Asset, { request, response, fault, onSent }: Sending): Promise<void> {
  const { headers } = request;
  const isChanged = fault?.kind === 'changed';
  const etag = `"0x${isChanged ? 'CHANGED' : (asset.sha256 ?? '').slice(0, 16)}"`;
  const common = {
    etag,
    'accept-ranges': 'bytes',
    'content-type': asset.contentType,
    'content-disposition': `attachment; filename=${asset.name}`,
    'last-modified': asset.updated.toUTCString(),
  };
  if (headers['if-none-match'] === etag) {
    response.writeHead(304, common).end();
    return;
  }
  const isSame = headers['if-range'] === undefined || headers['if-range'] === etag;
  const ignoresRange = !isSame || fault?.kind === 'no-range' || fault?.kind === 'gzip';
  const span = ignoresRange ? undefined : parseRange(headers.range, asset.size);
  if (span === null) {
    response.writeHead(416, { ...common, 'content-range': `bytes */${asset.size}` }).end();
    return;
  }
  const { start, end } = span ?? { start: 0, end: asset.size - 1 };
  const length = end - start + 1;
  const range = span === undefined ? {} : { 'content-range': `bytes ${start}-${end}/${asset.size}` };
  // A body that ends early without anybody noticing has no announced length.
  const known = fault?.kind === 'gzip' || fault?.kind === 'truncate' ? {} : { 'content-length': length };
  const encoding = fault?.kind === 'gzip' ? { 'content-encoding': 'gzip' } : {};
  response.writeHead(span === undefined ? 200 : 206, { ...common, ...range, ...known, ...encoding });
  if (request.method === 'HEAD') {
    response.end();
    return;
  }
  const file = createReadStream(asset.path, { start, end });
  response.on('close', () => file.destroy());
  try {
    await sendStream(fault?.kind === 'gzip' ? file.pipe(createGzip()) : file, response, { fault, isChanged, onSent });
  } catch (error) {
    // Who asked went away: that is theirs to decide.
    if (!response.destroyed) throw error;
  }
}

/** Until there is room again, or nobody there any more. */
async function drained(response: ServerResponse): Promise<void> {
  const over = new AbortController();
  await Promise.race([
    once(response, 'drain', { signal: over.signal }),
    once(response, 'close', { signal: over.signal }),
  ]).finally(() => over.abort());
}

/** Sends a body, and breaks it off where the fault says so. */
async function sendStream(
  body: AsyncIterable<Buffer>,
  response: ServerResponse,
  { fault, isChanged, onSent }: Pick<Sending, 'fault' | 'onSent'> & { readonly isChanged: boolean },
): Promise<void> {
  const cut =
    fault?.kind === 'reset' || fault?.kind === 'stall' || fault?.kind === 'truncate' ? (fault.after ?? 0) : undefined;
  let left = cut ?? Number.POSITIVE_INFINITY;
  for await (const chunk of body) {
    if (response.destroyed) return;
    const bytes = isChanged ? Buffer.from(chunk).fill('changed ') : chunk.subarray(0, Math.min(chunk.length, left));
    left -= bytes.length;
    onSent(bytes.length);
    if (!response.write(bytes)) await drained(response);
    if (left <= 0) break;
  }
  if (cut === undefined || fault?.kind === 'truncate') {
    response.end();
    return;
  }
  if (cut === 0) response.flushHeaders();
  if (fault?.kind === 'stall') return;
  // Let the bytes leave before the connection is reset.
  await sleep(20);
  response.socket?.resetAndDestroy();
}
