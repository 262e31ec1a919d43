import { chmodSync, lchownSync, mkdirSync, rmSync, type Stats } from 'node:fs';
import { TreesError } from '../errors.js';
import { openSafeDirectory, type SafeDirectory } from './safe-directory.js';
import type { UpperFormat } from './upper-format.js';

export interface MergedOptions {
  readonly upper: string;
  readonly lower: string;
  /** What a mount shows in place of a directory of the tree, by its path in the container. */
  readonly mounts: ReadonlyMap<string, string>;
  /** How `upper` says what was removed. */
  readonly format: UpperFormat;
}

/** The root of an overlay that is not mounted, as it would look if it were: for copying from and to what does not run. */
export function openMergedRoot(options: MergedOptions): SafeDirectory {
  return new MergedDirectory(options, '', openSafeDirectory(options.lower), {
    found: openSafeDirectory(options.upper),
    make: () => openSafeDirectory(options.upper),
  });
}

interface Upper {
  found: SafeDirectory | undefined;
  make(): SafeDirectory;
}

class MergedDirectory implements SafeDirectory {
  readonly #options: MergedOptions;
  readonly #path: string;
  readonly #lower: SafeDirectory | undefined;
  readonly #upper: Upper;

  constructor(options: MergedOptions, path: string, lower: SafeDirectory | undefined, upper: Upper) {
    this.#options = options;
    this.#path = path;
    this.#upper = upper;
    this.#lower = lower;
  }

  get fd(): number {
    return this.#shown().fd;
  }

  own(): Stats {
    return this.#shown().own();
  }

  attribute(name: string): string | undefined {
    return this.#shown().attribute(name);
  }

  look(name: string): Stats | undefined {
    if (this.#options.format.isReserved(name) || this.#whiteouts(name).length > 0) return undefined;
    return this.#upper.found?.look(name) ?? this.#below(name);
  }

  names(): string[] {
    const all = [...(this.#isOpaque() ? [] : (this.#lower?.names() ?? [])), ...(this.#upper.found?.names() ?? [])];
    return [...new Set(all)].filter((name) => this.look(name) !== undefined).sort();
  }

  readLink(name: string): string {
    return this.#owner(name).readLink(name);
  }

  path(name: string): string {
    return this.#owner(name).path(name);
  }

  enter(name: string): SafeDirectory | undefined {
    if (name === '.') {
      const found = this.#upper.found?.enter('.');
      return new MergedDirectory(this.#options, this.#path, this.#lower?.enter('.'), {
        found,
        make: () => enterOrFail(this.#writable(), '.'),
      });
    }
    const child = `${this.#path}/${name}`;
    const mounted = this.#options.mounts.get(child);
    if (mounted !== undefined) return openSafeDirectory(mounted);
    const stats = this.look(name);
    if (stats?.isDirectory() !== true) return undefined;
    const above = this.#upper.found?.look(name);
    const lower = this.#below(name)?.isDirectory() === true ? this.#lower?.enter(name) : undefined;
    return new MergedDirectory(this.#options, child, lower, {
      found: above === undefined ? undefined : this.#upper.found?.enter(name),
      make: () => this.#copyUp(name, stats),
    });
  }

  make<T>(name: string, how: (path: string) => T): T {
    const { format } = this.#options;
    if (format.isReserved(name)) {
      throw new TreesError(
        'UNSUPPORTED',
        `cannot make ${this.#path}/${name}: for fuse-overlayfs such names mark removals`,
      );
    }
    const upper = this.#writable();
    const hiding = this.#whiteouts(name);
    const directory = hiding.length > 0 && this.#lower?.look(name)?.isDirectory() === true;
    for (const whiteout of hiding) rmSync(upper.path(whiteout));
    const result = how(upper.path(name));
    // A directory in the place of one that was removed must not show what that had in it.
    if (directory && upper.look(name)?.isDirectory() === true) format.makeOpaque(upper.path(name));
    return result;
  }

  /** What makes something in its place follows: nothing has to be hidden. */
  remove(name: string): void {
    if (this.#upper.found?.look(name) !== undefined) this.#upper.found.remove(name);
  }

  [Symbol.dispose](): void {
    this.#upper.found?.[Symbol.dispose]();
    this.#lower?.[Symbol.dispose]();
  }

  #shown(): SafeDirectory {
    const shown = this.#upper.found ?? this.#lower;
    if (shown === undefined) throw new Error(`nothing is at ${this.#path}`);
    return shown;
  }

  #isOpaque(): boolean {
    return this.#upper.found !== undefined && this.#options.format.isOpaque(this.#upper.found);
  }

  #whiteouts(name: string): string[] {
    return this.#upper.found === undefined ? [] : this.#options.format.whiteouts(this.#upper.found, name);
  }

  #below(name: string): Stats | undefined {
    return this.#isOpaque() ? undefined : this.#lower?.look(name);
  }

  /** The one of the two directories whose entry shows. */
  #owner(name: string): SafeDirectory {
    const owner = this.#upper.found?.look(name) === undefined ? this.#lower : this.#upper.found;
    if (owner === undefined) throw new Error(`nothing is at ${this.#path}/${name}`);
    return owner;
  }

  #writable(): SafeDirectory {
    this.#upper.found ??= this.#upper.make();
    return this.#upper.found;
  }

  /** As overlayfs does before something is changed in a directory of the tree. */
  #copyUp(name: string, { uid, gid, mode }: Stats): SafeDirectory {
    const upper = this.#writable();
    this.make(name, (path) => {
      mkdirSync(path, { mode: 0o700 });
      if (process.geteuid?.() === 0) lchownSync(path, uid, gid);
      chmodSync(path, mode & 0o7777);
    });
    return enterOrFail(upper, name);
  }
}

function enterOrFail(directory: SafeDirectory, name: string): SafeDirectory {
  const entered = directory.enter(name);
  if (entered === undefined) throw new Error(`${name} is no directory any more`);
  return entered;
}
