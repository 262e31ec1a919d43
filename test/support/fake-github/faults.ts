import type { IncomingMessage, ServerResponse } from 'node:http';

/** One way for a request to go wrong. Byte counts are of the answer's body. */
export type Fault =
  /** Answer with this status and nothing of use. */
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly retryAfter?: number | string;
      readonly message?: string;
    }
  /** 403 as GitHub gives it when the hourly budget is spent. */
  | { readonly kind: 'rate-limit' /** Seconds until it is over; default 3600. */; readonly reset?: number }
  /** 403 as GitHub gives it to those who are too fast. */
  | { readonly kind: 'secondary-limit' /** Seconds. */; readonly retryAfter?: number }
  /** Take the request and never answer. */
  | { readonly kind: 'hang' }
  /** Do nothing, reset the connection; with `after`, once so much of the body was sent. */
  | { readonly kind: 'reset'; readonly after?: number }
  /** Send so much of the body, then nothing more, and keep the connection. */
  | { readonly kind: 'stall'; readonly after: number }
  /** Send so much of the body and end it as if it were whole. */
  | { readonly kind: 'truncate'; readonly after: number }
  /** Ignore Range: 200 and the whole body. */
  | { readonly kind: 'no-range' }
  /** Send other bytes, under another entity tag. */
  | { readonly kind: 'changed' }
  /** A signed address that has run out: 403, or 618 as newer ones answer. */
  | { readonly kind: 'expired'; readonly status?: 403 | 618 }
  | { readonly kind: 'redirect-loop' }
  | { readonly kind: 'redirect'; readonly to: string }
  /** 200 and a login page, as a captive portal does. */
  | { readonly kind: 'html' }
  /** Content-Encoding: gzip, although nobody asked for it. */
  | { readonly kind: 'gzip' }
  /** Do what was asked, then reset the connection instead of answering. */
  | { readonly kind: 'lose-answer' }
  /** Reset an upload once so many bytes of it have arrived; the asset stays behind as `starter`. */
  | { readonly kind: 'break-upload'; readonly after: number };

export interface FaultTarget {
  /** Only requests for the asset with this name. */
  readonly file?: string;
  /** How often; default once. */
  readonly times?: number;
}

interface Rule {
  readonly endpoint: string;
  readonly file: string | undefined;
  readonly fault: Fault;
  left: number;
}

/** Which requests are to fail, in the order in which it was said. */
export interface FaultPlan {
  add(endpoint: string, fault: Fault, target: FaultTarget): void;
  take(endpoint: string, file: string | undefined): Fault | undefined;
  clear(): void;
  /** How many requests are still to fail. */
  left(): number;
}

export function createFaultPlan(): FaultPlan {
  let rules: Rule[] = [];
  return {
    add(endpoint, fault, { file, times = 1 }) {
      rules.push({ endpoint, file, fault, left: times });
    },
    take(endpoint, file) {
      const rule = rules.find((one) => one.endpoint === endpoint && (one.file === undefined || one.file === file));
      if (rule === undefined) return undefined;
      rule.left -= 1;
      if (rule.left <= 0) rules = rules.filter((one) => one !== rule);
      return rule.fault;
    },
    clear() {
      rules = [];
    },
    left: () => rules.reduce((sum, rule) => sum + rule.left, 0),
  };
}

const LOGIN_PAGE =
  '<!DOCTYPE html>\n<html><head><title>Welcome to FreeWiFi</title></head><body>Please log in.</body></html>\n';

function sendJson(response: ServerResponse, status: number, message: string, headers: Record<string, string>): void {
  const body = JSON.stringify({ message, documentation_url: 'https://docs.github.com/rest', status: String(status) });
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', ...headers });
  response.end(body);
}

/**
 * Answers a request with a fault, where the fault replaces the answer.
 * @returns false if the request is to be handled all the same, and the fault concerns what follows
 */
export function answerWith(fault: Fault, request: IncomingMessage, response: ServerResponse): boolean {
  switch (fault.kind) {
    case 'status': {
      const retry = fault.retryAfter === undefined ? {} : { 'retry-after': String(fault.retryAfter) };
      sendJson(response, fault.status, fault.message ?? 'Server Error', retry);
      return true;
    }
    case 'rate-limit': {
      const reset = Math.ceil(Date.now() / 1000) + (fault.reset ?? 3600);
      sendJson(response, 403, 'API rate limit exceeded for 127.0.0.1.', {
        'x-ratelimit-limit': '60',
        'x-ratelimit-remaining': '0',
        'x-ratelimit-reset': String(reset),
        'x-ratelimit-resource': 'core',
      });
      return true;
    }
    case 'secondary-limit': {
      const message = 'You have exceeded a secondary rate limit. Please wait a few minutes before you try again.';
      sendJson(
        response,
        403,
        message,
        fault.retryAfter === undefined ? {} : { 'retry-after': String(fault.retryAfter) },
      );
      return true;
    }
    case 'hang':
      return true;
    case 'reset':
      if (fault.after !== undefined) return false;
      request.socket.resetAndDestroy();
      return true;
    case 'expired':
      response.writeHead(fault.status ?? 403, { 'content-type': 'application/xml' });
      response.end('<?xml version="1.0"?><Error><Code>AuthenticationFailed</Code></Error>');
      return true;
    case 'redirect-loop':
      response.writeHead(302, { location: request.url ?? '/' }).end();
      return true;
    case 'redirect':
      response.writeHead(302, { location: fault.to }).end();
      return true;
    case 'html':
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(LOGIN_PAGE);
      return true;
    case 'stall':
    case 'truncate':
    case 'no-range':
    case 'changed':
    case 'gzip':
    case 'lose-answer':
    case 'break-upload':
      return false;
  }
}
