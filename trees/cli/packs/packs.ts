import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Script } from 'node:vm';

/*
 * The command is built as a few packs, files of many modules each. Node takes half a millisecond to find and link a
 * module of its own, however small; a module in a pack is a function that is called when the module is first needed.
 * A pack is an expression, `({ "./module.js"(require, …) { … }, … })`, and is plain ASCII, so that V8 keeps it as bytes.
 */

type Require = (id: string) => unknown;
type ModuleFunction = (
  exports: object,
  require: Require,
  module: { exports: unknown },
  load: (id: string) => Promise<unknown>,
  dirname: string,
  url: string,
) => void;

export interface PackOptions {
  /** Names of the packs' files; a module is looked for in the first one first, others are opened when it is not there. */
  readonly names: readonly string[];
  /** How a module finds what is in no pack and not Node's: packages that are not bundled. */
  readonly outside: Require;
  /** The same for import(). */
  readonly load: (id: string) => Promise<unknown>;
  /** V8's code cache of a pack, if there is a good one. */
  cacheOf(name: string): Buffer | undefined;
  /** Called for a pack that V8 has to compile, as `cacheOf` had nothing or V8 does not want it. */
  compiling(name: string, rejected: boolean): void;
}

export interface Packs {
  /** Exports of a module. */
  readonly require: Require;
  /** Scripts of the packs opened so far. */
  readonly opened: ReadonlyMap<string, Script>;
  /** Modules loaded so far. */
  readonly modules: ReadonlyMap<string, unknown>;
}

/**
 * Makes the modules of packs available; reads nothing yet.
 * @param directory where the packs are
 */
export function openPacks(directory: string, options: PackOptions): Packs {
  const { names, outside } = options;
  const functions: Array<Readonly<Record<string, ModuleFunction>>> = [];
  const opened = new Map<string, Script>();
  const modules = new Map<string, { exports: unknown }>();
  // What modules see as their own.
  const url = pathToFileURL(join(directory, 'packs.js')).href;

  const require = (id: string): unknown => {
    if (!id.startsWith('./')) return process.getBuiltinModule(id) ?? outside(id);
    const known = modules.get(id);
    if (known !== undefined) return known.exports;
    const exports = {};
    const module: { exports: unknown } = { exports };
    const run = find(id);
    modules.set(id, module);
    try {
      run(exports, require, module, load, directory, url);
    } catch (error) {
      modules.delete(id);
      throw error;
    }
    return module.exports;
  };
  const load = async (id: string): Promise<unknown> => {
    const here = id.startsWith('./') ? require(id) : process.getBuiltinModule(id);
    return here ?? (await options.load(id));
  };

  function find(id: string): ModuleFunction {
    for (const [at, name] of names.entries()) {
      const pack = (functions[at] ??= open(name));
      const found = pack[id];
      if (found !== undefined) return found;
    }
    throw new Error(`no pack has the module ${id}`);
  }

  function open(name: string): Readonly<Record<string, ModuleFunction>> {
    const filename = join(directory, name);
    const cachedData = options.cacheOf(name);
    const script = new Script(readFileSync(filename, 'latin1'), {
      filename,
      ...(cachedData === undefined ? {} : { cachedData }),
    });
    if (cachedData === undefined || script.cachedDataRejected === true)
      options.compiling(name, cachedData !== undefined);
    opened.set(name, script);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what scripts/build.mjs writes
    return script.runInThisContext() as Readonly<Record<string, ModuleFunction>>;
  }

  return { require, opened, modules };
}
