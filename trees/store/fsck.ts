import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Checksum, OstreeError } from '../ostree/index.js';
import type { FsckProblem } from '../ostree/types.js';
import { compareTree, type TreeDifference } from './check-tree.js';
import {
  appNames,
  currentNumber,
  findGeneration,
  type Generation,
  hasGeneration,
  listGenerations,
} from './generations.js';
import { refName } from './metadata.js';
import type { StorePaths } from './paths.js';
import type { Store } from './store.js';
import { hasEverything, wholeCommits } from './whole.js';

/** Something that is not as it should be. */
export type Damage =
  | ({ readonly kind: 'object' } & FsckProblem)
  /** Marked as unfinished, incomplete, and yet in use. */
  | { readonly kind: 'commit'; readonly commit: Checksum; readonly ref: string }
  | { readonly kind: 'ref'; readonly ref: string; readonly expected: Checksum; readonly found: Checksum | undefined }
  | { readonly kind: 'record'; readonly name: string; readonly generation: number }
  | ({ readonly kind: 'tree'; readonly name: string; readonly generation: number } & TreeDifference)
  | { readonly kind: 'current'; readonly name: string; readonly generation: number };

export interface Inspection {
  readonly damage: readonly Damage[];
  /** Marks that killed commands left on commits; no harm, but `--repair` and the next command take them away. */
  readonly marks: number;
  readonly generations: number;
}

/**
 * Checks the store, or what some apps need of it. Changes nothing. The caller holds the store's lock, at least shared:
 * others may add generations meanwhile, and discard some, which is no damage.
 * @param names apps to check; undefined: everything
 */
export async function inspect(store: Store, names: readonly string[] | undefined): Promise<Inspection> {
  const { paths } = store;
  const damage: Damage[] = [];
  const found: Generation[] = [];
  let count = 0;
  for (const name of names ?? appNames(paths)) {
    const current = danglingCurrent(paths, name);
    if (current !== undefined) damage.push({ kind: 'current', name, generation: current });
    for (const number of listGenerations(paths, name)) {
      count += 1;
      const generation = findGeneration(paths, name, number);
      if (generation !== undefined) found.push(generation);
      else if (hasGeneration(paths, name, number)) damage.push({ kind: 'record', name, generation: number });
    }
  }
  damage.push(...(await checkObjects(store, names === undefined ? undefined : await neededCommits(store, found))));
  const known = new Set(damage.map((one) => (one.kind === 'object' ? one.checksum : '')));
  for (const more of await checkRefs(store, found)) {
    if (more.kind === 'object' && known.has(more.checksum)) continue;
    if (more.kind === 'object') known.add(more.checksum);
    damage.push(more);
  }
  using task = store.reporter.task('checking link trees', { total: found.length });
  for (const [index, generation] of found.entries()) {
    task.update(index);
    const difference = await differenceOf(store, generation);
    if (difference === undefined || !isThere(store, generation)) continue;
    damage.push({ kind: 'tree', name: generation.name, generation: generation.number, ...difference });
  }
  return { damage, marks: names === undefined ? await countMarks(store) : 0, generations: count };
}

/** The generation that `current` names although there is none: it is discarded only after another one is current. */
function danglingCurrent(paths: StorePaths, name: string): number | undefined {
  const current = currentNumber(paths, name);
  if (current === undefined || hasGeneration(paths, name, current)) return undefined;
  return currentNumber(paths, name) === current ? current : undefined;
}

function isThere({ paths }: Store, { name, number }: Generation): boolean {
  return hasGeneration(paths, name, number);
}

async function differenceOf(store: Store, generation: Generation): Promise<TreeDifference | undefined> {
  try {
    return await compareTree(store, generation);
  } catch (error) {
    // The object that cannot be read has been told of.
    if (error instanceof OstreeError && store.signal?.aborted !== true) return undefined;
    throw error;
  }
}

/** A layer or base that was published again under the same version has lost its ref, and may be gone. */
async function neededCommits({ repo }: Store, generations: readonly Generation[]): Promise<Checksum[]> {
  const needed = new Set(generations.map(({ tree }) => tree));
  const referenced = new Set((await repo.listRefs()).values());
  for (const commit of generations.flatMap(({ base, layer }) => [base.commit, layer])) {
    if (referenced.has(commit) || (await repo.hasObject('commit', commit))) needed.add(commit);
  }
  return [...needed];
}

