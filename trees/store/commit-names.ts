import type { FeedIndex } from '../feed/schema.js';
import type { Checksum } from '../ostree/types.js';

/**
 * What commits are called for people: `deb 12.1.0` by the index, `tool 1.0.0` by a ref of the store, or the start of
 * the checksum.
 * @param refs the store's refs
 */
export function commitNames(
  index: FeedIndex,
  refs: ReadonlyMap<string, Checksum> = new Map(),
): (commit: Checksum) => string {
  const names = new Map<Checksum, string>();
  for (const [ref, commit] of refs) {
    const name = nameOfRef(ref);
    if (name !== undefined && !names.has(commit)) names.set(commit, name);
  }
  for (const entries of [index.bases, index.apps]) {
    for (const [name, { versions }] of Object.entries(entries)) {
      for (const { commit, version } of versions) names.set(commit, `${name} ${version}`);
    }
  }
  return (commit) => names.get(commit) ?? commit.slice(0, 12);
}

function nameOfRef(ref: string): string | undefined {
  const [kind, name, third, version] = ref.split('/');
  if ((kind === 'base' || kind === 'layer') && version !== undefined) return `${name} ${version}`;
  return kind === 'tree' && third !== undefined ? `generation ${third} of ${name}` : undefined;
}
