/** Ties an AbortSignal to a GCancellable for the length of one call. */
import type { Native, Token } from './native.js';

/**
 * Runs `start` with a token that `signal` cancels.
 *
 * @throws the signal's reason when it aborted the call, whatever `start` throws otherwise.
 */
export async function withSignal<T>(
  native: Native,
  signal: AbortSignal | undefined,
  start: (token: Token | undefined) => Promise<T>,
): Promise<T> {
  if (signal === undefined) return start(undefined);
  signal.throwIfAborted();
  const token = native.createCancellable();
  const onAbort = (): void => {
    native.cancel(token);
  };
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await start(token);
  } catch (error) {
    // Whatever the cancelled call failed with, the caller's reason is the cause.
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
