/** Feeds to install from, and stores that trust them. */
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../../support/rig.js';
import type { Cache } from './cache.js';
import { builtCommits } from './fixtures.js';
import { run, trees } from './programs.js';

/** Changes when the encoder does: what it made before is then not what it makes. */
export function encoderDigest(): string {
  return createHash('sha256')
    .update(readFileSync(join(projectRoot, 'build/Release/delta.node')))
    .digest('hex');
}

/**
 * Publishes built bases and apps with a new key, as `trees release` does. @returns the feed's directory; `trees.pub` in
 * it is the key
 */
export async function prepareFeed(cache: Cache, name: string, apps: readonly string[]): Promise<string> {
  const built = cache.path('built');
  const of = [...apps, ...builtCommits(built).values(), encoderDigest()].join(' ');
  return await cache.once(name, of, (feed) => {
    const keys = mkdtempSync(join(cache.dir, 'keys-'));
    try {
      const key = join(keys, 'feed.key');
      run(trees(built, 'key', 'generate', `--output=${key}`));
      run(trees(built, 'release', ...apps, `--to=dir:${feed}`, `--key=${key}`));
    } finally {
      rmSync(keys, { recursive: true });
    }
  });
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
export function openPlace(parent: string, feed: string, options: { readonly url?: string } = {}): Place {
  const dir = mkdtempSync(join(parent, 'trees-bench-'));
  const local = join(dir, 'feed');
  cpSync(feed, local, { recursive: true });
  const template = join(dir, 'template');
  mkdirSync(template);
  run(
    trees(template, 'feed', 'add', options.url ?? `dir:${local}`, `--key=${join(local, 'trees.pub')}`, '--name=bench'),
  );
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
