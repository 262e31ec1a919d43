/** What the benchmark keeps between runs: `$TMPDIR/trees-bench`, or `/var/tmp/trees-bench`. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Cache {
  /** Its directory; whatever is in there may be deleted. */
  readonly dir: string;
  path(...parts: string[]): string;
  /**
   * Calls `make` unless it was called before for the same `of`. `make` gets a place where nothing is.
   * @param name of the file or directory that it makes
   * @param of what it is made from; another value makes it anew
   * @param tool what it is made with; another value makes it anew unless `keep`
   */
  once(name: string, of: string, make: (path: string) => unknown, tool?: string): Promise<string>;
}

/**
 * @param options.fresh forget what was kept, except downloads
 * @param options.keep take what an older tool made
 */
export function openCache(options: { readonly fresh: boolean; readonly keep: boolean }): Cache {
  const dir = join(process.env['TMPDIR'] ?? '/var/tmp', 'trees-bench');
  const path = (...parts: string[]): string => join(dir, ...parts);
  // Root file systems with set-id programs are below.
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  if (options.fresh) rmSync(path('stamps'), { recursive: true, force: true });
  mkdirSync(path('stamps'), { recursive: true });
  return {
    dir,
    path,
    async once(name, of, make, tool) {
      const stamp = path('stamps', name);
      const wanted = tool === undefined ? of : `${of} ${tool}`;
      const found = readStamp(stamp);
      const isGood = found === wanted || (options.keep && tool !== undefined && found?.startsWith(`${of} `) === true);
      if (!isGood) {
        rmSync(stamp, { force: true });
        rmSync(path(name), { recursive: true, force: true });
        process.stderr.write(`preparing ${name}\n`);
        await make(path(name));
        writeFileSync(stamp, wanted);
      }
      return path(name);
    },
  };
}

function readStamp(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
