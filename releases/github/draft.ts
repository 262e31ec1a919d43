import { randomUUID } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from '../../trees/errors.js';
import { writeFileAtomic } from '../../trees/feed/files.js';
import type { GithubApi } from './api.js';
import { deleteRelease, listReleases, type Release, releaseOf } from './releases.js';

/**
 * A draft is where a publisher collects its assets. Nobody but those who may write to the repository sees it. The last
 * line of its text names the publisher, so that one which was interrupted finds its draft again.
 */
const MARK = /<!-- trees publisher ([0-9A-Za-z-]+) -->\s*$/;
/** Of releases that `trees` has made; no others are ever touched. */
export const TAG = /^index-(\d+)$/;
const DRAFT_TAG = /^index-draft-/;

export const tagOf = (sequence: number): string => `index-${sequence}`;

/** A draft that nobody has touched for so long, in milliseconds, is one of a publisher that will not come back. */
const ABANDONED = 24 * 60 * 60 * 1000;

const PUBLISHER_FILE = 'publisher-id';

/** Who we are: the same on every run from the same build directory, of which there is only one at a time. */
export async function publisherId(build: string): Promise<string> {
  const path = join(build, PUBLISHER_FILE);
  try {
    const id = (await readFile(path, 'utf8')).trim();
    if (id !== '') return id;
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
  const id = randomUUID();
  await mkdir(build, { recursive: true, mode: 0o700 });
  await writeFileAtomic(path, `${id}\n`);
  return id;
}

/** Whether `trees` has made a release. */
export function isOurs({ tag, draft, body }: Release): boolean {
  return (draft ? DRAFT_TAG : TAG).test(tag) && MARK.test(body);
}

export function withMark(text: string, publisher: string): string {
  return `${text.trimEnd()}\n\n<!-- trees publisher ${publisher} -->\n`;
}

export function publisherOf({ body }: Release): string | undefined {
  return MARK.exec(body)?.[1];
}

export const sequenceOf = ({ tag }: Release): number => Number(TAG.exec(tag)?.[1] ?? 0);

/**
 * The release with the newest index. Readers get what GitHub calls the latest; that may be another one where somebody
 * has published something by hand since.
 */
export async function currentRelease(api: GithubApi): Promise<Release | undefined> {
  const published = (await listReleases(api)).filter((release) => !release.draft && isOurs(release));
  return published.toSorted((a, b) => sequenceOf(b) - sequenceOf(a))[0];
}

/** The draft to go on with: one of an earlier run, else a new one. */
export async function openDraft(api: GithubApi, publisher: string): Promise<Release> {
  const { owner, repo } = api;
  const [found, ...surplus] = (await listReleases(api)).filter(
    (release) => release.draft && isOurs(release) && publisherOf(release) === publisher,
  );
  // A request that was repeated because its answer was lost may have made two.
  for (const { id } of surplus) await deleteRelease(api, id);
  if (found !== undefined) {
    api.reporter.info(`going on with the draft that an earlier run has left at ${api.url}`);
    return found;
  }
  const created = await api.call(
    'create a draft release',
    async ({ rest }) =>
      await rest.repos.createRelease({
        owner,
        repo,
        // Its own number is not known before it is published.
        tag_name: `index-draft-${publisher}`,
        name: 'The next index, in preparation',
        body: withMark('Being prepared by `trees release`.', publisher),
        draft: true,
      }),
    { changes: true },
  );
  return releaseOf(created.data);
}

/** Drafts that publishers have left behind for good. */
export function abandonedDrafts(releases: readonly Release[], publisher: string, now: number): Release[] {
  return releases.filter((release) => {
    if (!release.draft || !isOurs(release)) return false;
    return publisherOf(release) === publisher || now - Date.parse(release.created) > ABANDONED;
  });
}
