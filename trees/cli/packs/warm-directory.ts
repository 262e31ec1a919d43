import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeKeyPair, type SecretKey } from '../../../releases/key-file.js';
import { signCommit } from '../../../releases/sign.js';
import { machineArch } from '../../config/leaves.js';
import { createBundle } from '../../delta/index.js';
import { feedFile } from '../../feed/feed.js';
import { formatPublicKey } from '../../feed/minisign.js';
import type { BundleEntry } from '../../feed/schema.js';
import { type Checksum, Repo } from '../../ostree/index.js';
import { composeTree } from '../../store/compose.js';
import { commitKey } from '../../store/metadata.js';
import { makeIndex, type Offer, VERSION } from './warm-index.js';

/** What the app in the directory is called. */
export const PUBLISHED = 'published';

const BASE = 'ground';

/**
 * Publishes an app and its base in a directory: what `trees install` needs to come to its end.
 * @param root directory for the feed, its key and a repository
 * @returns words that add the feed; none where the native parts do not work
 */
export async function publishDirectory(root: string): Promise<readonly string[]> {
  const feed = join(root, 'directory');
  const key = join(root, 'directory.pub');
  mkdirSync(feed);
  try {
    const signer = makeKeyPair().key;
    const { index, signature } = makeIndex(await publish(root, feed, signer), signer);
    writeFileSync(join(feed, feedFile.index), index);
    writeFileSync(join(feed, feedFile.signature), signature);
    writeFileSync(key, formatPublicKey(signer.public));
  } catch {
    return [];
  }
  return [`dir:${feed}`, `--key=${key}`];
}

async function publish(root: string, feed: string, signer: SecretKey): Promise<Offer> {
  const path = join(root, 'publisher');
  const arch = machineArch();
  const owner = statSync(root);
  const repo = await Repo.create(path, { mode: process.geteuid?.() === 0 ? 'bare' : 'bare-user' });
  try {
    const commit = async (name: string, metadata: Readonly<Record<string, string>>): Promise<Checksum> => {
      const ids = { uid: owner.uid, gid: owner.gid };
      const content = Buffer.from(name);
      const file = await repo.writeFile({ ...ids, kind: 'regular', mode: 0o644, content });
      const rootMeta = await repo.writeDirMeta({ ...ids, mode: 0o40755, xattrs: [] });
      const below = await repo.writeDirTree({ files: [{ name, checksum: file }], dirs: [] });
      const rootTree = await repo.writeDirTree({ files: [], dirs: [{ name: 'etc', tree: below, meta: rootMeta }] });
      const values = { ...metadata, [commitKey.name]: name, [commitKey.version]: VERSION, [commitKey.arch]: arch };
      const checksum = await repo.writeCommit({
        rootTree,
        rootMeta,
        subject: name,
        timestamp: 0,
        metadata: Object.fromEntries(Object.entries(values).map(([key, value]) => [key, { type: 's', value }])),
      });
      await repo.writeDetachedMetadata(checksum, signCommit(await repo.readCommitBytes(checksum), undefined, signer));
      return checksum;
    };
    const base = await commit(BASE, { [commitKey.kind]: 'base' });
    const layer = await commit(PUBLISHED, {
      [commitKey.kind]: 'layer',
      [commitKey.run]: JSON.stringify({ exec: ['/bin/sh'] }),
      [commitKey.base]: JSON.stringify({ name: BASE, range: '*' }),
    });
    const tree = await composeTree(repo, { base, layers: [layer] });
    const bundle = async (to: Checksum): Promise<BundleEntry> => {
      const made = await createBundle({ repoPath: path, to, output: join(feed, to), quick: true });
      const { size, sha256, rawSize, writes } = made;
      return { from: null, to, file: to, encoding: 'fast', size, sha256, rawSize, writes };
    };
    return {
      feed: 'directory',
      base: { name: BASE, commit: base },
      app: { name: PUBLISHED, commit: layer },
      tree,
      bundles: [await bundle(base), await bundle(layer)],
    };
  } finally {
    repo.close();
  }
}
