import type { Writable } from 'node:stream';

/**
 * Ends the process when all output is written, with the status that was set. Left to itself Node would wait for
 * connections that are kept open, and take its heap apart first, which takes milliseconds.
 */
export async function leave(): Promise<void> {
  await Promise.all([process.stdout, process.stderr].map(written));
  // Failures to write are told after the write.
  setImmediate(() => process.exit());
}

/** Resolves when a stream has nothing left to write, or cannot write it. */
async function written(stream: Writable): Promise<void> {
  if (stream.writableLength === 0) return;
  await new Promise<void>((resolve) => {
    stream.write('', () => resolve());
  });
}
