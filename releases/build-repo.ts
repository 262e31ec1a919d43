import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { TreesError } from '../trees/errors.js';
import { Repo } from '../trees/ostree/index.js';
import { composeTree } from '../trees/store/compose.js';

/**
 * Opens the repository of `trees build`.
 * @throws TreesError APP_NOT_FOUND if there is none
 */
export async function openBuildRepo(build: string): Promise<Repo> {
  const path = join(build, 'repo');
  const found = await stat(join(path, 'config')).catch(() => undefined);
  if (found !== undefined) return await Repo.open(path);
  throw new TreesError('APP_NOT_FOUND', `cannot release: nothing has been built (${path} is not there)`, {
    hint: 'trees release NAME builds it from its definition first; what was built lies below the --root of the build',
  });
}

/**
 * As `openBuildRepo`, for what needs no builds: an empty one where there is none.
 * @param dryRun then it is made elsewhere, and is gone when it is closed
 */
export async function openOrCreateBuildRepo(build: string, dryRun: boolean): Promise<OpenedRepo> {
  const path = join(build, 'repo');
  const found = await stat(join(path, 'config')).catch(() => undefined);
  if (found !== undefined) return opened(await Repo.open(path));
  if (!dryRun) {
    await mkdir(build, { recursive: true, mode: 0o700 });
    return opened(await Repo.create(path, { mode: repoMode() }));
  }
  const directory = await mkdtemp(join(tmpdir(), 'trees-release-'));
  return opened(await Repo.create(join(directory, 'repo'), { mode: repoMode() }), directory);
}

export interface OpenedRepo extends AsyncDisposable {
  readonly repo: Repo;
}

/** Real owners and modes are root's. */
export function repoMode(): 'bare' | 'bare-user' {
  return process.geteuid?.() === 0 ? 'bare' : 'bare-user';
}

function opened(repo: Repo, temporary?: string): OpenedRepo {
  return {
    repo,
    async [Symbol.asyncDispose]() {
      repo.close();
      if (temporary !== undefined) await rm(temporary, { recursive: true, force: true });
    },
  };
}

/** A repository that can read everything of another one, and writes nothing to it. */
export async function openBorrowing(repo: Repo, path: string): Promise<Repo> {
  using created = await Repo.create(path, { mode: repo.mode });
  await created.setConfig('core', 'parent', resolve(repo.path));
  return await Repo.open(path);
}

/** Composes in a repository of its own: only the checksum is wanted. */
export async function composeChecksum(
  repo: Repo,
  scratchParent: string,
  [base, layer]: readonly [string, string],
): Promise<string> {
  const directory = await mkdtemp(join(scratchParent, 'trees-compose-'));
  try {
    using scratch = await openBorrowing(repo, join(directory, 'repo'));
    return await composeTree(scratch, { base, layers: [layer] });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
