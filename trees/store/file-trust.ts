import { readFile, stat } from 'node:fs/promises';
import type { BundleInfo } from '../delta/index.js';
import { TreesError } from '../errors.js';
import { commitSignatures, verifyCommitSignature } from '../feed/commit-signature.js';
import { listFeeds } from '../feed/feeds.js';
import { type PublicKey, verifyEd25519 } from '../feed/minisign.js';
import { commitKeys } from '../feed/records.js';
import type { UnpackedDelta } from './unpack-delta.js';

/** Who vouches for a file. */
export interface Trust {
  readonly key: PublicKey;
  /** Feed whose key that is. */
  readonly feed: string | undefined;
}

interface TrustOptions {
  /** Of the store. */
  readonly root: string;
  /** As the user named it. */
  readonly file: string;
  /** Keys to trust beside those of the store's feeds. */
  readonly keys: readonly PublicKey[];
  readonly trustUnsigned: boolean;
}

/** Ed25519 takes its message as a whole. */
const MAX_SIGNED = 1024 * 1024 * 1024;

/**
 * Finds who signed what a file brings: its commit, or else the whole static delta.
 * @returns undefined if nobody did and that is accepted
 * @throws TreesError FEED_UNTRUSTED (unsigned), SIGNATURE_INVALID (by nobody who is trusted), UNSUPPORTED
 */
export async function findTrust(
  info: BundleInfo,
  unpacked: UnpackedDelta,
  { root, file, keys, trustUnsigned }: TrustOptions,
): Promise<Trust | undefined> {
  const commitSigned = commitSignatures(info.detached).length > 0;
  if (!commitSigned && unpacked.signatures.length === 0) {
    if (trustUnsigned) return undefined;
    throw new TreesError('FEED_UNTRUSTED', `cannot trust ${file}: its commit ${info.to} is not signed`, {
      hint: '--trust-unsigned installs it all the same: nobody vouches then for what is in it but you',
    });
  }
  const feeds = await listFeeds(root);
  const known = [...feeds.flatMap(commitKeys), ...keys];
  try {
    const key = commitSigned
      ? verifyCommitSignature(info.commitBytes, info.detached, { keys: known, checksum: info.to })
      : await verifyDelta(unpacked, known, file);
    return { key, feed: feeds.find((feed) => commitKeys(feed).some(({ id }) => id === key.id))?.name };
  } catch (error) {
    if (!(error instanceof TreesError) || error.code !== 'SIGNATURE_INVALID') throw error;
    throw new TreesError('SIGNATURE_INVALID', `cannot trust ${file}: no signature on it is by a key that is trusted`, {
      hint: 'name the key that you trust with --key, or add the feed it belongs to: trees feed add',
      cause: error,
      details: { trusted: known.map(({ id }) => id) },
    });
  }
}

/** The signatures are over all of the static delta, which holds the commit. */
async function verifyDelta(
  { path, signatures }: UnpackedDelta,
  keys: readonly PublicKey[],
  file: string,
): Promise<PublicKey> {
  if ((await stat(path)).size > MAX_SIGNED) {
    throw new TreesError('UNSUPPORTED', `cannot trust ${file}: it is too large to verify a signature over all of it`, {
      hint: 'have the commit in it signed instead (ostree sign)',
    });
  }
  const delta = await readFile(path);
  for (const signature of signatures) {
    const key = keys.find((candidate) => verifyEd25519(delta, signature, candidate.key));
    if (key !== undefined) return key;
  }
  throw new TreesError('SIGNATURE_INVALID', `cannot trust ${file}: no signature on it is from a trusted key`);
}
