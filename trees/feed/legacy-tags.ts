import { TreesError } from '../errors.js';
import type { Feed } from './feed.js';
import { httpFeed } from './http.js';
import { readFeedFile } from './index-pair.js';
import type { LegacyRepository } from './legacy-url.js';
import { githubUrls, type NetworkOptions } from './network.js';

/** Bytes of the list: some ten thousand tags. */
const LIMIT = 4 * 1024 * 1024;
const TAG = /^[0-9a-f]{40,64} refs\/tags\/([^\0\n^]+)/;
const LENGTH_BYTES = 4;

/**
 * The names of a repository's tags: what `git ls-remote` asks for (gitprotocol-http, "Discovering References"). Costs
 * nothing of the API's budget.
 * @throws TreesError FEED_UNREACHABLE
 */
export async function listTags(
  { server, owner, repo }: LegacyRepository,
  { url }: Feed,
  options: { readonly network: NetworkOptions; readonly signal?: AbortSignal | undefined },
): Promise<string[]> {
  const { network, signal } = options;
  const web = server ?? githubUrls(network.github).server;
  const locate = (): URL => new URL(`${web}/${owner}/${repo}.git/info/refs?service=git-upload-pack`);
  const bytes = await readFeedFile(httpFeed({ url, network, locate }), 'list of tags', { limit: LIMIT, signal });
  const tags = bytes === undefined ? undefined : parseTags(bytes);
  if (tags !== undefined) return tags;
  throw new TreesError('FEED_UNREACHABLE', `cannot read the tags of ${url}: there is no public repository`, {
    hint: 'is the address right? Of a private repository, trees bundle install legacy:OWNER/REPO/NAME installs single releases',
  });
}

/** @returns undefined if that is no list of references */
function parseTags(bytes: Buffer): string[] | undefined {
  const tags: string[] = [];
  let lines = 0;
  for (let at = 0; at < bytes.length; lines += 1) {
    const length = Number.parseInt(bytes.toString('latin1', at, at + LENGTH_BYTES), 16);
    if (Number.isNaN(length) || at + length > bytes.length) return undefined;
    // "0000" ends a section and has no content.
    const end = at + Math.max(length, LENGTH_BYTES);
    const [, tag] = TAG.exec(bytes.toString('utf8', at + LENGTH_BYTES, end)) ?? [];
    if (tag !== undefined) tags.push(tag);
    at = end;
  }
  return lines === 0 ? undefined : [...new Set(tags)];
}
