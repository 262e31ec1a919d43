import { randomUUID } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isErrno } from '../../trees/errors.js';
import { writeFileAtomic } from '../../trees/feed/files.js';
import type { GithubApi } from './api.js';
import { deleteRelease, listAssets, listReleases, type Release, releaseById, releaseOf } from './releases.js';

/**
 * A draft is where a publisher collects its assets. Nobody but those who may write to the repository sees it. The last
 * line of its text names the publisher, so that one which was interrupted finds its draft again.
 */
const MARK = /<!-- trees publisher ([0-9A-Za-z-]+) -->\s*$/;
/** Of releases that `trees` has made; no others are ever touched. */
export const TAG = /^index-(\d+)$/;
const DRAFT_TAG = /^index-draft-/;

export const tagOf = (sequence: number): string => `index-${sequence}`;

/**
 * Milliseconds without a new asset after which another publisher goes on with a draft: whoever ran on a machine that is
 * gone, as those of CI are, does not come back. Should it be at work all the same, it notices before it publishes.
 */
const SILENT = 60 * 60 * 1000;
/** Milliseconds without a new asset after which a draft is deleted. */
const ABANDONED = 24 * SILENT;

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

/** When something was last done with a draft, in milliseconds since 1970. */
async function lastTouched(api: GithubApi, { id, created }: Release): Promise<number> {
  const times = (await listAssets(api, id)).map(({ updated }) => Date.parse(updated));
  return Math.max(Date.parse(created), ...times);
}

const text = 'Being prepared by `trees release`.';

/** Takes over a draft whose publisher has fallen silent: what is uploaded need not be uploaded again. */
async function adoptDraft(api: GithubApi, drafts: readonly Release[], publisher: string): Promise<Release | undefined> {
  const { owner, repo } = api;
  for (const { id, ...draft } of drafts) {
    if (Date.now() - (await lastTouched(api, { id, ...draft })) < SILENT) continue;
    const body = withMark(text, publisher);
    await api.call(
      'take over a draft release',
      async ({ rest }) => await rest.repos.updateRelease({ owner, repo, release_id: id, body, draft: true }),
      { changes: true },
    );
    // Of several that try at once, one comes last; nobody publishes a draft that is not marked as its own.
    const now = await releaseById(api, id);
    if (now?.draft !== true || publisherOf(now) !== publisher) continue;
    api.reporter.info(`going on with the draft that another publisher has left at ${api.url}`);
    return now;
  }
  return undefined;
}

/** The draft to go on with: one of an earlier run, else one that another publisher has left, else a new one. */
export async function openDraft(api: GithubApi, publisher: string): Promise<Release> {
  const { owner, repo } = api;
  const drafts = (await listReleases(api)).filter((release) => release.draft && isOurs(release));
  const [found, ...surplus] = ownDrafts(drafts, publisher);
  // A request that was repeated because its answer was lost may have made two.
  for (const { id } of surplus) await deleteRelease(api, id);
  if (found !== undefined) {
    api.reporter.info(`going on with the draft that an earlier run has left at ${api.url}`);
    return found;
  }
  const adopted = await adoptDraft(api, drafts, publisher);
  if (adopted !== undefined) return adopted;
  const created = await api.call(
    'create a draft release',
    async ({ rest }) =>
      await rest.repos.createRelease({
        owner,
        repo,
        // Its own number is not known before it is published.
        tag_name: `index-draft-${publisher}`,
        name: 'The next index, in preparation',
        body: withMark(text, publisher),
        draft: true,
      }),
    { changes: true },
  );
  return releaseOf(created.data);
}

/** A publisher's own drafts. */
export function ownDrafts(releases: readonly Release[], publisher: string): Release[] {
  return releases.filter((release) => release.draft && isOurs(release) && publisherOf(release) === publisher);
}

/** Drafts that nobody needs: the publisher's own, and those that others have left behind for good. */
export async function abandonedDrafts(
  api: GithubApi,
  releases: readonly Release[],
  publisher: string,
): Promise<Release[]> {
  const abandoned = ownDrafts(releases, publisher);
  for (const release of releases) {
    if (!release.draft || !isOurs(release) || abandoned.includes(release)) continue;
    const isOld = Date.now() - Date.parse(release.created) > ABANDONED;
    if (isOld && Date.now() - (await lastTouched(api, release)) > ABANDONED) abandoned.push(release);
  }
  return abandoned;
}
