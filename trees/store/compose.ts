import { TreesError } from '../errors.js';
import type { Checksum, Commit, CommitInput, DirTree } from '../ostree/types.js';
import { treeCommit } from './tree-commit.js';

/** What composing needs of a repository: metadata objects only, no file is ever opened. `Repo` fits. */
export interface ComposeRepo {
  readCommit(checksum: Checksum): Promise<Commit>;
  readDirTree(checksum: Checksum): Promise<DirTree>;
  writeDirTree(tree: DirTree): Promise<Checksum>;
  writeCommit(input: CommitInput): Promise<Checksum>;
}

export interface ComposeInput {
  readonly base: Checksum;
  /** Bottom first. At least one. */
  readonly layers: readonly Checksum[];
}

/** A directory that exists in the repository as it is. */
interface StoredDir {
  readonly tree: Checksum;
  readonly meta: Checksum;
}

/** A directory that differs from every stored one read so far; written once all layers are in. */
interface MergedDir {
  readonly meta: Checksum;
  readonly files: Map<string, Checksum>;
  readonly dirs: Map<string, Dir>;
}

type Dir = StoredDir | MergedDir;

/** A layer's directory with the whiteouts told from the entries. */
interface LayerDir {
  readonly opaque: boolean;
  readonly removed: ReadonlySet<string>;
  readonly files: ReadonlyMap<string, Checksum>;
  readonly dirs: ReadonlyMap<string, StoredDir>;
}

const WHITEOUT = '.wh.';
const OPAQUE = '.wh..wh..opq';
/** Deeper than PATH_MAX allows even with one-letter names, so no real tree is refused. */
const MAX_DEPTH = 2048;

/**
 * Composes a base and the layers over it into one commit and returns that commit's checksum.
 *
 * Layers mark removals as OCI image layers do (image-spec, layer.md): `.wh.NAME` hides NAME of what is below,
 * `.wh..wh..opq` hides everything that is below in its directory; both only ever hide lower layers' entries, and
 * neither is in the result. A layer's directory metadata wins. Only directories that a layer has are read or written,
 * everything else is reused by checksum. The result depends on nothing but the input commits.
 *
 * @throws TreesError LAYER_INVALID, naming the path, for names that no honest layer has
 */
export async function composeTree(repo: ComposeRepo, input: ComposeInput): Promise<Checksum> {
  if (input.layers.length === 0) throw new Error('Expected layers to have at least one commit, got none');
  const base = await repo.readCommit(input.base);
  const layers: Commit[] = [];
  let root: Dir = { tree: base.rootTree, meta: base.rootMeta };
  for (const checksum of input.layers) {
    const layer = await repo.readCommit(checksum);
    root = await applyLayer(repo, root, { tree: layer.rootTree, meta: layer.rootMeta }, '/');
    layers.push(layer);
  }
  const stored = await store(repo, root);
  return await repo.writeCommit(treeCommit(base, layers, { rootTree: stored.tree, rootMeta: stored.meta }));
}

async function applyLayer(
  repo: ComposeRepo,
  lower: Dir | undefined,
  upper: StoredDir,
  path: string,
  depth = 0,
): Promise<Dir> {
  if (depth > MAX_DEPTH) throw invalid(path.slice(0, 80), `directories are nested more than ${MAX_DEPTH} deep`);
  const layer = parseLayerDir(await repo.readDirTree(upper.tree), path);
  const below = lower === undefined || layer.opaque ? undefined : await contents(repo, lower, path);
  const files = new Map(below?.files);
  const dirs = new Map(below?.dirs);
  for (const name of layer.removed) {
    files.delete(name);
    dirs.delete(name);
  }
  for (const [name, checksum] of layer.files) {
    dirs.delete(name);
    files.set(name, checksum);
  }
  let intact = below === undefined && !layer.opaque && layer.removed.size === 0;
  for (const [name, dir] of layer.dirs) {
    files.delete(name);
    const merged = await applyLayer(repo, dirs.get(name), dir, join(path, name), depth + 1);
    dirs.set(name, merged);
    intact &&= 'tree' in merged && merged.tree === dir.tree;
  }
  // New to what is below and free of whiteouts at every level: the layer's own object is the result.
  if (intact) return upper;
  return { meta: upper.meta, files, dirs };
}

