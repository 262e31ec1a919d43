import { TreesError } from '../errors.js';
import type { Commit, CommitInput, Metadata, Variant } from '../ostree/types.js';
import { commitKey } from './metadata.js';

/** Base of a composed tree, as `commitKey.base` holds it in JSON. */
interface TreeBase {
  readonly name: string;
  readonly version: string;
  readonly commit: string;
}

/**
 * The commit of a composed tree: a function of the commits it was composed from and of nothing else, so that
 * publisher and client arrive at the same checksum. Identity and run spec are the topmost layer's that has them.
 */
export function treeCommit(
  base: Commit,
  layers: readonly Commit[],
  root: Pick<CommitInput, 'rootTree' | 'rootMeta'>,
): CommitInput {
  const commits = [base, ...layers];
  checkArchitectures(commits);
  const topmost = (key: string): string | undefined =>
    layers.reduce<string | undefined>((found, layer) => text(layer, key) ?? found, undefined);
  const treeBase: TreeBase = {
    name: text(base, commitKey.name) ?? '',
    version: text(base, commitKey.version) ?? '',
    commit: base.checksum,
  };
  const version = topmost(commitKey.version);
  const values: Record<string, string | undefined> = {
    [commitKey.kind]: 'tree',
    [commitKey.name]: topmost(commitKey.name),
    [commitKey.version]: version,
    [commitKey.arch]: topmost(commitKey.arch) ?? text(base, commitKey.arch),
    [commitKey.summary]: topmost(commitKey.summary),
    [commitKey.base]: JSON.stringify(treeBase),
    [commitKey.run]: topmost(commitKey.run),
    [commitKey.composed]: JSON.stringify(commits.map((commit) => commit.checksum)),
    version,
  };
  return {
    ...root,
    subject: `${topmost(commitKey.name) ?? 'app'} ${version ?? ''} on ${treeBase.name} ${treeBase.version}`,
    body: '',
    timestamp: commits.reduce((newest, commit) => Math.max(newest, commit.timestamp), 0),
    metadata: sorted(values),
  };
}

/** A string of a commit's metadata; undefined where it is absent or not a string. */
export function text(commit: Commit, key: string): string | undefined {
  const value = commit.metadata[key];
  return value?.type === 's' && typeof value.value === 'string' ? value.value : undefined;
}

function sorted(values: Readonly<Record<string, string | undefined>>): Metadata {
  const metadata: Record<string, Variant> = {};
  for (const key of Object.keys(values).sort()) {
    const value = values[key];
    if (value !== undefined) metadata[key] = { type: 's', value };
  }
  return metadata;
}

function checkArchitectures(commits: readonly Commit[]): void {
  const architectures = new Set(commits.map((commit) => text(commit, commitKey.arch)));
  architectures.delete(undefined);
  if (architectures.size > 1) {
    throw new TreesError(
      'LAYER_INVALID',
      `Cannot compose the tree: base and layers are for different architectures (${[...architectures].join(', ')})`,
    );
  }
}
