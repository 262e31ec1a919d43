import { resolve } from 'node:path';
import type { Checksum, Commit, CommitInput } from '../ostree/types.js';
import { runNative } from './addon.js';
import { treeCommit } from './tree-commit.js';

/** What composing needs of a repository beside its path: directories are read natively. `Repo` fits. */
export interface ComposeRepo {
  readonly path: string;
  getConfig(section: string, key: string): Promise<string | undefined>;
  readCommit(checksum: Checksum): Promise<Commit>;
  writeDirTrees(trees: readonly Uint8Array[]): Promise<Checksum[]>;
  writeCommit(input: CommitInput): Promise<Checksum>;
}

export interface ComposeInput {
  readonly base: Checksum;
  /** Bottom first. At least one. */
  readonly layers: readonly Checksum[];
}

/**
 * Composes a base and the layers over it into one commit and returns that commit's checksum.
 *
 * Layers mark removals as OCI image layers do (image-spec, layer.md): `.wh.NAME` hides NAME of what is below,
 * `.wh..wh..opq` hides everything that is below in its directory; both only ever hide lower layers' entries, and
 * neither is in the result. A layer's directory metadata wins. Only directories that a layer has are read or written,
 * everything else is reused by checksum. The result depends on nothing but the input commits, which have to be in
 * the repository (or its parent) and not in a transaction that is still open.
 *
 * @throws TreesError LAYER_INVALID, naming the path, for names that no honest layer has; STORE_CORRUPT
 */
export async function composeTree(repo: ComposeRepo, input: ComposeInput): Promise<Checksum> {
  const { base, layers } = input;
  if (layers.length === 0) throw new Error('Expected layers to have at least one commit, got none');
  const repositories = await withParent(repo);
  const { rootTree, rootMeta, directories } = await runNative(
    async (native, job) => await native.compose(job, { repositories, base, layers }),
    { what: 'cannot compose the tree', ioCode: 'STORE_UNUSABLE' },
  );
  const commits = await Promise.all(layers.map(async (layer) => await repo.readCommit(layer)));
  await repo.writeDirTrees(directories);
  return await repo.writeCommit(treeCommit(await repo.readCommit(base), commits, { rootTree, rootMeta }));
}

async function withParent(repo: ComposeRepo): Promise<string[]> {
  const parent = await repo.getConfig('core', 'parent');
  return parent === undefined ? [repo.path] : [repo.path, resolve(parent)];
}
