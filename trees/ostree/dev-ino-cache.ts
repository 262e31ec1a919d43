import { invalid } from './arguments.js';
import { loadBinding } from './binding.js';
import { Gate } from './gate.js';
import type { CacheHandle } from './native.js';

interface CacheState {
  readonly handle: CacheHandle;
  readonly gate: Gate;
}

const states = new WeakMap<object, CacheState>();

/**
 * Remembers which device and inode holds which object. Given to a checkout and then to a commit of that checkout,
 * unchanged hard links are not read again. Operations that share a cache run one after the other.
 */
// oxlint-disable-next-line typescript/no-extraneous-class -- an opaque handle, its state is in `states`
export class DevInoCache {
  constructor() {
    states.set(this, { handle: loadBinding().createDevInoCache(), gate: new Gate() });
  }
}

/** Runs `work` with the native cache, alone. Without a cache, at once. */
export function withCache<T>(
  cache: unknown,
  name: string,
  work: (handle: CacheHandle | undefined) => Promise<T>,
): Promise<T> {
  if (cache === undefined) return work(undefined);
  const state = typeof cache === 'object' && cache !== null ? states.get(cache) : undefined;
  if (state === undefined) throw invalid(name, 'a DevInoCache', cache);
  return state.gate.alone(() => work(state.handle));
}
