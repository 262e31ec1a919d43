import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { GatheredFeeds } from '../feed/gather.js';
import { readRunSpec } from './build-tree.js';
import { replaceFile } from './files.js';
import { GENERATION_FILE, type Generation } from './generations.js';
import { commitKey, refName } from './metadata.js';
import type { Store } from './store.js';
import { text } from './tree-commit.js';

/**
 * Writes a damaged record again from what the tree's commit says; its feed is the first that offers the layer.
 * @throws TreesError LAYER_INVALID, OstreeError if the commit cannot be read
 */
export async function rebuildRecord(store: Store, feeds: GatheredFeeds, name: string, number: number): Promise<void> {
  const tree = await store.repo.resolveRev(refName.tree(name, number));
  const commit = await store.repo.readCommit(tree);
  const composed: unknown = JSON.parse(text(commit, commitKey.composed) ?? '[]');
  const base: unknown = JSON.parse(text(commit, commitKey.base) ?? '{}');
  const layer: unknown = Array.isArray(composed) ? composed.at(-1) : undefined;
  const app = text(commit, commitKey.name) ?? name;
  const offering = feeds.feeds.find(
    ({ index }) => Object.hasOwn(index.apps, app) && index.apps[app]?.versions.some((entry) => entry.commit === layer),
  );
  const directory = store.paths.generation(name, number);
  const version = text(commit, commitKey.version) ?? (await versionByRef(store, app, layer));
  const generation: Generation = {
    schema: 1,
    number,
    name,
    app,
    version,
    arch: text(commit, commitKey.arch) ?? '',
    summary: offering?.index.apps[app]?.summary ?? text(commit, commitKey.summary) ?? '',
    feed: offering?.feed.name ?? '',
    base: { name: field(base, 'name'), version: field(base, 'version'), commit: field(base, 'commit') },
    layer: typeof layer === 'string' ? layer : '',
    tree,
    ...(await store.repo.commitSize(tree)),
    installed: statSync(join(directory, 'rootfs')).mtime.toISOString(),
    run: readRunSpec(commit),
  };
  await replaceFile(join(directory, GENERATION_FILE), `${JSON.stringify(generation, null, 2)}\n`);
}

/** Trees that other tools made do not say their version; the ref they were installed under does. */
async function versionByRef({ repo }: Store, app: string, layer: unknown): Promise<string> {
  const refs = await repo.listRefs(`layer/${app}`);
  const ref = [...refs].find(([, commit]) => commit === layer)?.[0];
  return ref?.slice(ref.lastIndexOf('/') + 1) ?? '';
}

function field(value: unknown, key: string): string {
  const found: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined;
  return typeof found === 'string' ? found : '';
}
