import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeKeyPair } from '../../../releases/key-file.js';
import { signCommit, signFile } from '../../../releases/sign.js';
import { machineArch } from '../../config/leaves.js';
import { createBundle } from '../../delta/index.js';
import { formatPublicKey } from '../../feed/minisign.js';
import type { BundleEntry, FeedIndex } from '../../feed/schema.js';
import { type Checksum, Repo } from '../../ostree/index.js';
import { composeTree } from '../../store/compose.js';
import { commitKey } from '../../store/metadata.js';

/** What the app in the directory is called. */
export const PUBLISHED = 'published';

const BASE = 'ground';
const VERSION = '1.0.0';

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
    const index = Buffer.from(
      JSON.stringify(await publish(root, feed, (bytes) => signCommit(bytes, undefined, signer))),
    );
    writeFileSync(join(feed, 'index.json'), index);
    const signature = signFile(index, signer, { file: 'index.json', sequence: 1, now: new Date() });
    writeFileSync(join(feed, 'index.json.minisig'), signature);
    writeFileSync(key, formatPublicKey(signer.public));
  } catch {
    return [];
  }
  return [`dir:${feed}`, `--key=${key}`];
}

async function publish(
  root: string,
  feed: string,
  sign: (commit: Uint8Array) => ReturnType<typeof signCommit>,
): Promise<FeedIndex> {
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
      await repo.writeDetachedMetadata(checksum, sign(await repo.readCommitBytes(checksum)));
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
    const released = new Date(0).toISOString();
    const content = { version: VERSION, arch, size: 1, files: 1, released };
    return {
      schema: 1,
      feed: 'directory',
      sequence: 1,
      created: released,
      expires: '9999-01-01T00:00:00Z',
      bases: { [BASE]: { summary: '', versions: [{ ...content, commit: base }] } },
      apps: {
        [PUBLISHED]: {
          summary: '',
          versions: [{ ...content, commit: layer, base: { name: BASE, range: '*', tested: VERSION, tree } }],
        },
      },
      bundles: [await bundle(base), await bundle(layer)],
    };
  } finally {
    repo.close();
  }
}
