import type { FeedsOptions } from '../feed/feeds.js';
import type { Context } from './command.js';

/** What the functions on feeds take from a command's context. */
export function feedsOptions(context: Context, allowStale = false): FeedsOptions {
  return {
    allowStale,
    signal: context.signal,
    reporter: context.reporter,
    lockTimeout: context.settings.lockTimeout,
    network: context.settings.network,
  };
}
