import { open } from 'node:fs/promises';
import { reasonOf, TreesError } from '../errors.js';
import { type Reporter, silentReporter } from '../reporter.js';
import type { Feed } from './feed.js';
import { githubFeed } from './github.js';
import { readFeedFile } from './index-pair.js';
import { formatLegacyRepository, type LegacyReference, type LegacyRepository } from './legacy-url.js';
import type { NetworkOptions } from './network.js';
import { createRetries } from './retry.js';

/*
 * Releases as the original project published them (github.com/untoreh/trees, github.com/untoreh/pine): for an app, a
 * release tagged with its name that has `NAME.tar` (one static delta) and `NAME.sum`; for a base, the latest release with
 * `delta_base.tar` and `NAME.sum`. The sum is the checksum of the tree's root directory, as `ostree ls -Cd` prints it.
 * Nothing of it is signed.
 */

const SUM = /^([0-9a-f]{64})\s*$/;
/** Bytes of a `.sum` file. */
const SUM_LIMIT = 1024;

/** The files of a repository's releases; those of the latest one where no release is named. */
export function legacyReleases(repository: LegacyRepository, network: NetworkOptions): Feed {
  const { server, owner, repo } = repository;
  const url = formatLegacyRepository(repository);
  const access = server === undefined ? network.github : { ...network.github, server, api: undefined };
  return githubFeed({ url, owner, repo, network: { ...network, github: access } });
}

export function legacyTar(as: 'app' | 'base', name: string): string {
  return as === 'base' ? 'delta_base.tar' : `${name}.tar`;
}

/** @throws TreesError BUNDLE_CORRUPT */
export function parseSum(bytes: Buffer, file: string, url: string): string {
  const [, sum] = SUM.exec(bytes.toString('utf8')) ?? [];
  if (sum !== undefined) return sum;
  throw new TreesError('BUNDLE_CORRUPT', `cannot use ${file} of ${url}: it is not a checksum`, {
    hint: 'is this a release of the original project?',
  });
}

export const legacySum = (name: string): { readonly file: string; readonly limit: number } => ({
  file: `${name}.sum`,
  limit: SUM_LIMIT,
});

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
  const { url, name, tag } = reference;
  const { as, network, signal, reporter } = options;
  const release = tag ?? (as === 'base' ? undefined : name);
  const releases = legacyReleases(reference, network);
  const feed: Feed = { ...releases, open: async (file, how) => await releases.open(file, { ...how, release }) };
  const { file, limit } = legacySum(name);
  const bytes = await readFeedFile(feed, file, { limit, signal, reporter });
  if (bytes === undefined) throw missing(file, reference);
  const sum = parseSum(bytes, file, url);
  const tar = legacyTar(as, name);
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
