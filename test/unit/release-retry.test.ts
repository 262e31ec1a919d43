import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RequestError } from 'octokit';
import { DEFAULT_PACE, waitAfter } from '../../releases/github/retry.js';

const NOW = 1_800_000_000_000;

/** Milliseconds to wait after an answer, at the first attempt. */
function wait(status: number, headers: Record<string, string> = {}, message = 'no', attempt = 1): number | undefined {
  const request = { method: 'GET', url: 'https://api.github.com/', headers: {} } as const;
  const response = { status, headers, data: { message }, url: request.url, retryCount: 0 };
  return waitAfter(new RequestError(message, status, { request, response }), attempt, DEFAULT_PACE, NOW);
}

describe('the wait before the next attempt', () => {
  it('is as long as the server says, of whatever kind the limit is', () => {
    assert.equal(wait(429, { 'retry-after': '7' }), 7000);
    assert.equal(wait(403, { 'retry-after': '90' }, 'You have exceeded a secondary rate limit'), 90_000);
    const used = { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(NOW / 1000 + 30) };
    assert.equal(wait(403, used, 'API rate limit exceeded'), 31_000);
    // Over already, by a clock that is behind.
    assert.equal(wait(403, { ...used, 'x-ratelimit-reset': String(NOW / 1000 - 30) }, 'API rate limit exceeded'), 1000);
  });

  it('is a minute, and twice as long each time, where a limit does not say when it ends', () => {
    const limit = 'You have exceeded a secondary rate limit';
    assert.deepEqual(
      [1, 2, 3].map((attempt) => wait(403, {}, limit, attempt)),
      [60_000, 120_000, 240_000],
    );
  });

  it('grows, and is never the same for all, after the errors of a server', () => {
    for (const attempt of [1, 2, 3, 4, 5]) {
      const pause = 1000 * 2 ** (attempt - 1);
      const found = Array.from({ length: 50 }, () => wait(502, {}, 'Bad Gateway', attempt) ?? 0);
      assert.ok(found.every((one) => one >= 0.75 * pause && one <= 1.25 * pause));
      assert.ok(new Set(found).size > 1);
    }
    assert.equal(wait(502, {}, 'Bad Gateway', 6), undefined, 'enough is enough');
    assert.equal(wait(503, { 'retry-after': '30' }, 'Unavailable'), 30_000);
    assert.equal(wait(502, { 'retry-after': new Date(NOW + 45_000).toUTCString() }, 'Bad Gateway'), 45_000);
  });

  it('is none after what will not get better', () => {
    for (const status of [400, 401, 403, 404, 409, 422]) assert.equal(wait(status), undefined);
    assert.equal(waitAfter(new Error('a bug'), 1, DEFAULT_PACE), undefined);
  });
});
