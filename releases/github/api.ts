import { Octokit } from 'octokit';
import { TreesError } from '../../trees/errors.js';
import { httpClient } from '../../trees/feed/http-client.js';
import { DEFAULT_TIMEOUT } from '../../trees/feed/http-get.js';
import { githubUrls, type NetworkOptions } from '../../trees/feed/network.js';
import type { Reporter } from '../../trees/reporter.js';
import { pause } from './pause.js';
import { requestErrorOf } from './request-error.js';
import { DEFAULT_PACE, type Pace, withRetries } from './retry.js';

/** A repository's REST API, with retries, rate limits and errors that say what to do. */
export interface GithubApi {
  readonly owner: string;
  readonly repo: string;
  /** `github:owner/repo`. */
  readonly url: string;
  readonly octokit: Octokit;
  readonly network: NetworkOptions;
  readonly pace: Pace;
  readonly signal: AbortSignal | undefined;
  readonly reporter: Reporter;
  /**
   * Runs a request until it is answered.
   * @param what for messages: `create the release`
   * @param options.changes it is one that changes something; these are paced
   * @param options.pass failures that the caller deals with are passed on as they are
   * @throws TreesError RELEASE_FAILED
   */
  call<T>(what: string, action: (octokit: Octokit) => Promise<T>, options?: CallOptions): Promise<T>;
}

export interface CallOptions {
  readonly changes?: boolean;
  readonly pass?: (error: unknown) => boolean;
}

export interface GithubApiOptions {
  readonly network: NetworkOptions;
  readonly pace?: Partial<Pace> | undefined;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal | undefined;
}

/** What a failure means to whoever publishes. Never shows the request, which carries the token. */
function explain(url: string, what: string, error: unknown): TreesError {
  const failed = requestErrorOf(error);
  if (failed === undefined) throw error;
  const { status, reason } = failed;
  const details = { url, status: status ?? null };
  const fail = (why: string, hint: string): TreesError =>
    new TreesError('RELEASE_FAILED', `cannot ${what} of ${url}: ${why}`, { hint, details });
  if (failed.isRateLimit) {
    const reset = Number(failed.headers['x-ratelimit-reset']);
    const until = Number.isFinite(reset) ? ` until ${new Date(reset * 1000).toISOString()}` : '';
    return fail(`the rate limit of the token is used up${until}`, 'run the command again then: it goes on from here');
  }
  if (status === 401) return fail('the token is not accepted', 'is it still valid? Set GITHUB_TOKEN to another one');
  if (status === 403) {
    return fail(
      `the token may not do this (${reason})`,
      'it needs write permission for the contents of the repository',
    );
  }
  if (status === 404) {
    return fail(
      'there is no such repository, or the token may not see it',
      'check the name, and what the token covers',
    );
  }
  if (status === 409 || /is empty/i.test(reason)) {
    return fail(reason, 'a release needs a commit: push one, for example a README, to the repository first');
  }
  if (status === undefined) return fail(reason, 'check the network, then run the command again: it goes on from here');
  return fail(`GitHub answered ${status}: ${reason}`, 'run the command again: it goes on from here');
}

/** Spaces out requests that change something, one at a time, once there have been many. */
function pacer(pace: Pace, signal: AbortSignal | undefined): () => Promise<void> {
  let count = 0;
  let free = 0;
  return async () => {
    count += 1;
    if (count <= pace.burst) return;
    const now = Date.now();
    free = Math.max(free + pace.writePause, now);
    if (free > now) await pause(free - now, signal);
  };
}

const silent = (): void => undefined;

/**
 * Node's fetch keeps a second copy of all that it sends, for a redirect that may come, unless there is to be none and no
 * window (https://fetch.spec.whatwg.org/#http-network-or-cache-fetch, step 3): an upload would be in memory as a whole.
 */
const keepingNothing = { redirect: 'error', window: null } as const;

const isStream = (body: unknown): boolean => typeof body === 'object' && body !== null;

export function githubApi(
  { owner, repo, href }: { readonly owner: string; readonly repo: string; readonly href: string },
  options: GithubApiOptions,
): GithubApi {
  const { network, reporter, signal } = options;
  const pace = { ...DEFAULT_PACE, ...options.pace };
  const octokit = new Octokit({
    ...(network.github?.token === undefined ? {} : { auth: network.github.token() }),
    baseUrl: githubUrls(network.github).api,
    userAgent: 'trees',
    // Retries and rate limits are dealt with here: an upload needs a fresh stream for each attempt.
    retry: { enabled: false },
    throttle: { enabled: false },
    log: { debug: silent, info: silent, warn: silent, error: silent },
    // Proxies and further authorities, as for everything that is fetched.
    request: {
      fetch: async (url: string, init: RequestInit = {}) =>
        await (await httpClient(network)).fetch(url, isStream(init.body) ? { ...init, ...keepingNothing } : init),
    },
  });
  octokit.hook.wrap('request', async (send, request) => {
    // Uploads bring a signal that knows whether bytes still flow.
    if (request.request.signal !== undefined) return await send(request);
    const late = new AbortController();
    const stop = (): void => late.abort(signal?.reason);
    const seconds = network.timeout ?? DEFAULT_TIMEOUT;
    const timer = setTimeout(() => late.abort(new Error(`no answer within ${seconds} s`)), seconds * 1000);
    signal?.addEventListener('abort', stop);
    try {
      signal?.throwIfAborted();
      // Assigned, because the hooks further in are bound to this object; anew, because the one in it is that of all.
      request.request = { ...request.request, signal: late.signal };
      return await send(request);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', stop);
    }
  });
  const beforeChange = pacer(pace, signal);
  return {
    owner,
    repo,
    url: href,
    octokit,
    network,
    pace,
    signal,
    reporter,
    async call(what, action, { changes = false, pass } = {}) {
      try {
        return await withRetries(
          async () => {
            if (changes) await beforeChange();
            return await action(octokit);
          },
          { pace, what, reporter, signal },
        );
      } catch (error) {
        signal?.throwIfAborted();
        if (pass?.(error) === true) throw error;
        throw explain(href, what, error);
      }
    },
  };
}
