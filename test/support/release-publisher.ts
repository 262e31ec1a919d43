import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { directoryDestination } from '../../releases/directory-destination.js';
import { generateKeyPair, readSecretKey, type SecretKey } from '../../releases/key-file.js';
import { type ReleaseOptions, type ReleaseResult, release } from '../../releases/release.js';
import type { FeedIndex } from '../../trees/feed/schema.js';
import { silentReporter } from '../../trees/reporter.js';
import { type BuildRepo, createBuildRepo } from './build-repo.js';

/** A publisher that has built base deb 12.0.0 and app etcd 3.5.0, and released nothing yet. */
export interface Publisher extends AsyncDisposable {
  readonly dir: string;
  readonly feed: string;
  readonly built: BuildRepo;
  readonly key: SecretKey;
  /** Commit of the base. */
  readonly base: string;
  buildApp(version: string, content: Buffer): Promise<string>;
  release(options?: Partial<ReleaseOptions>): Promise<ReleaseResult>;
  index(): Promise<FeedIndex>;
}

const shared = randomBytes(200_000);
const own = randomBytes(100_000);
/** A version of the app's program: mostly its own bytes, which nothing else has. */
export const program = (version: string): Buffer =>
  Buffer.concat([own, Buffer.from(`version ${version}`), own.subarray(0, 5000)]);

export async function createPublisher(): Promise<Publisher> {
  const dir = await mkdtemp(join(tmpdir(), 'trees-release-'));
  const feed = join(dir, 'out/feed');
  const built = await createBuildRepo(dir);
  await generateKeyPair({ secret: join(dir, 'k.key'), public: join(dir, 'k.pub') }, { force: false });
  const key = await readSecretKey(join(dir, 'k.key'));
  const files = { 'bin/sh': shared, 'etc/os': 'debian 12.0\n' };
  const base = await built.commit({ kind: 'base', name: 'deb', version: '12.0.0', files });
  const on = { name: 'deb', range: '^12', version: '12.0.0', commit: base };
  const buildApp = async (version: string, content: Buffer): Promise<string> => {
    const files = { 'usr/bin/etcd': content, 'etc/.wh.os': '' };
    return await built.commit({ kind: 'layer', name: 'etcd', version, base: on, files });
  };
  await buildApp('3.5.0', program('3.5.0'));
  return {
    dir,
    feed,
    built,
    key,
    base,
    buildApp,
    release: async (options = {}) =>
      await release({
        build: built.build,
        destination: directoryDestination(feed, { lockTimeout: 60, signal: options.signal }),
        names: [],
        key,
        expiresDays: 90,
        keep: 5,
        back: 3,
        encodings: ['fast'],
        dryRun: false,
        now: new Date(),
        lockTimeout: 60,
        reporter: silentReporter,
        ...options,
      }),
    index: async () => JSON.parse(await readFile(join(feed, 'index.json'), 'utf8')),
    async [Symbol.asyncDispose]() {
      await rm(dir, { recursive: true, force: true });
    },
  };
}
