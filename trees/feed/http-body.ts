import { Readable } from 'node:stream';
import { failureOf, transportFailure } from './failure.js';
import type { Got } from './http-get.js';

/** Nothing that a feed serves begins like this. */
const WEB_PAGE = /^\uFEFF?\s*<(!doctype html|html[\s>])/i;

/**
 * The body of an answer as a stream that notices when nothing comes any more, and when a network that wants a login
 * answered with its own page instead.
 */
export function bodyStream(got: Got, target: string): Readable {
  return Readable.from(chunks(got, target), { objectMode: false });
}

async function* chunks(got: Got, target: string): AsyncGenerator<Buffer, void> {
  const { response, timeout } = got;
  if (response.body === null) return;
  const reader = response.body.getReader();
  let isFirst = true;
  let done = false;
  try {
    for (;;) {
      // Only the wait for the network counts: a slow disk is not the server's fault.
      const silence = setTimeout(
        () => got.abort(transportFailure(target, 'timeout', `nothing has arrived for ${timeout} s`)),
        timeout * 1000,
      );
      let next: Awaited<ReturnType<typeof reader.read>>;
      try {
        next = await reader.read();
      } catch (error) {
        throw failureOf(target, got.signal.aborted ? got.signal.reason : error);
      } finally {
        clearTimeout(silence);
      }
      if (next.done) {
        done = true;
        return;
      }
      const bytes = Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength);
      if (isFirst && response.status === 200 && WEB_PAGE.test(bytes.toString('latin1', 0, 256))) {
        throw transportFailure(target, 'login-page', 'the answer is a web page');
      }
      isFirst = false;
      yield bytes;
    }
  } finally {
    if (!done) got.abort();
  }
}
