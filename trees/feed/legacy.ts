import { open } from 'node:fs/promises';
import { reasonOf, TreesError, usageError } from '../errors.js';
import { type Reporter, silentReporter } from '../reporter.js';
import type { Feed } from './feed.js';
import { githubFeed } from './github.js';
import { readFeedFile } from './index-pair.js';
import type { NetworkOptions } from './network.js';
import { createRetries } from './retry.js';

/**
 * Releases as the original project published them (github.com/untoreh/trees, github.com/untoreh/pine): for an app, a
 * release tagged with its name that has `NAME.tar` (one static delta) and `NAME.sum`; for a base, the latest release with
 * `delta_base.tar` and `NAME.sum`. The sum is the checksum of the tree's root directory, as `ostree ls -Cd` prints it.
 * Nothing of it is signed.
 */
export interface LegacyReference {
  /** As the user wrote it. */
  readonly url: string;
  readonly owner: string;
  readonly repo: string;
  readonly name: string;
  readonly tag: string | undefined;
}

const PREFIX = 'legacy:';
const REFERENCE =
  /^legacy:([A-Za-z0-9][A-Za-z0-9-]{0,38})\/([A-Za-z0-9_-][A-Za-z0-9._-]{0,99})\/([a-z0-9][a-z0-9._-]{0,63})(?:@([A-Za-z0-9][A-Za-z0-9._-]{0,99}))?$/;
const SUM = /^([0-9a-f]{64})\s*$/;
/** Bytes of a `.sum` file. */
const SUM_LIMIT = 1024;

export function isLegacyReference(text: string): boolean {
  return text.startsWith(PREFIX);
}

/** @throws TreesError USAGE */
export function parseLegacyReference(url: string): LegacyReference {
  const [, owner, repo, name, tag] = REFERENCE.exec(url) ?? [];
  if (owner === undefined || repo === undefined || name === undefined) {
    throw usageError(
      `Expected legacy:OWNER/REPO/NAME or legacy:OWNER/REPO/NAME@TAG, got "${url}"`,
      'for example: legacy:untoreh/trees/etcd',
    );
  }
  return { url, owner, repo, name, tag };
}

export interface FetchLegacyOptions {
  readonly as: 'app' | 'base';
  readonly network: NetworkOptions;
  readonly reporter?: Reporter | undefined;
  readonly signal?: AbortSignal | undefined;
}

function missing(file: string, { url }: LegacyReference): TreesError {
  return new TreesError('FEED_UNREACHABLE', `cannot install ${url}: its release has no ${file}`, {
    hint: 'is the name right? Another release can be named: legacy:OWNER/REPO/NAME@TAG; a base needs --as base',
    details: { file },
  });
}

/** Copies a file of a feed, going on where the connection broke. */
async function copyTo(path: string, feed: Feed, file: string, options: FetchLegacyOptions): Promise<boolean> {
  const { signal, reporter = silentReporter } = options;
  const retries = createRetries({ policy: feed.retries, signal, reporter });
  using task = reporter.task(`fetching ${file}`, { unit: 'bytes' });
  const handle = await open(path, 'wx', 0o600);
  try {
    let validator: string | undefined;
    for (let length = 0; ; ) {
      try {
        const opened = await feed.open(file, { signal, offset: length, validator });
        if (opened === undefined) return false;
        if (opened.offset !== length) await handle.truncate(opened.offset);
        length = opened.offset;
        ({ validator } = opened);
        for await (const chunk of opened.stream) {
          const bytes: Buffer = chunk;
          await handle.write(bytes, 0, bytes.length, length);
          length += bytes.length;
          retries.progress();
          task.update(length);
        }
        task.done(`fetched ${file}`);
        return true;
      } catch (error) {
        // Without its version to ask for, what comes next may be of another file.
        if (validator === undefined) length = 0;
        await retries.failed(error);
      }
    }
  } finally {
    await handle.close();
  }
}

/**
 * Fetches the tar of an app or a base.
 * @param path file to make
 * @returns the checksum of the root directory (`dirtree`) that the tree has to have
 * @throws TreesError FEED_UNREACHABLE, BUNDLE_CORRUPT if the `.sum` is none
 */
export async function fetchLegacy(
  reference: LegacyReference,
  path: string,
  options: FetchLegacyOptions,
): Promise<string> {
  const { url, owner, repo, name, tag } = reference;
  const { as, network, signal, reporter } = options;
  const isBase = as === 'base';
  const release = tag ?? (isBase ? undefined : name);
  const releases = githubFeed({ url, owner, repo, network });
  const feed: Feed = { ...releases, open: async (file, how) => await releases.open(file, { ...how, release }) };
  const sumFile = `${name}.sum`;
  const bytes = await readFeedFile(feed, sumFile, { limit: SUM_LIMIT, signal, reporter });
  if (bytes === undefined) throw missing(sumFile, reference);
  const [, sum] = SUM.exec(bytes.toString('utf8')) ?? [];
  if (sum === undefined) {
    throw new TreesError('BUNDLE_CORRUPT', `cannot install ${url}: ${sumFile} is not a checksum`, {
      hint: 'is this a release of the original project?',
    });
  }
  const tar = isBase ? 'delta_base.tar' : `${name}.tar`;
  try {
    if (!(await copyTo(path, feed, tar, options))) throw missing(tar, reference);
  } catch (error) {
    if (error instanceof TreesError) throw error;
    signal?.throwIfAborted();
    throw new TreesError('FEED_UNREACHABLE', `cannot fetch ${tar} of ${url}: ${reasonOf(error)}`, {
      hint: 'try again; what is installed keeps working',
      cause: error,
    });
  }
  return sum;
}
