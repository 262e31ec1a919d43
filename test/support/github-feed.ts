import { createHash, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Feed } from '../../trees/feed/feed.js';
import type { NetworkOptions } from '../../trees/feed/network.js';
import { openFeed } from '../../trees/feed/open.js';
import type { BundleEntry, FeedIndex } from '../../trees/feed/schema.js';
import {
  createFakeGithub,
  type FakeGithub,
  type FakeGithubOptions,
  type Repository,
  seedRelease,
} from './fake-github.js';
import { bundle, checksum, createFeedFixture, type FeedFixture, makeIndex } from './feed-fixture.js';

export const BUNDLE_FILE = 'bundle.zst';
const TAG = 'index-5';
const BUNDLE_SIZE = 300_000;

/** A signed feed with one bundle on a GitHub of its own. */
export interface GithubFeed extends AsyncDisposable {
  readonly github: FakeGithub;
  readonly repository: Repository;
  readonly fixture: FeedFixture;
  readonly url: string;
  /** Impatient, so that tests of failures are over soon. */
  readonly network: NetworkOptions;
  readonly entry: BundleEntry;
  readonly content: Buffer;
  readonly index: FeedIndex;
  open(network?: NetworkOptions): Feed;
  /** Publishes another index, with the same bundle. */
  publish(tag: string, changes: Partial<FeedIndex>): Promise<void>;
}

export async function createGithubFeed(
  options: FakeGithubOptions & { readonly isPrivate?: boolean; readonly bundleSize?: number } = {},
): Promise<GithubFeed> {
  const fixture = await createFeedFixture();
  const github = await createFakeGithub(options);
  const repository = github.createRepository('maker', 'apps', { isPrivate: options.isPrivate === true });
  const content = randomBytes(options.bundleSize ?? BUNDLE_SIZE);
  const sha256 = createHash('sha256').update(content).digest('hex');
  const commit = checksum('base 12.1.0 x86_64');
  const entry = bundle(null, commit, { file: BUNDLE_FILE, size: content.length, sha256, release: TAG });
  const index = makeIndex({ bundles: [entry] });
  const url = 'github:maker/apps';
  const network: NetworkOptions = {
    github: { server: github.server, api: github.api },
    firstPause: 1,
    retries: 3,
    timeout: 30,
  };
  const publish = async (tag: string, changes: Partial<FeedIndex>): Promise<void> => {
    await fixture.publish({ ...index, ...changes });
    const files = { [BUNDLE_FILE]: content };
    for (const name of ['index.json', 'index.json.minisig', 'trees.pub']) {
      Object.assign(files, { [name]: await readFile(join(fixture.feed, name)) });
    }
    await seedRelease(github.world, repository, { tag, files });
  };
  await publish(TAG, {});
  return {
    github,
    repository,
    fixture,
    url,
    network,
    entry,
    content,
    index,
    publish,
    open: (other = network) => openFeed(url, other),
    async [Symbol.asyncDispose]() {
      await github[Symbol.asyncDispose]();
      await fixture[Symbol.asyncDispose]();
    },
  };
}
