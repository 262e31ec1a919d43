import { join } from 'node:path';
import { readCache } from './code-cache.js';
import { leave } from './leave.js';
import type { orderCaches } from './make-caches.js';
import { openPacks } from './packs.js';
import { cachePlaces } from './place.js';

/** A cache that is as young as that and that V8 rejects all the same is not made again: that would not change it. */
const YOUNG_MS = 60_000;

export interface StartOptions {
  /** Where packs and caches are. */
  readonly directory: string;
  /** Names of the packs, see `openPacks`. */
  readonly names: readonly string[];
  /** Loads what is not in the packs. */
  readonly outside: (id: string) => unknown;
  /** The same for import(). */
  readonly load: (id: string) => Promise<unknown>;
}

/** What `trees/cli/main.ts` exports. */
export interface Main {
  readonly main: (argv: readonly string[]) => Promise<void>;
}

interface MakeCaches {
  readonly orderCaches: typeof orderCaches;
}

/** Runs a command line with the packs; makes their caches where good ones are missing. */
export function startCommand(argv: readonly string[], { directory, names, outside, load }: StartOptions): void {
  const places = cachePlaces(directory);
  let young = false;
  let asked = false;
  const packs = openPacks(directory, {
    names,
    outside,
    load,
    cacheOf(name) {
      const file = cacheName(name);
      for (const place of places) {
        const data = readCache(join(place.directory, file), (found) => {
          young = Math.abs(Date.now() - found.mtimeMs) < YOUNG_MS;
          return place.trusts(found);
        });
        if (data !== undefined) return data;
      }
      return undefined;
    },
    compiling(_name, rejected) {
      if (asked || (rejected && young)) return;
      asked = true;
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the module beside the starter
      (outside('./make-caches.js') as MakeCaches).orderCaches(directory);
    },
  });
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- trees/cli/main.ts
  const { main } = packs.require('./main.js') as Main;
  void main(argv).then(leave);
}

/**
 * Name of the cache of a pack. The pack's name has a digest of its content; V8 itself looks at everything else, but
 * versions and flags that take turns should not replace each other's caches.
 */
export function cacheName(pack: string): string {
  const flagged = process.execArgv.length > 0 || Boolean(process.env['NODE_OPTIONS']);
  const flags = flagged ? `-${flagsTag()}` : '';
  return `${pack}.${process.version}-${process.arch}${flags}.cache`;
}

function flagsTag(): string {
  const v8 = process.getBuiltinModule('node:v8');
  return v8.cachedDataVersionTag().toString(16);
}
