import { createHash } from 'node:crypto';
import { TreesError } from '../../trees/errors.js';
import { feedFile } from '../../trees/feed/feed.js';
import { parsePublicKey } from '../../trees/feed/minisign.js';
import type { SignedIndex } from '../destination.js';
import type { GithubApi } from './api.js';
import { type Claim, claimSequence, releaseClaim, renewClaim } from './claim.js';
import { currentRelease, publisherOf, sequenceOf, tagOf, withMark } from './draft.js';
import { releaseNotes } from './notes.js';
import { assetsOf } from './pieces.js';
import { type Asset, deleteAsset, listAssets, type Release, releaseById } from './releases.js';
import { isAlreadyThere } from './request-error.js';
import { ensureAsset, seemsWhole, type Upload } from './upload.js';

/** What a switch works with. */
export interface SwitchOptions {
  readonly api: GithubApi;
  /** As `api`, but goes on after the work was interrupted: for cleaning up. */
  readonly afterwards: GithubApi;
  readonly publisher: string;
  readonly release: Release;
}

function inMemory(name: string, bytes: Uint8Array): Upload {
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { name, size: bytes.length, sha256, source: bytes };
}

/** Last look at the draft: all that the index names in it is there, and nothing else. */
async function checkDraft(
  signed: SignedIndex,
  { api, publisher, release }: SwitchOptions,
): Promise<Map<string, Asset>> {
  const now = await releaseById(api, release.id);
  if (now?.draft !== true || publisherOf(now) !== publisher) {
    throw new TreesError('RELEASE_FAILED', `cannot publish to ${api.url}: the draft release was changed or deleted`, {
      hint: 'run the command again',
    });
  }
  const assets = new Map((await listAssets(api, release.id)).map((asset) => [asset.name, asset]));
  const files = inReleaseOf(signed);
  const wanted = new Map(signed.made.flatMap(assetsOf).map((file) => [file.file, file]));
  for (const [name, asset] of assets) {
    if (wanted.has(name) || files.some((file) => file.name === name)) continue;
    await deleteAsset(api, asset.id);
    assets.delete(name);
  }
  for (const [name, file] of wanted) {
    if (seemsWhole(assets.get(name), file)) continue;
    throw new TreesError('RELEASE_FAILED', `cannot publish to ${api.url}: the asset ${name} was changed or deleted`, {
      hint: 'run the command again: it is uploaded once more',
    });
  }
  return assets;
}

function inReleaseOf({ bytes, signature, publicKey, successors }: SignedIndex): Upload[] {
  return [
    ...(successors === undefined ? [] : [inMemory(feedFile.successors, successors)]),
    inMemory(feedFile.publicKey, Buffer.from(publicKey)),
    inMemory(feedFile.signature, Buffer.from(signature)),
    inMemory(feedFile.index, bytes),
  ];
}

/** Makes the draft the latest release. @returns false if its tag has been published meanwhile */
async function makeLatest(signed: SignedIndex, { api, publisher, release }: SwitchOptions): Promise<boolean> {
  const { owner, repo } = api;
  const { index, previous, publicKey } = signed;
  const key = parsePublicKey(publicKey, feedFile.publicKey);
  try {
    await api.call(
      'publish the release',
      async ({ rest }) =>
        await rest.repos.updateRelease({
          owner,
          repo,
          release_id: release.id,
          tag_name: tagOf(index.sequence),
          name: `Index ${index.sequence}`,
          body: withMark(releaseNotes(index, previous?.index, { url: api.url, key }), publisher),
          draft: false,
          make_latest: 'true',
        }),
      { changes: true, pass: isAlreadyThere },
    );
    return true;
  } catch (error) {
    if (!isAlreadyThere(error)) throw error;
    const current = await currentRelease(api);
    if (current !== undefined && sequenceOf(current) >= index.sequence) return false;
    throw new TreesError(
      'RELEASE_FAILED',
      `cannot publish to ${api.url}: its release ${tagOf(index.sequence)} is not one of this feed`,
      { hint: 'delete that release or give it another tag: tags named index-N are those of the feed' },
    );
  }
}

async function switchAsHolder(signed: SignedIndex, claim: Claim, options: SwitchOptions): Promise<boolean> {
  const { api, publisher, release } = options;
  // The number is ours, but what it was planned on may have been overtaken between reading and claiming.
  const current = await currentRelease(api);
  if ((current === undefined ? 0 : sequenceOf(current)) !== claim.sequence - 1) return false;
  const assets = await checkDraft(signed, options);
  for (const upload of inReleaseOf(signed)) await ensureAsset(api, release, upload, assets);
  const renewed = await renewClaim(api, publisher, claim);
  if (renewed === undefined) return false;
  return await makeLatest(signed, options);
}

/**
 * Claims the index's sequence and publishes the draft under it.
 * @returns false if another publisher was first
 * @throws TreesError RELEASE_FAILED; the number is given back then
 */
export async function switchRelease(signed: SignedIndex, options: SwitchOptions): Promise<boolean> {
  const { api, afterwards, publisher } = options;
  const { sequence } = signed.index;
  const claim = await claimSequence(api, sequence, {
    publisher,
    isOver: async () => {
      const current = await currentRelease(api);
      return current !== undefined && sequenceOf(current) >= sequence;
    },
  });
  if (claim === undefined) return false;
  let published = false;
  try {
    published = await switchAsHolder(signed, claim, options);
    return published;
  } finally {
    if (!published) await giveBack(afterwards, publisher, sequence);
  }
}

/** Best effort: others take the number over after a while, and this publisher at once. */
async function giveBack(api: GithubApi, publisher: string, sequence: number): Promise<void> {
  try {
    await releaseClaim(api, publisher, sequence);
  } catch (error) {
    if (!(error instanceof TreesError)) throw error;
    api.reporter.debug(`cannot give back index ${sequence}: ${error.message}`);
  }
}
