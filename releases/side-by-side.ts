/** Begins a job as soon as there is room for it. @throws what another job has failed with */
export type Start = (job: () => Promise<void>) => Promise<void>;

/**
 * Runs `work`, and the jobs that it starts beside itself and beside each other.
 * @param limit how many jobs may be under way at once
 * @returns when all have ended; after a failure no further job begins
 * @throws what failed first, once nothing is under way any more
 */
export async function sideBySide(limit: number, work: (start: Start) => Promise<void>): Promise<void> {
  const running = new Set<Promise<void>>();
  let failure: { readonly error: unknown } | undefined;
  const run = async (job: () => Promise<void>): Promise<void> => {
    try {
      await job();
    } catch (error) {
      failure ??= { error };
    }
  };
  const start: Start = async (job) => {
    while (running.size >= limit) await Promise.race(running);
    if (failure !== undefined) throw failure.error;
    const ended = run(job).then(() => void running.delete(ended));
    running.add(ended);
  };
  await run(async () => await work(start));
  while (running.size > 0) await Promise.all(running);
  if (failure !== undefined) throw failure.error;
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
