import { Readable } from 'node:stream';
import { transportFailure } from './failure.js';
import type { Feed, FeedFile, OpenOptions } from './feed.js';
import { bodyStream } from './http-body.js';
import { type HttpClient, httpClient } from './http-client.js';
import { DEFAULT_TIMEOUT, type Got, httpGet } from './http-get.js';
import type { NetworkOptions } from './network.js';
import { retryPolicy } from './retry.js';

export interface HttpFeedOptions {
  /** As the user wrote it, for messages. */
  readonly url: string;
  /** Absolute URL of a file. */
  readonly locate: (file: string, release: string | undefined) => URL;
  readonly network: NetworkOptions;
}

/** Seconds for which the address that a file's redirects led to is used again. GitHub's work for five minutes. */
const REUSE_SECONDS = 60;

function isEncoded({ response }: Got): boolean {
  const encoding = response.headers.get('content-encoding');
  return encoding !== null && encoding !== 'identity' && encoding !== '';
}

export function requestHeaders({ offset = 0, length, validator, unless }: OpenOptions): Record<string, string> {
  // identity: a transport encoding would make byte offsets meaningless.
  const headers: Record<string, string> = { 'accept-encoding': 'identity', 'user-agent': 'trees' };
  if (unless !== undefined) headers['if-none-match'] = unless;
  if (offset === 0 && length === undefined) return headers;
  headers['range'] = `bytes=${offset}-${length === undefined ? '' : offset + length - 1}`;
  // If-Range takes strong tags only (RFC 9110, 13.1.5).
  if (validator !== undefined && !validator.startsWith('W/')) headers['if-range'] = validator;
  return headers;
}

/** The file that an answer carries. @returns `useless` if it is a part of something else than the file itself */
export function fileOf(got: Got, target: string): FeedFile | 'useless' {
  const { response } = got;
  const encoded = isEncoded(got);
  // A tag of the encoded form says nothing about bytes of the file.
  const validator = encoded ? undefined : (response.headers.get('etag') ?? undefined);
  if (response.status === 304) return { stream: Readable.from([]), offset: 0, validator, unchanged: true };
  if (response.status !== 206) return { stream: bodyStream(got, target), offset: 0, validator };
  if (encoded) return 'useless';
  const start = /^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '')?.[1];
  if (start === undefined) {
    got.abort();
    throw transportFailure(target, 'refused', 'the server sent a part of the file without saying which');
  }
  return { stream: bodyStream(got, target), offset: Number(start), validator };
}

/** A feed whose files are fetched by GET. Streams; resumes by Range; follows at most five redirects. */
export function httpFeed({ url: feedUrl, locate, network }: HttpFeedOptions): Feed {
  const timeout = network.timeout ?? DEFAULT_TIMEOUT;
  const ends = new Map<string, { readonly url: URL; readonly until: number }>();

  async function get(client: HttpClient, url: URL, options: OpenOptions): Promise<Got> {
    const request = { headers: requestHeaders(options), signal: options.signal, timeout, target: url.href };
    // Only for parts of one file: which file `latest` means has to be asked each time.
    const end = options.length === undefined ? undefined : ends.get(url.href);
    if (end !== undefined && end.until > performance.now()) {
      try {
        const got = await httpGet(client, end.url, request);
        if (got.response.status < 400) return got;
        got.abort();
      } catch {
        options.signal?.throwIfAborted();
      }
      ends.delete(url.href);
    }
    const got = await httpGet(client, url, request);
    if (got.url.href !== url.href && options.length !== undefined) {
      ends.set(url.href, { url: got.url, until: performance.now() + REUSE_SECONDS * 1000 });
    }
    return got;
  }

  async function open(file: string, options: OpenOptions = {}): Promise<FeedFile | undefined> {
    const url = locate(file, options.release);
    const got = await get(await httpClient(network), url, options);
    const { status } = got.response;
    if (status === 404 || status === 410) {
      got.abort();
      return undefined;
    }
    // 416: nothing is left after the offset, so the file is not the one that the partial download began with.
    const found = status === 416 ? 'useless' : fileOf(got, url.href);
    if (found !== 'useless') return found;
    got.abort();
    if (requestHeaders(options)['range'] === undefined) {
      throw transportFailure(url.href, 'refused', `the server answered ${status} to a request for the whole file`);
    }
    return await open(file, { release: options.release, signal: options.signal });
  }

  return { url: feedUrl, open, isRemote: true, retries: retryPolicy(network) };
}
