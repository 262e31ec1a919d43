import { join } from 'node:path';
import maxSatisfying from 'semver/ranges/max-satisfying.js';
import validRange from 'semver/ranges/valid.js';
import { TreesError } from '../trees/errors.js';
import { Repo } from '../trees/ostree/index.js';
import { buildApp } from './app.js';
import { buildBase } from './base.js';
import { builtVersions } from './commit.js';
import type { BuildContext, BuildResult } from './context.js';
import { type LoadedDefinition, loadDefinition } from './load.js';
import { compareVersions } from './version.js';
import type { BuildPaths } from './workspace.js';

/** Where a base's definition is looked for when an app needs it. */
export interface DefinitionSearch {
  readonly directories: readonly string[];
  readonly cwd: string;
}

/** Opens the build repository, creating it when there is none. Mode `bare`: real owners and modes. */
export async function openBuildRepo(paths: BuildPaths, signal: AbortSignal): Promise<Repo> {
  const repo = await Repo.create(paths.repo, { mode: 'bare', signal });
  // Everything here can be built again, so speed matters more than surviving a power cut; libostree checks what it reads.
  await repo.setFsync(false);
  return repo;
}

/**
 * Builds images, bases first. A base that an app needs and that was never built is built too.
 *
 * @throws TreesError `BASE_NOT_FOUND`, `BASE_RANGE_UNSATISFIED`, `TOOL_MISSING`, `BUILD_FAILED`, `DEFINITION_INVALID`
 */
export async function buildImages(
  context: BuildContext,
  wanted: readonly LoadedDefinition[],
  search: DefinitionSearch,
): Promise<BuildResult[]> {
  const results: BuildResult[] = [];
  const run = async (build: () => Promise<Omit<BuildResult, 'seconds'>>): Promise<BuildResult> => {
    const started = performance.now();
    const result = { ...(await build()), seconds: Math.round(performance.now() - started) / 1000 };
    results.push(result);
    return result;
  };
  for (const loaded of wanted) {
    const { definition } = loaded;
    if (definition.kind === 'base') await run(() => buildBase(context, { ...loaded, definition }));
  }
  for (const loaded of wanted) {
    const { definition } = loaded;
    if (definition.kind !== 'app') continue;
    const base = (await findBase(context, definition.from)) ?? (await makeBase(loaded, search, context, run));
    if (base === undefined) await run(async () => ({ ...unbuilt, name: definition.name }));
    else await run(() => buildApp(context, { ...loaded, definition }, base));
  }
  return results;
}

/** An app whose base would have to be built first, in a dry run. */
const unbuilt = {
  kind: 'app',
  version: undefined,
  ref: undefined,
  commit: undefined,
  size: 0,
  files: 0,
  status: 'stale',
} as const;

/**
 * The newest version of a base in the repository that satisfies a range; undefined when it was never built.
 *
 * @throws TreesError `BASE_RANGE_UNSATISFIED` when versions are there, but none satisfies it
 */
async function findBase(
  context: BuildContext,
  from: { base: string; range: string },
): Promise<{ version: string; commit: string } | undefined> {
  const versions = await builtVersions(context.repo, { kind: 'base', name: from.base }, context.arch);
  if (versions.size === 0) return undefined;
  const names = [...versions.keys()].sort(compareVersions);
  const version = maxSatisfying(names, from.range);
  const commit = version === null ? undefined : versions.get(version);
  if (version === null || commit === undefined) {
    const why = validRange(from.range) === null ? ' (which is no semver range)' : '';
    throw new TreesError(
      'BASE_RANGE_UNSATISFIED',
      `no base ${from.base} satisfies ${from.range}${why}: built are ${names.join(', ')}`,
      {
        hint: `correct from.range in the definition, or build another ${from.base}`,
        details: { ...from, versions: names },
      },
    );
  }
  return { version, commit };
}

async function makeBase(
  app: LoadedDefinition,
  search: DefinitionSearch,
  context: BuildContext,
  run: (build: () => Promise<Omit<BuildResult, 'seconds'>>) => Promise<BuildResult>,
): Promise<{ version: string; commit: string } | undefined> {
  if (app.definition.kind !== 'app') return undefined;
  const { from } = app.definition;
  const loaded = await loadBase(from.base, app, search);
  const { definition } = loaded;
  if (definition.kind !== 'base') {
    throw new TreesError(
      'BASE_NOT_FOUND',
      `${app.definition.name} is built on ${from.base}, which is an app (${loaded.file})`,
    );
  }
  const built = await run(() => buildBase(context, { ...loaded, definition }));
  return built.status === 'stale' ? undefined : await findBase(context, from);
}

async function loadBase(name: string, app: LoadedDefinition, search: DefinitionSearch): Promise<LoadedDefinition> {
  try {
    return await loadDefinition(name, [app.directory, ...search.directories], search.cwd);
  } catch (cause) {
    if (!(cause instanceof TreesError) || cause.code !== 'DEFINITION_NOT_FOUND') throw cause;
    throw new TreesError(
      'BASE_NOT_FOUND',
      `cannot build ${app.definition.name}: its base ${name} was never built, and ${cause.message}`,
      {
        ...(cause.hint === undefined ? {} : { hint: cause.hint }),
        cause,
      },
    );
  }
}

/** Where the output of a build goes. */
export function logFile(paths: BuildPaths): string {
  return join(paths.logs, `build-${process.pid}.log`);
}
