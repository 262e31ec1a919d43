/** Feeds to install from, and stores that trust them. */
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { generateKeyPair, readSecretKey } from '../../../releases/key-file.js';
import { createPublisher } from '../../support/plain-publisher.js';
import { projectRoot } from '../../support/rig.js';
import type { Cache } from './cache.js';
import { builtCommits } from './fixtures.js';
import { run, runBeside, trees } from './programs.js';

/** Changes when the encoder does: what it made before is then not what it makes. As it was when this run began. */
const encoderDigest = createHash('sha256')
  .update(readFileSync(join(projectRoot, 'build/Release/delta.node')))
  .digest('hex');

/**
 * Publishes built bases and apps with a new key, as `trees release` does. @returns the feed's directory; `trees.pub` in
 * it is the key
 */
export async function prepareFeed(cache: Cache, name: string, apps: readonly string[]): Promise<string> {
  const built = cache.path('built');
  const of = [...apps, ...builtCommits(built).values()].join(' ');
  const publish = (feed: string): void => {
    const keys = mkdtempSync(join(cache.dir, 'keys-'));
    try {
      const key = join(keys, 'feed.key');
      run(trees(built, 'key', 'generate', `--output=${key}`));
      run(trees(built, 'release', ...apps, '--no-build', `--to=dir:${feed}`, `--key=${key}`));
    } finally {
      rmSync(keys, { recursive: true });
    }
  };
  return await cache.once(name, of, publish, encoderDigest);
}

/**
 * Publishes one app, made at once with bundles that were made quickly: for measuring what does not depend on them.
 * @param of what the files depend on
 * @param fill puts the app's files into a directory that is not there yet
 */
export async function prepareQuickFeed(
  cache: Cache,
  { app, of, fill }: { readonly app: string; readonly of: string; readonly fill: (directory: string) => void },
): Promise<string> {
  const publish = async (feed: string): Promise<void> => {
    const dir = mkdtempSync(join(cache.dir, 'publisher-'));
    try {
      mkdirSync(feed);
      const secret = join(dir, 'feed.key');
      await generateKeyPair({ secret, public: join(dir, 'feed.pub') }, { force: false });
      await using publisher = await createPublisher({ dir, feed, key: await readSecretKey(secret) });
      const base = await publisher.base('tiny', '1.0.0', { 'etc/tiny': 'tiny\n' });
      const files = join(dir, 'files');
      fill(files);
      const layer = await publisher.layer(app, '1.0.0', files, { base: 'tiny', tested: '1.0.0' });
      await publisher.publish([
        [null, base],
        [null, layer],
      ]);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  };
  return await cache.once(`feed-${app}`, of, publish, encoderDigest);
}

/** A directory to measure in: a feed's files, and new stores that trust it. */
export interface Place extends Disposable {
  readonly dir: string;
  readonly feed: string;
  path(name: string): string;
  /** A store in which nothing is installed yet; deletes the one it gave before. */
  newStore(): string;
}

/**
 * @param parent where: `/dev/shm` for tmpfs
 * @param options.url of the feed, if it is not the directory
 */
export async function openPlace(parent: string, feed: string, options: { readonly url?: string } = {}): Promise<Place> {
  const dir = mkdtempSync(join(parent, 'trees-bench-'));
  const local = join(dir, 'feed');
  cpSync(feed, local, { recursive: true });
  const template = join(dir, 'template');
  mkdirSync(template);
  const key = `--key=${join(local, 'trees.pub')}`;
  await runBeside(trees(template, 'feed', 'add', options.url ?? `dir:${local}`, key, '--name=bench'));
  const store = join(dir, 'store');
  return {
    dir,
    feed: local,
    path: (name) => join(dir, name),
    newStore() {
      rmSync(store, { recursive: true, force: true });
      cpSync(template, store, { recursive: true });
      return store;
    },
    [Symbol.dispose]() {
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** Root file system of the only generation of an app. */
export function rootfsOf(store: string, app: string): string {
  return join(store, 'var/lib/trees/apps', app, '1/rootfs');
}
