import { type Metadata, type Repo, variant } from '../trees/ostree/index.js';
import type { RunSpec } from '../trees/run/spec.js';
import { commitKey, refName } from '../trees/store/metadata.js';
import type { BuildContext, BuildResult } from './context.js';
import { readState, writeState } from './inputs.js';
import type { Definition } from './schema.js';
import { compareVersions, nextFree } from './version.js';
import { xattrReader } from './xattrs.js';

/** What a layer was built on; JSON under `commitKey.base`. */
export interface BuiltOn {
  readonly name: string;
  readonly range: string;
  readonly version: string;
  readonly commit: string;
}

export interface ImageToCommit {
  readonly definition: Definition;
  /** Absolute path of the definition. */
  readonly file: string;
  /** Directory with exactly what the image consists of; moved into the repository. */
  readonly content: string;
  /** Of `toSemver` or the definition. */
  readonly version: string;
  /** Whether `version` may be raised when other content has it already. */
  readonly movable: boolean;
  /** Seconds since the epoch. */
  readonly timestamp: number;
  readonly base: BuiltOn | undefined;
  readonly inputs: string;
}

/** Identifies an image in refs and state files. */
function stateId(definition: Definition, arch: string): string {
  return `${definition.kind === 'base' ? 'base' : 'layer'}/${definition.name}.${arch}`;
}

/**
 * Commits a finished image under the ref of its version, and records its inputs.
 *
 * The commit depends on content, definition, base and date of the inputs only, so the same inputs give the same checksum
 * in any repository in which the version is free.
 */
export async function commitImage(context: BuildContext, image: ImageToCommit): Promise<Omit<BuildResult, 'seconds'>> {
  const { repo, arch } = context;
  const { definition } = image;
  const taken = await builtVersions(repo, definition, arch);
  const write = (version: string): Promise<string> =>
    repo.commitDirectory(image.content, {
      subject: `${definition.name} ${version}`,
      timestamp: image.timestamp,
      metadata: metadataOf(image, version, arch),
      xattrs: xattrReader(image.content),
      signal: context.signal,
    });
  let { version } = image;
  let commit = await write(version);
  const newest = [...taken.keys()].sort(compareVersions).at(-1);
  const same = await findSame(repo, commit, taken, image.movable ? [version, newest] : [version]);
  if (same !== undefined) ({ version, commit } = same);
  else {
    const free = image.movable ? nextFree(version, [...taken.keys()]) : version;
    if (free !== version) commit = await write(free);
    else if (taken.has(version))
      context.reporter.warn(`${definition.name} ${version} was built with other content before: raise its version`);
    version = free;
    // Nothing prunes meanwhile: the build lock is held.
    await repo.setRef(refOf(definition, arch, version), commit);
  }
  // Another builder than that of the definition was somebody's choice for this once.
  const file = context.builder === undefined ? { file: image.file } : {};
  writeState(context.paths.state, stateId(definition, arch), { inputs: image.inputs, version, commit, ...file });
  return await describe(repo, definition, { arch, version, commit, status: 'built' });
}

/** The last build of an image, if it was of these inputs and is still in the repository. */
export async function findBuilt(
  context: BuildContext,
  definition: Definition,
  inputs: string,
): Promise<Omit<BuildResult, 'seconds'> | undefined> {
  const { repo, arch } = context;
  const last = readState(context.paths.state, stateId(definition, arch));
  if (last?.inputs !== inputs || context.force) return undefined;
  if ((await builtVersions(repo, definition, arch)).get(last.version) !== last.commit) return undefined;
  return await describe(repo, definition, { ...last, arch, status: 'unchanged' });
}

/** What is known of an image that is in the repository. */
async function describe(
  repo: Repo,
  definition: Definition,
  built: { arch: string; version: string; commit: string; status: BuildResult['status'] },
): Promise<Omit<BuildResult, 'seconds'>> {
  const { size, files } = await repo.commitSize(built.commit);
  return {
    name: definition.name,
    kind: definition.kind,
    version: built.version,
    ref: refOf(definition, built.arch, built.version),
    commit: built.commit,
    size,
    files,
    status: built.status,
  };
}

function refOf(definition: Pick<Definition, 'kind' | 'name'>, arch: string, version: string): string {
  const { name } = definition;
  return definition.kind === 'base' ? refName.base(name, arch, version) : refName.layer(name, arch, version);
}

/** Versions that are in the repository and their commits. */
export async function builtVersions(
  repo: Repo,
  image: Pick<Definition, 'kind' | 'name'>,
  arch: string,
): Promise<Map<string, string>> {
  const prefix = refOf(image, arch, '');
  const versions = new Map<string, string>();
  for (const [ref, commit] of await repo.listRefs()) {
    if (ref.startsWith(prefix)) versions.set(ref.slice(prefix.length), commit);
  }
  return versions;
}

/**
 * A commit of one of the candidate versions that says the same as `commit` in content and metadata. Which build of the
 * base it was made on does not count, for its content does not show it.
 */
async function findSame(
  repo: Repo,
  commit: string,
  taken: ReadonlyMap<string, string>,
  candidates: readonly (string | undefined)[],
): Promise<{ version: string; commit: string } | undefined> {
  const wanted = await fingerprint(repo, commit);
  for (const version of candidates) {
    const other = version === undefined ? undefined : taken.get(version);
    if (version === undefined || other === undefined) continue;
    if (other === commit || (await fingerprint(repo, other)) === wanted) return { version, commit: other };
  }
  return undefined;
}

async function fingerprint(repo: Repo, checksum: string): Promise<string> {
  const commit = await repo.readCommit(checksum);
  const value = (key: string): unknown => commit.metadata[key]?.value;
  const base = value(commitKey.base);
  const range: unknown = typeof base === 'string' ? Reflect.get(JSON.parse(base), 'range') : undefined;
  return JSON.stringify([commit.rootTree, commit.rootMeta, value(commitKey.summary), value(commitKey.run), range]);
}

function metadataOf(image: ImageToCommit, version: string, arch: string): Metadata {
  const { definition } = image;
  const run: RunSpec | undefined = definition.kind === 'app' ? (definition.run ?? {}) : undefined;
  const entries: ReadonlyArray<readonly [string, string | undefined]> = [
    [commitKey.kind, definition.kind === 'base' ? 'base' : 'layer'],
    [commitKey.name, definition.name],
    [commitKey.version, version],
    [commitKey.arch, arch],
    [commitKey.summary, definition.summary],
    [commitKey.base, image.base === undefined ? undefined : JSON.stringify(image.base)],
    [commitKey.run, run === undefined ? undefined : JSON.stringify(run)],
    ['version', version],
  ];
  return Object.fromEntries(
    entries.flatMap(([key, value]) => (value === undefined ? [] : [[key, variant('s', value)]])),
  );
}