/** The entries of a directory below a layer. In a base, `.wh.` names are ordinary: there is nothing they could hide. */
async function contents(repo: ComposeRepo, dir: Dir, path: string): Promise<MergedDir> {
  if (!('tree' in dir)) return dir;
  const tree = await repo.readDirTree(dir.tree);
  checkNames(tree, path);
  return {
    meta: dir.meta,
    files: new Map(tree.files.map((file) => [file.name, file.checksum])),
    dirs: new Map(tree.dirs.map((entry) => [entry.name, { tree: entry.tree, meta: entry.meta }])),
  };
}

/** Writes a merged directory, children first. */
async function store(repo: ComposeRepo, dir: Dir): Promise<StoredDir> {
  if ('tree' in dir) return dir;
  const dirs: Array<DirTree['dirs'][number]> = [];
  for (const [name, child] of dir.dirs) dirs.push({ name, ...(await store(repo, child)) });
  const files = [...dir.files].map(([name, checksum]) => ({ name, checksum }));
  const tree = await repo.writeDirTree({ files: files.sort(byName), dirs: dirs.sort(byName) });
  return { tree, meta: dir.meta };
}

function parseLayerDir(tree: DirTree, path: string): LayerDir {
  checkNames(tree, path);
  const removed = new Set<string>();
  const files = new Map<string, Checksum>();
  let opaque = false;
  for (const { name, checksum } of tree.files) {
    if (name === OPAQUE) opaque = true;
    else if (name.startsWith(WHITEOUT)) removed.add(whiteoutTarget(name, path));
    else files.set(name, checksum);
  }
  const dirs = new Map<string, StoredDir>();
  for (const dir of tree.dirs) {
    if (dir.name.startsWith(WHITEOUT)) throw invalid(join(path, dir.name), 'a whiteout is a directory');
    dirs.set(dir.name, { tree: dir.tree, meta: dir.meta });
  }
  return { opaque, removed, files, dirs };
}

function whiteoutTarget(name: string, path: string): string {
  const target = name.slice(WHITEOUT.length);
  if (target === '' || target === '.' || target === '..') throw invalid(join(path, name), 'a whiteout hides no name');
  // `.wh..wh.*` is reserved (AUFS kept its own records there); only the opaque marker has a meaning.
  if (target.startsWith(WHITEOUT)) throw invalid(join(path, name), 'a reserved whiteout name');
  return target;
}

/** libostree checks names when it writes or checks out; a tree that came by delta may be read before either. */
function checkNames(tree: DirTree, path: string): void {
  const seen = new Set<string>();
  for (const { name } of [...tree.files, ...tree.dirs]) {
    if (name === '' || name === '.' || name === '..' || name.includes('/') || name.includes('\0')) {
      throw invalid(path, `an entry is named ${JSON.stringify(name)}`);
    }
    if (seen.has(name)) throw invalid(join(path, name), 'the name is there twice');
    seen.add(name);
  }
}

function invalid(path: string, why: string): TreesError {
  return new TreesError('LAYER_INVALID', `Cannot compose the tree: ${why} (${JSON.stringify(path)})`, {
    hint: 'the layer was built wrongly or with bad intent; tell its publisher',
    details: { path },
  });
}

function join(path: string, name: string): string {
  return path === '/' ? `/${name}` : `${path}/${name}`;
}

/** The order of `strcmp`, which OSTree requires of directory entries. UTF-16 order differs above U+FFFF. */
function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return Buffer.compare(Buffer.from(a.name), Buffer.from(b.name));
}
