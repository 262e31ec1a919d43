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
  const stream = Readable.from(chunks(got, target), { objectMode: false });
  // A stream that is given up before it is read never starts the generator, which then cannot end the request.
  stream.once('close', () => got.abort());
  return stream;
}

async function* chunks(got: Got, target: string): AsyncGenerator<Buffer, void> {
  const { response, timeout } = got;
  if (response.body === null) return;
  const reader = response.body.getReader();
  for (let isFirst = true; ; isFirst = false) {
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
    if (next.done) return;
    const bytes = Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength);
    if (isFirst && response.status === 200 && WEB_PAGE.test(bytes.toString('latin1', 0, 256))) {
      throw transportFailure(target, 'login-page', 'the answer is a web page');
    }
    yield bytes;
  }
}
