import { RequestError } from 'octokit';

/** What went wrong with a request, without anything that came from the request itself: it carries the token. */
export interface FailedRequest {
  /** Undefined if there was no answer. */
  readonly status: number | undefined;
  readonly reason: string;
  readonly headers: Readonly<Record<string, string | number | undefined>>;
  /** 403 and 429 mean a rate limit at times, and no permission at others. */
  readonly isRateLimit: boolean;
  /** `errors[].code` of the answer, e.g. `already_exists`. */
  readonly codes: readonly string[];
}

/** A member of each of the answer's `errors`, where it is a string. */
function membersOf(data: unknown, name: 'code' | 'message'): string[] {
  const errors: unknown = Reflect.get(Object(data), 'errors');
  if (!Array.isArray(errors)) return [];
  return errors.flatMap((error: unknown) => {
    const value: unknown = typeof error === 'string' ? error : Reflect.get(Object(error), name);
    return typeof value === 'string' ? [value] : [];
  });
}

function innermost(error: unknown): string {
  let reason = error;
  while (reason instanceof Error && reason.cause !== undefined) reason = reason.cause;
  return reason instanceof Error ? reason.message || reason.name : String(reason);
}

/** @returns undefined for errors that are not a request's */
export function requestErrorOf(error: unknown): FailedRequest | undefined {
  if (!(error instanceof RequestError)) return undefined;
  const { response } = error;
  if (response === undefined) {
    return { status: undefined, reason: innermost(error), headers: {}, isRateLimit: false, codes: [] };
  }
  const { headers } = response;
  const message: unknown = Reflect.get(Object(response.data), 'message');
  const said = typeof message === 'string' && message !== '' ? message : `status ${error.status}`;
  const reason = [said, ...membersOf(response.data, 'message')].join(': ');
  const spent = headers['retry-after'] !== undefined || String(headers['x-ratelimit-remaining']) === '0';
  const isRateLimit =
    error.status === 429 || (error.status === 403 && (spent || /rate limit|abuse detection/i.test(reason)));
  return { status: error.status, reason, headers, isRateLimit, codes: membersOf(response.data, 'code') };
}

/** Whether a request failed because what it would create is there already. */
export function isAlreadyThere(error: unknown): boolean {
  const failed = requestErrorOf(error);
  return failed?.status === 422 && (failed.codes.includes('already_exists') || /already exists/i.test(failed.reason));
}

export function isStatus(error: unknown, ...statuses: number[]): boolean {
  const status = requestErrorOf(error)?.status;
  return status !== undefined && statuses.includes(status);
}
