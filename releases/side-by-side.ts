export interface Jobs {
  /** Begins a job as soon as there is room for it. @throws what another job has failed with */
  readonly start: (job: () => Promise<void>) => Promise<void>;
  /** For work that takes long without starting any. @throws what a job has failed with */
  readonly throwIfFailed: () => void;
}

/**
 * Runs `work`, and the jobs that it starts beside itself and beside each other.
 * @param limit how many jobs may be under way at once
 * @returns when all have ended; after a failure no further job begins
 * @throws what failed first, once nothing is under way any more
 */
export async function sideBySide(limit: number, work: (jobs: Jobs) => Promise<void>): Promise<void> {
  const running = new Set<Promise<void>>();
  let failure: { readonly error: unknown } | undefined;
  const run = async (job: () => Promise<void>): Promise<void> => {
    try {
      await job();
    } catch (error) {
      failure ??= { error };
    }
  };
  const throwIfFailed = (): void => {
    if (failure !== undefined) throw failure.error;
  };
  const start = async (job: () => Promise<void>): Promise<void> => {
    while (running.size >= limit) await Promise.race(running);
    throwIfFailed();
    const ended = run(job).then(() => void running.delete(ended));
    running.add(ended);
  };
  await run(async () => await work({ start, throwIfFailed }));
  while (running.size > 0) await Promise.all(running);
  throwIfFailed();
}

/** Runs what it is given one after the other, in the order of the calls, whoever calls. */
export function inTurn(): <T>(action: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return async (action) => {
    const result = last.then(action, action);
    last = result;
    return await result;
  };
}
