import type { StoreOptions } from '../store/store.js';
import type { Context } from './command.js';

/**
 * What every operation on the store takes from a command's context.
 * @param command what is being done, for those who wait for it: `install etcd`
 */
export function storeOptions(context: Context, command: string): StoreOptions {
  return {
    root: context.settings.root,
    lockTimeout: context.settings.lockTimeout,
    command,
    binDir: context.settings.binDir,
    reporter: context.reporter,
    signal: context.signal,
  };
}
