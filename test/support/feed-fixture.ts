import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateKeyPair, readSecretKey, type SecretKey } from '../../releases/key-file.js';
import { signFile } from '../../releases/sign.js';
import { TreesError } from '../../trees/errors.js';
import { formatPublicKey } from '../../trees/feed/minisign.js';
import type { AppVersion, BaseVersion, BundleEntry, FeedIndex } from '../../trees/feed/schema.js';

/** A made-up commit checksum. */
export function checksum(name: string): string {
  return createHash('sha256').update(name).digest('hex');
}

export function baseVersion(version: string, arch = 'x86_64'): BaseVersion {
  return { version, arch, commit: checksum(`base ${version} ${arch}`), size: 1000, files: 10, released: STAMP };
}

export function appVersion(version: string, base: Partial<AppVersion['base']> = {}, arch = 'x86_64'): AppVersion {
  return {
    version,
    arch,
    commit: checksum(`app ${version} ${arch}`),
    size: 100,
    files: 2,
    released: STAMP,
    base: { name: 'deb', range: '^12', tested: '12.1.0', tree: checksum(`tree ${version}`), ...base },
  };
}

export function bundle(from: string | null, to: string, entry: Partial<BundleEntry> = {}): BundleEntry {
  const sha256 = checksum(`bundle ${from} ${to}`);
  return { from, to, file: `${sha256}.zst`, encoding: 'fast', size: 10, sha256, rawSize: 20, writes: 20, ...entry };
}

const STAMP = '2026-01-01T00:00:00Z';

/** A small valid index: base deb 12.0.0 and 12.1.0, app etcd 3.5.0 and 3.6.0. */
export function makeIndex(changes: Partial<FeedIndex> = {}): FeedIndex {
  const bases = [baseVersion('12.0.0'), baseVersion('12.1.0')];
  const apps = [appVersion('3.5.0'), appVersion('3.6.0')];
  return {
    schema: 1,
    feed: 'test',
    sequence: 5,
    created: STAMP,
    expires: '2036-01-01T00:00:00Z',
    bases: { deb: { summary: 'Debian', versions: bases } },
    apps: { etcd: { summary: 'key-value store', versions: apps } },
    bundles: [bundle(null, checksum('base 12.1.0 x86_64')), bundle(null, checksum('app 3.6.0 x86_64'))],
    ...changes,
  };
}

/** A temporary directory with two key pairs and a place for a feed. */
export interface FeedFixture extends AsyncDisposable {
  readonly dir: string;
  /** Directory of the feed. */
  readonly feed: string;
  /** A store's root. */
  readonly root: string;
  readonly key: SecretKey;
  readonly otherKey: SecretKey;
  publish(index: unknown, key?: SecretKey): Promise<void>;
}

/** Writes an index with its signature and public key, with no ceremony. */
export async function publishIndex(feed: string, index: unknown, key: SecretKey): Promise<void> {
  const bytes = Buffer.from(typeof index === 'string' ? index : JSON.stringify(index));
  const signature = signFile(bytes, key, { file: 'index.json', sequence: 1, now: new Date() });
  await writeFile(join(feed, 'index.json'), bytes);
  await writeFile(join(feed, 'index.json.minisig'), signature);
  await writeFile(join(feed, 'trees.pub'), formatPublicKey(key.public));
}

/** @param parent where its directory is made; default the system's temporary directory */
export async function createFeedFixture(parent: string = tmpdir()): Promise<FeedFixture> {
  const dir = await mkdtemp(join(parent, 'trees-feed-'));
  const feed = join(dir, 'feed');
  await mkdir(feed);
  const keys: SecretKey[] = [];
  for (const name of ['one', 'two']) {
    const secret = join(dir, `${name}.key`);
    await generateKeyPair({ secret, public: join(dir, `${name}.pub`) }, { force: false });
    keys.push(await readSecretKey(secret));
  }
  const [key, otherKey] = keys;
  if (key === undefined || otherKey === undefined) throw new Error('no keys');
  return {
    dir,
    feed,
    root: join(dir, 'store'),
    key,
    otherKey,
    publish: async (index, signer = key) => await publishIndex(feed, index, signer),
    async [Symbol.asyncDispose]() {
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** Predicate for `assert.rejects`: an expected failure with this code, whose message matches. */
export function failsWith(code: string, message = /./): (error: unknown) => boolean {
  return (error) => {
    if (error instanceof TreesError && error.code === code && message.test(error.message)) return true;
    throw error;
  };
}

/** Everything below a directory, by path, files as digests: to show that something changed nothing. */
export async function snapshot(dir: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  const entries = await readdir(dir, { recursive: true, withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name);
    found[path] = entry.isFile()
      ? createHash('sha256')
          .update(await readFile(path))
          .digest('hex')
      : 'directory';
  }
  return found;
}