async function checkObjects(store: Store, commits: readonly Checksum[] | undefined): Promise<Damage[]> {
  const { repo, signal } = store;
  using task = store.reporter.task('checking objects');
  const problems = await repo.fsck({
    ...(commits === undefined ? {} : { commits }),
    signal,
    onProgress: ({ checked }) => task.update(checked),
  });
  const damage = problems.map((problem): Damage => ({ kind: 'object', ...problem }));
  return commits === undefined ? [...damage, ...(await checkUnreachable(store))] : damage;
}

/** What no commit needs may still be taken for a new one's. */
async function checkUnreachable({ repo, signal }: Store): Promise<Damage[]> {
  const objects = await repo.listObjects({ signal });
  const reached = new Set<string>();
  for (const { type, checksum } of objects) {
    if (type !== 'commit') continue;
    try {
      for (const object of await repo.traverseCommit(checksum, { maxDepth: 0, signal })) {
        reached.add(`${object.checksum}.${object.type}`);
      }
    } catch (error) {
      if (!(error instanceof OstreeError) || signal?.aborted === true) throw error;
      // Something of it is missing or damaged, and told of: what else it reaches is not known.
      return [];
    }
  }
  const damage: Damage[] = [];
  for (const { type, checksum } of objects) {
    if (reached.has(`${checksum}.${type}`)) continue;
    const problem = await repo.fsckObject(type, checksum);
    if (problem !== undefined) damage.push({ kind: 'object', ...problem });
  }
  return damage;
}

/** Every generation needs three refs, each of a whole commit. Several commits may have had the same version. */
async function checkRefs(store: Store, generations: readonly Generation[]): Promise<Damage[]> {
  const { repo } = store;
  const damage: Damage[] = [];
  const refs = await repo.listRefs();
  const expected = new Map<string, Checksum[]>();
  // A generation goes before its ref: those that are still there had theirs.
  const there = generations.filter((generation) => isThere(store, generation));
  for (const [ref, commit] of there.flatMap((generation) => expectedRefs(generation))) {
    expected.set(ref, [...(expected.get(ref) ?? []), commit]);
  }
  const whole = await wholeCommits(repo);
  for (const [ref, commits] of expected) {
    const found = refs.get(ref);
    const [commit] = commits;
    if (found === undefined || !commits.includes(found)) {
      if (commit !== undefined) damage.push({ kind: 'ref', ref, expected: commit, found });
    } else if (!whole.has(found) && (await repo.hasObject('commit', found))) {
      damage.push({ kind: 'commit', commit: found, ref }, ...(await missingOf(repo, found)));
    }
  }
  return damage;
}

/** libostree's check takes it for granted that a commit marked as unfinished lacks something. */
async function missingOf(repo: Store['repo'], commit: Checksum): Promise<Damage[]> {
  const damage: Damage[] = [];
  const objects = await repo.traverseCommit(commit, { maxDepth: 0 }).catch(() => []);
  for (const { type, checksum } of objects) {
    if (await repo.hasObject(type, checksum)) continue;
    const message = `missing from the unfinished commit ${commit}`;
    damage.push({ kind: 'object', type, checksum, problem: 'missing', message });
  }
  return damage;
}

/** The refs that keep what a generation is made of. */
function expectedRefs(generation: Generation): Array<readonly [string, Checksum]> {
  const { name, number, app, arch, version, base, layer, tree } = generation;
  return [
    [refName.base(base.name, arch, base.version), base.commit],
    [refName.layer(app, arch, version), layer],
    [refName.tree(name, number), tree],
  ];
}

async function countMarks({ repo, paths }: Store): Promise<number> {
  const suffix = '.commitpartial';
  let count = 0;
  for (const name of readdirSync(join(paths.repo, 'state'))) {
    const commit = name.slice(0, -suffix.length);
    if (!name.endsWith(suffix)) continue;
    if (!(await repo.hasObject('commit', commit)) || (await hasEverything(repo, commit))) count += 1;
  }
  return count;
}
