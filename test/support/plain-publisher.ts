import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { signCommit } from '../../releases/sign.js';
import { createBundle } from '../../trees/delta/index.js';
import type { AppVersion, BaseVersion, BundleEntry, FeedIndex } from '../../trees/feed/schema.js';
import { type Checksum, Repo } from '../../trees/ostree/index.js';
import { composeTree } from '../../trees/store/compose.js';
import { refName } from '../../trees/store/metadata.js';
import { type FeedFixture, publishIndex } from './feed-fixture.js';
import { runProgram } from './rig.js';

export const ARCH = 'x86_64';
/** For trees of some gigabytes on a loaded machine. */
const COMMIT_TIMEOUT_MS = 1_200_000;

/** Paths and contents: a string is a file's content, `{ link }` a symlink; a trailing slash makes a directory. */
export type Files = Readonly<Record<string, string | { readonly link: string }>>;

/**
 * A publisher with a repository of its own, made with the `ostree` CLI, and a directory feed. Nothing in here is what
 * `trees release` does: it is the simplest thing that a client must be able to install from.
 */
export interface Publisher extends AsyncDisposable {
  readonly repo: string;
  /** @param files what to commit, or a directory that holds it */
  base(name: string, version: string, files: Files | string): Promise<Checksum>;
  layer(name: string, version: string, files: Files | string, on: LayerOptions): Promise<Checksum>;
  /** Makes the bundles and writes the signed index. */
  publish(edges: readonly Edge[]): Promise<FeedIndex>;
}

/** From what to what, and in which encoding; default `fast`. */
export type Edge = readonly [from: Checksum | null, to: Checksum, encoding?: 'fast' | 'small'];

interface LayerOptions {
  readonly base: string;
  readonly tested: string;
  readonly range?: string;
  readonly run?: unknown;
  /** What the index says the tree is; default what composing gives. */
  readonly tree?: Checksum;
}

export async function createPublisher(fixture: Pick<FeedFixture, 'dir' | 'feed' | 'key'>): Promise<Publisher> {
  const path = join(fixture.dir, 'publisher');
  const repo = await Repo.create(path, { mode: process.geteuid?.() === 0 ? 'bare' : 'bare-user' });
  const bases: Record<string, { summary: string; versions: BaseVersion[] }> = {};
  const apps: Record<string, { summary: string; versions: AppVersion[] }> = {};
  const bundles = new Map<string, BundleEntry>();
  let sequence = 0;

  const commit = async (
    ref: string,
    files: Files | string,
    metadata: Readonly<Record<string, string>>,
  ): Promise<Checksum> => {
    const tree = typeof files === 'string' ? files : join(fixture.dir, 'tree');
    if (typeof files !== 'string') {
      await rm(tree, { recursive: true, force: true });
      await writeFiles(tree, files);
    }
    const args = [
      `--repo=${path}`,
      'commit',
      `--branch=${ref}`,
      '--orphan',
      `--tree=dir=${tree}`,
      '--timestamp=2026-01-01T00:00:00Z',
      '--subject=test',
      ...Object.entries(metadata).map(([key, value]) => `--add-metadata-string=trees.${key}=${value}`),
    ];
    const result = await runProgram('ostree', args, { timeout: COMMIT_TIMEOUT_MS });
    if (result.status !== 0) throw new Error(`ostree commit: ${result.stderr}`);
    const checksum = result.stdout.trim();
    await repo.setRef(ref, checksum);
    await repo.writeDetachedMetadata(
      checksum,
      signCommit(await repo.readCommitBytes(checksum), undefined, fixture.key),
    );
    return checksum;
  };

  const content = async (checksum: Checksum) => {
    const { files, size } = await repo.commitSize(checksum);
    return { commit: checksum, size, files, released: '2026-01-01T00:00:00Z' };
  };

  return {
    repo: path,
    async base(name, version, files) {
      const metadata = { kind: 'base', name, version, arch: ARCH };
      const checksum = await commit(refName.base(name, ARCH, version), files, metadata);
      bases[name] ??= { summary: name, versions: [] };
      bases[name].versions.push({ version, arch: ARCH, ...(await content(checksum)) });
      return checksum;
    },
    async layer(name, version, files, on) {
      const run = JSON.stringify(on.run ?? { exec: ['/bin/true'] });
      const base = JSON.stringify({ name: on.base, range: on.range ?? `^${on.tested}` });
      const metadata = { kind: 'layer', name, version, arch: ARCH, run, base };
      const checksum = await commit(refName.layer(name, ARCH, version), files, metadata);
      const tested = await repo.resolveRev(refName.base(on.base, ARCH, on.tested));
      const tree = on.tree ?? (await composeTree(repo, { base: tested, layers: [checksum] }));
      apps[name] ??= { summary: `the app ${name}`, versions: [] };
      apps[name].versions.push({
        version,
        arch: ARCH,
        ...(await content(checksum)),
        base: { name: on.base, range: on.range ?? `^${on.tested}`, tested: on.tested, tree },
      });
      return checksum;
    },
    async publish(edges) {
      for (const [from, to, encoding = 'fast'] of edges) {
        const id = `${from ?? 'nothing'}-${to}-${encoding}`;
        if (bundles.has(id)) continue;
        const suffix = encoding === 'fast' ? '' : `.${encoding}`;
        const file = `${(from ?? 'nothing').slice(0, 12)}-${to.slice(0, 12)}${suffix}.delta.zst`;
        const output = join(fixture.feed, file);
        // Taking its time is what makes the small one small.
        const quick = encoding === 'fast';
        const made = await createBundle({ repoPath: path, from: from ?? undefined, to, output, encoding, quick });
        const { size, sha256, rawSize, writes } = made;
        bundles.set(id, { from, to, file, encoding, size, sha256, rawSize, writes });
      }
      sequence += 1;
      const index: FeedIndex = {
        schema: 1,
        feed: 'test',
        sequence,
        created: new Date().toISOString(),
        expires: '2096-01-01T00:00:00Z',
        bases,
        apps,
        bundles: [...bundles.values()],
      };
      await publishIndex(fixture.feed, index, fixture.key);
      return index;
    },
    async [Symbol.asyncDispose]() {
      repo.close();
    },
  };
}

/** Writes files below a directory, which is created. */
export async function writeFiles(root: string, files: Files): Promise<void> {
  await mkdir(root, { recursive: true });
  for (const [path, content] of Object.entries(files)) {
    const target = join(root, path);
    await mkdir(path.endsWith('/') ? target : dirname(target), { recursive: true });
    if (path.endsWith('/')) continue;
    if (typeof content === 'string') await writeFile(target, content);
    else await symlink(content.link, target);
  }
}
