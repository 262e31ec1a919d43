import { Session } from 'node:inspector/promises';

/** What ran during one call. */
export interface Coverage extends AsyncDisposable {
  /** Runs `call`; returns a name for each block of source that ran, and whether it ran more than once. */
  measure(call: () => void): Promise<string[]>;
}

/**
 * V8's precise block coverage (Chrome DevTools Protocol, `Profiler.startPreciseCoverage`) of the source files whose
 * URL matches.
 */
export async function openCoverage(files: RegExp): Promise<Coverage> {
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  return {
    measure: async (call) => {
      await session.post('Profiler.takePreciseCoverage');
      call();
      const { result } = await session.post('Profiler.takePreciseCoverage');
      return result
        .filter(({ url }) => files.test(url))
        .flatMap(({ url, functions }) =>
          functions.flatMap(({ ranges }) =>
            ranges
              .filter(({ count }) => count > 0)
              .map(({ startOffset, endOffset, count }) => `${url}:${startOffset}-${endOffset}${count > 1 ? '+' : ''}`),
          ),
        );
    },
    [Symbol.asyncDispose]: async () => {
      await session.post('Profiler.stopPreciseCoverage');
      session.disconnect();
    },
  };
}
