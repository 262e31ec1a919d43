import { TreesError } from '../errors.js';
import type { Checksum, Repo } from '../ostree/index.js';
import { type Generation, readGeneration, requireInstalled } from './generations.js';
import { openInstalled } from './open-installed.js';
import type { StoreOptions } from './store.js';

export type ChangeKind = 'added' | 'changed' | 'removed';

/** One path that differs. A directory is named only if it is new, gone, or has other metadata. */
export interface Change {
  readonly change: ChangeKind;
  /** Absolute inside the tree; directories end in a slash. */
  readonly path: string;
  /** Bytes of the file before and after; undefined where there is none, 0 for directories and links. */
  readonly before: number | undefined;
  readonly after: number | undefined;
}

export interface DiffOptions extends StoreOptions {
  readonly name: string;
  /** Number of the older generation; default the one before `to`. */
  readonly from?: number | undefined;
  /** Default the current one. */
  readonly to?: number | undefined;
}

export interface GenerationDiff {
  readonly from: Generation;
  readonly to: Generation;
  /** By path. */
  readonly changes: readonly Change[];
}

interface Dir {
  readonly tree: Checksum;
  readonly meta: Checksum;
}

/**
 * What changed between two generations of an app. Directory objects and the sizes of what differs are read, no contents;
 * what the two have in common is skipped whole.
 * @throws TreesError APP_NOT_INSTALLED, VERSION_NOT_FOUND if there is no such generation, STORE_CORRUPT
 */
export async function diffGenerations(options: DiffOptions): Promise<GenerationDiff> {
  using store = await openInstalled(options);
  // Keeps gc from deleting one of them meanwhile.
  using _lock = await store.lockForReading();
  const { paths, repo } = store;
  const { current, generations } = requireInstalled(paths, options.name);
  const read = (number: number | undefined, missing: string): Generation => {
    const found = number === undefined ? undefined : readGeneration(paths, options.name, number);
    if (found !== undefined) return found;
    throw new TreesError('VERSION_NOT_FOUND', `cannot compare generations of ${options.name}: ${missing}`, {
      hint: `there are: ${generations.join(', ')} (trees history ${options.name})`,
      details: { name: options.name, generations },
    });
  };
  const to = read(options.to ?? current.number, `there is no generation ${options.to}`);
  const before = options.from ?? generations.findLast((number) => number < to.number);
  const from = read(before, `there is no generation ${options.from ?? `before ${to.number}`}`);
  const [a, b] = [await repo.readCommit(from.tree), await repo.readCommit(to.tree)];
  const changes: Change[] = [];
  await compare({ repo, changes }, '/', { tree: a.rootTree, meta: a.rootMeta }, { tree: b.rootTree, meta: b.rootMeta });
  return { from, to, changes: changes.sort((x, y) => (x.path < y.path ? -1 : Number(x.path > y.path))) };
}

interface Job {
  readonly repo: Repo;
  readonly changes: Change[];
}

async function compare(job: Job, path: string, before: Dir | undefined, after: Dir | undefined): Promise<void> {
  const { repo, changes } = job;
  if (before === undefined || after === undefined) {
    changes.push({
      change: before === undefined ? 'added' : 'removed',
      path,
      before: before && 0,
      after: after && 0,
    });
  } else if (before.meta !== after.meta) {
    changes.push({ change: 'changed', path, before: 0, after: 0 });
  }
  if (before?.tree === after?.tree) return;
  const [a, b] = [await contents(repo, before), await contents(repo, after)];
  for (const name of new Set([...a.files.keys(), ...b.files.keys()])) {
    await compareFile(job, path + name, a.files.get(name), b.files.get(name));
  }
  for (const name of new Set([...a.dirs.keys(), ...b.dirs.keys()])) {
    await compare(job, `${path}${name}/`, a.dirs.get(name), b.dirs.get(name));
  }
}

async function contents(repo: Repo, dir: Dir | undefined) {
  const { files, dirs } = dir === undefined ? { files: [], dirs: [] } : await repo.readDirTree(dir.tree);
  return {
    files: new Map(files.map(({ name, checksum }) => [name, checksum])),
    dirs: new Map(dirs.map(({ name, tree, meta }) => [name, { tree, meta }])),
  };
}

async function compareFile(
  { repo, changes }: Job,
  path: string,
  before: Checksum | undefined,
  after: Checksum | undefined,
): Promise<void> {
  if (before === after) return;
  const size = async (checksum: Checksum | undefined): Promise<number | undefined> =>
    checksum === undefined ? undefined : (await repo.readFileInfo(checksum)).size;
  const change = before === undefined ? 'added' : after === undefined ? 'removed' : 'changed';
  changes.push({ change, path, before: await size(before), after: await size(after) });
}
