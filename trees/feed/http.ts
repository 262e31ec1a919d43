import { Readable } from 'node:stream';
import { TreesError } from '../errors.js';
import type { Feed, FeedFile, OpenOptions } from './feed.js';

/** Seconds until the server has to have answered with headers. */
const ANSWER_TIMEOUT = 60;
const MAX_REDIRECTS = 5;

export interface HttpFeedOptions {
  /** As the user wrote it, for messages. */
  readonly url: string;
  /** Absolute URL of a file. */
  locate(file: string, release: string | undefined): URL;
}

function unreachable(target: string, why: string, cause?: unknown): TreesError {
  return new TreesError('FEED_UNREACHABLE', `cannot fetch ${target}: ${why}`, {
    hint: 'check the address and the network; what is installed keeps working',
    cause,
  });
}

/** Node wraps the reason of a failed fetch ("fetch failed") in a chain of causes; the innermost one says it. */
function innermost(error: unknown): string {
  let reason = error;
  while (reason instanceof Error && reason.cause !== undefined) reason = reason.cause;
  if (!(reason instanceof Error)) return String(reason);
  // An AggregateError of several addresses has no message of its own.
  return reason.message !== '' || !('code' in reason) ? reason.message : String(reason.code);
}

/**
 * Follows redirects itself: no credentials are ever sent, and a redirect must not lead from https to http, where
 * somebody on the way could at least see and delay what is fetched.
 */
async function request(start: URL, headers: Record<string, string>, signal: AbortSignal): Promise<Response> {
  let url = start;
  for (let hops = 0; hops <= MAX_REDIRECTS; hops += 1) {
    const response = await fetch(url, { headers, signal, redirect: 'manual' });
    const location = response.headers.get('location');
    if (response.status < 300 || response.status > 399 || location === null) return response;
    await response.body?.cancel();
    const next = new URL(location, url);
    if (next.protocol !== 'https:' && next.protocol !== url.protocol) {
      throw new Error(`redirected from ${url.protocol} to ${next.protocol}`);
    }
    url = next;
  }
  throw new Error(`redirected more than ${MAX_REDIRECTS} times`);
}

async function answer(url: URL, headers: Record<string, string>, signal: AbortSignal | undefined): Promise<Response> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(new Error(`no answer within ${ANSWER_TIMEOUT} s`)), ANSWER_TIMEOUT * 1000);
  try {
    // The body goes on after the timer is cleared, so that only the caller's signal can end it.
    return await request(url, headers, signal === undefined ? late.signal : AbortSignal.any([signal, late.signal]));
  } catch (error) {
    signal?.throwIfAborted();
    throw unreachable(url.href, innermost(error), error);
  } finally {
    clearTimeout(timer);
  }
}

/** First byte that a 206 answer starts with. */
function rangeStart(response: Response): number | undefined {
  const match = /^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '');
  return match === null ? undefined : Number(match[1]);
}

function fileOf(url: URL, response: Response): FeedFile {
  const offset = response.status === 206 ? rangeStart(response) : 0;
  if (offset === undefined) throw unreachable(url.href, 'the server sent a part of the file without saying which');
  const etag = response.headers.get('etag');
  // If-Range takes strong tags only (RFC 9110, 13.1.5).
  const validator = etag === null || etag.startsWith('W/') ? undefined : etag;
  if (response.body === null) return { stream: Readable.from([]), offset, validator };
  return { stream: Readable.fromWeb(response.body), offset, validator };
}

function rangeHeaders({ offset = 0, length, validator }: OpenOptions): Record<string, string> {
  if (offset === 0 && length === undefined) return {};
  const range = `bytes=${offset}-${length === undefined ? '' : offset + length - 1}`;
  return validator === undefined ? { range } : { range, 'if-range': validator };
}

/** A feed whose files are fetched by GET. Streams; resumes by Range; follows at most five redirects. */
export function httpFeed(options: HttpFeedOptions): Feed {
  async function open(file: string, openOptions: OpenOptions = {}): Promise<FeedFile | undefined> {
    const { offset = 0, release, signal } = openOptions;
    const url = options.locate(file, release);
    // identity: a transport encoding would make byte offsets meaningless.
    const headers: Record<string, string> = { 'accept-encoding': 'identity', 'user-agent': 'trees' };
    const response = await answer(url, { ...headers, ...rangeHeaders(openOptions) }, signal);
    if (response.status === 200 || response.status === 206) return fileOf(url, response);
    await response.body?.cancel();
    if (response.status === 404 || response.status === 410) return undefined;
    // Nothing is left after the offset: the file is not the one that the partial download began with.
    if (response.status === 416 && offset > 0) return await open(file, { release, signal });
    throw unreachable(url.href, `the server answered ${response.status} ${response.statusText}`.trimEnd());
  }
  return { url: options.url, open };
}
