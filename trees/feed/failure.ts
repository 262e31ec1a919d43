import { TreesError } from '../errors.js';

/** What went wrong on the way to a feed; `details.reason` of FEED_UNREACHABLE, stable for scripts. */
export type FailureReason =
  | 'connection'
  | 'denied'
  | 'dns'
  | 'expired-url'
  | 'login-page'
  | 'proxy'
  | 'rate-limit'
  | 'redirect'
  | 'refused'
  | 'server'
  | 'timeout'
  | 'tls';

/** Reasons that may be gone a moment later. */
const PASSING = new Set<unknown>([
  'connection',
  'expired-url',
  'rate-limit',
  'server',
  'timeout',
] satisfies FailureReason[]);

const HINTS: Readonly<Record<FailureReason, string>> = {
  connection: 'check the network and run the command again; what is installed keeps working',
  denied: 'if this is a private repository, set GITHUB_TOKEN to a token that may read it',
  dns: 'check the address and whether this machine is online; what is installed keeps working',
  'expired-url': 'run the command again; the server kept handing out addresses that no longer work',
  'login-page': 'this network wants you to log in first: open any page in a browser, then run the command again',
  proxy: 'check HTTPS_PROXY and HTTP_PROXY; NO_PROXY lists hosts to reach directly',
  'rate-limit': 'wait, or set GITHUB_TOKEN, or add a mirror of the feed',
  redirect: 'tell the publisher; what is installed keeps working',
  refused: 'check the address; what is installed keeps working',
  server: 'try again later; what is installed keeps working',
  timeout: 'check the network and run the command again; network.timeout sets how long to wait',
  tls:
    'check the clock of this machine and whether this network wants you to log in first; behind a proxy that opens TLS, ' +
    'name its CA file with the setting network.ca',
};

export interface FailureOptions {
  readonly cause?: unknown;
  /** Seconds that the server wants to be left alone. */
  readonly retryAfter?: number | undefined;
  readonly hint?: string;
}

/**
 * FEED_UNREACHABLE with its reason.
 * @param target what was fetched; never a redirect's target, whose query is a password
 */
export function transportFailure(
  target: string,
  reason: FailureReason,
  why: string,
  options: FailureOptions = {},
): TreesError {
  const { cause, retryAfter, hint } = options;
  return new TreesError('FEED_UNREACHABLE', `cannot fetch ${target}: ${why}`, {
    hint: hint ?? HINTS[reason],
    cause,
    details: { reason, ...(retryAfter === undefined ? {} : { retryAfter }) },
  });
}

/** The reason, if that is what the error is. */
export function failureReason(error: unknown): unknown {
  return error instanceof TreesError && error.code === 'FEED_UNREACHABLE' ? error.details?.['reason'] : undefined;
}

/** Whether the same request may work a moment later. */
export function isPassing(error: unknown): boolean {
  return PASSING.has(failureReason(error));
}

/** Seconds that the server wants to be left alone, if it said so. */
export function retryAfterOf(error: unknown): number | undefined {
  const seconds = error instanceof TreesError ? error.details?.['retryAfter'] : undefined;
  return typeof seconds === 'number' ? seconds : undefined;
}

/** Node wraps the reason of a failed fetch ("fetch failed") in a chain of causes; the innermost one says it. */
function innermost(error: unknown): unknown {
  let reason = error;
  while (reason instanceof Error && reason.cause !== undefined) reason = reason.cause;
  return reason;
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

const TLS =
  /^(CERT_|CRL_|DEPTH_ZERO_|ERR_SSL_|ERR_TLS_|HOSTNAME_|INVALID_CA|PATH_LENGTH|SELF_SIGNED|UNABLE_TO_)|^EPROTO$/;
const TIMEOUT = /TIMEOUT|^ETIMEDOUT$/;

export const PROXY_PASSWORD = 'the proxy wants a user name and a password (407)';

function classify(error: unknown): { reason: FailureReason; why: string } {
  const inner = innermost(error);
  const code = codeOf(inner);
  const message = inner instanceof Error ? inner.message || code : String(inner);
  if (code === 'ENOTFOUND') return { reason: 'dns', why: `the name is not known (${message})` };
  if (code === 'EAI_AGAIN') return { reason: 'connection', why: `no name server answers (${message})` };
  if (TLS.test(code)) return { reason: 'tls', why: `the server cannot be trusted: ${message}` };
  if (TIMEOUT.test(code)) return { reason: 'timeout', why: message };
  if (/proxy/i.test(message) && message.includes('407')) return { reason: 'proxy', why: PROXY_PASSWORD };
  if (/proxy/i.test(message)) return { reason: 'proxy', why: message };
  return { reason: 'connection', why: message };
}

/** What `fetch` or a stream threw, as FEED_UNREACHABLE. Errors of ours pass through. */
export function failureOf(target: string, error: unknown): TreesError {
  if (error instanceof TreesError) return error;
  const { reason, why } = classify(error);
  return transportFailure(target, reason, why, { cause: error });
}
