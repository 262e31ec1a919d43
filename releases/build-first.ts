import { relative, resolve } from 'node:path';
import * as z from 'zod/mini';
import type { Context } from '../trees/cli/command.js';
import { findCommand } from '../trees/cli/registry.js';
import { usageError } from '../trees/errors.js';

export interface BuildFirstOptions {
  /** Directories that are searched for definitions first. */
  readonly definitions: readonly string[];
  /** `if it can be`: names without a definition are left as they are, and so is everything where building needs more rights. */
  readonly how: 'always' | 'if it can be' | 'never';
}

export interface BuiltFirst {
  /** Names to publish; undefined: everything that is built. */
  readonly names: readonly string[] | undefined;
  /** What a dry run would build and so knows nothing of. */
  readonly pending: readonly string[];
}

/** What `trees build --json` says that matters here: a definition given by its path has a name of its own. */
const builtSchema = z.object({ images: z.array(z.object({ name: z.string(), status: z.string() })) });
const named = z.array(z.object({ name: z.string(), file: z.string() }));
const listSchema = z.object({ definitions: named, built: named });

type Listed = z.infer<typeof listSchema>;

/** Through the command table: nothing that publishes knows how images are made. */
async function buildCommand(context: Context, args: Record<string, unknown>) {
  const command = await findCommand('build')?.load();
  if (command?.kind !== 'command') throw new Error('there is no command "build"');
  return await command.run(context, { names: [], ...args, rest: [] });
}

const isFile = (name: string): boolean => /[/]|\.(?:ya?ml|json)$/.test(name);

/** Definitions to build, by name or file, of those that were named. */
function ofNames(names: readonly string[], { definitions, built }: Listed, options: BuildFirstOptions): string[] {
  const from = new Map(built.map(({ name, file }) => [name, file]));
  const known = new Set(definitions.map(({ name }) => name));
  return names.flatMap((name) => {
    // Directories given now say more than where it was built from before.
    const before = options.definitions.length === 0 ? from.get(name) : undefined;
    return isFile(name) || options.how === 'always' || known.has(name) || before !== undefined ? [before ?? name] : [];
  });
}

/** Definitions to build where none is named: those of the user's own directories, and what was built here before. */
function ofEverything({ definitions, built }: Listed, own: readonly string[]): string[] {
  const isOwn = (file: string): boolean => own.some((directory) => !relative(directory, file).startsWith('..'));
  const files = definitions.filter(({ file }) => isOwn(file)).map(({ file }) => file);
  const names = new Set(definitions.filter(({ file }) => isOwn(file)).map(({ name }) => name));
  return [...files, ...built.filter(({ name }) => !names.has(name)).map(({ file }) => file)];
}

/**
 * Builds what is to be published, as `trees build` does, which leaves alone what has not changed.
 * @throws TreesError USAGE for `always` without names; as `trees build`
 */
export async function buildFirst(
  context: Context,
  names: readonly string[],
  options: BuildFirstOptions,
): Promise<BuiltFirst> {
  const { settings, cwd, reporter } = context;
  const asIs: BuiltFirst = { names: names.length === 0 ? undefined : names, pending: [] };
  if (options.how === 'never') return asIs;
  if (options.how === 'always' && names.length === 0) {
    throw usageError('Expected names with --build, got none', 'for example: release deb etcd --build');
  }
  const { definitions } = options;
  if (options.how === 'if it can be' && process.getuid?.() !== 0) {
    if (names.length + definitions.length > 0)
      reporter.info('nothing is built, as that needs root: what is there is published');
    return asIs;
  }
  const listed = z.parse(listSchema, (await buildCommand(context, { list: true, definitions })).json);
  const own = [...definitions, ...settings.build.definitions].map((directory) => resolve(cwd, directory));
  const wanted = names.length > 0 ? ofNames(names, listed, options) : ofEverything(listed, own);
  if (wanted.length === 0) return asIs;
  const { json, text } = await buildCommand(context, { names: wanted, definitions });
  for (const line of text.trimEnd().split('\n')) reporter.info(line);
  const { images } = z.parse(builtSchema, json);
  const pending = images.filter(({ status }) => status === 'stale').map(({ name }) => name);
  if (names.length === 0) return { names: undefined, pending };
  const done = images.map(({ name }) => name).filter((name) => !pending.includes(name));
  const others = names.filter((name) => !isFile(name) && !pending.includes(name));
  return { names: [...new Set([...done, ...others])], pending };
}
