import { failureOf, failureReason, PROXY_PASSWORD, transportFailure } from './failure.js';
import type { HttpClient, HttpResponse } from './http-client.js';
import { parseRetryAfter } from './retry-after.js';

/** Seconds; the server has to answer within this, and then must not be silent for longer. */
export const DEFAULT_TIMEOUT = 30;
const MAX_REDIRECTS = 5;
/** Bytes of an error's body that are looked at. */
const MAX_ERROR_BODY = 4096;

export interface GetOptions {
  readonly headers: Record<string, string>;
  readonly signal?: AbortSignal | undefined;
  /** Seconds. */
  readonly timeout: number;
  /** The address that messages name. */
  readonly target: string;
  /** The address is one that runs out. */
  readonly isSigned?: boolean;
}

/** An answer that can be used, or says that there is nothing to use: status 200, 206, 304, 404, 410 or 416. */
export interface Got {
  readonly response: HttpResponse;
  /** Where redirects led to. */
  readonly url: URL;
  /** Ends the request, whatever is still to come. */
  abort(reason?: unknown): void;
  /** Seconds of silence that the body may contain. */
  readonly timeout: number;
  readonly signal: AbortSignal;
}

async function redirected(
  client: HttpClient,
  start: URL,
  { headers, signal, target }: { headers: Record<string, string>; signal: AbortSignal; target: string },
): Promise<{ response: HttpResponse; url: URL }> {
  let url = start;
  for (let hops = 0; hops <= MAX_REDIRECTS; hops += 1) {
    const response = await client.get(url, { headers, signal });
    const location = response.headers.get('location');
    if (response.status < 300 || response.status > 399 || location === null) return { response, url };
    await response.body?.cancel();
    if (!URL.canParse(location, url.href))
      throw transportFailure(target, 'redirect', 'redirected to something that is no address');
    const next = new URL(location, url);
    // Never from https to http, where somebody on the way could at least see and delay what is fetched.
    if (next.protocol !== 'https:' && next.protocol !== url.protocol) {
      throw transportFailure(target, 'redirect', `redirected from ${url.protocol} to ${next.protocol}`);
    }
    url = next;
  }
  throw transportFailure(target, 'redirect', `redirected more than ${MAX_REDIRECTS} times`);
}

/** Seconds until GitHub's budget is refilled, if that is why it refused. */
function budgetReset(headers: HttpResponse['headers']): number | undefined {
  const reset = headers.get('x-ratelimit-reset');
  if (headers.get('x-ratelimit-remaining') !== '0' || reset === null) return undefined;
  return Math.max(0, Number(reset) - Date.now() / 1000);
}

async function startOfBody({ body }: HttpResponse): Promise<string> {
  if (body === null) return '';
  const reader = body.getReader();
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    while (length < MAX_ERROR_BODY) {
      const { done, value } = await reader.read();
      if (done) break;
      chunks.push(value);
      length += value.length;
    }
  } catch {
    // Why it was refused stays unknown; that it was is enough.
  }
  await reader.cancel().catch(() => undefined);
  return Buffer.concat(chunks).toString('utf8');
}

const SIGNED_GONE = new Set([401, 403, 404, 410]);

interface Refused {
  readonly status: number;
  readonly statusText: string;
  readonly headers: HttpResponse['headers'];
  /** Start of the body. */
  readonly text: string;
}

/** Why an answer is of no use. */
export function responseFailure(response: Refused, { target, isElsewhere }: { target: string; isElsewhere: boolean }) {
  const { status, headers, text } = response;
  const said = `the server answered ${status} ${response.statusText}`.trimEnd();
  // Release files are served from signed addresses of another server, which run out after minutes.
  if (status === 618 || (isElsewhere && SIGNED_GONE.has(status))) {
    return transportFailure(target, 'expired-url', `the address it led to has run out (${status})`);
  }
  const asked = parseRetryAfter(headers.get('retry-after'));
  const wait = asked ?? budgetReset(headers);
  if (status === 429 || ((status === 403 || status === 503) && wait !== undefined)) return limited(target, said, wait);
  if (status === 407) return transportFailure(target, 'proxy', PROXY_PASSWORD);
  if (status === 403 && /rate limit/i.test(text)) return limited(target, said, wait);
  if (status === 401 || status === 403) return transportFailure(target, 'denied', said);
  if (status === 408 || status >= 500) return transportFailure(target, 'server', said, { retryAfter: asked });
  return transportFailure(target, 'refused', said);
}

function limited(target: string, said: string, wait: number | undefined) {
  const until = wait === undefined ? '' : `; it asks to wait ${formatWait(wait)}`;
  return transportFailure(target, 'rate-limit', `${said}, too many requests${until}`, { retryAfter: wait });
}

function formatWait(seconds: number): string {
  return seconds < 120 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`;
}

const USABLE = new Set([200, 206, 304, 416]);
const MISSING = new Set([404, 410]);

/**
 * GET, following redirects. No credentials are sent beyond what `headers` has, and those go to the first address only:
 * `headers` must not have any if redirects are to be followed.
 * @throws TreesError FEED_UNREACHABLE with a reason; the signal's reason when it is aborted
 */
export async function httpGet(client: HttpClient, start: URL, options: GetOptions): Promise<Got> {
  const { headers, signal, timeout, target } = options;
  const own = new AbortController();
  const late = setTimeout(
    () => own.abort(transportFailure(target, 'timeout', `no answer within ${timeout} s`)),
    timeout * 1000,
  );
  const both = signal === undefined ? own.signal : AbortSignal.any([signal, own.signal]);
  try {
    const { response, url } = await redirected(client, start, { headers, signal: both, target });
    const isElsewhere = options.isSigned === true || url.origin !== start.origin;
    if (!USABLE.has(response.status) && (isElsewhere || !MISSING.has(response.status))) {
      const { status, statusText, headers: received } = response;
      const text = await startOfBody(response);
      throw responseFailure({ status, statusText, headers: received, text }, { target, isElsewhere });
    }
    return { response, url, abort: (reason) => own.abort(reason), timeout, signal: both };
  } catch (error) {
    signal?.throwIfAborted();
    const failure = failureOf(target, own.signal.aborted ? own.signal.reason : error);
    // Frees the connection of an answer that is not wanted.
    if (failureReason(failure) !== 'timeout') own.abort(failure);
    throw failure;
  } finally {
    clearTimeout(late);
  }
}
