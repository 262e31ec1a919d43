import { TreesError } from '../errors.js';
import type { Metadata } from '../ostree/types.js';
import { type PublicKey, verifyEd25519 } from './minisign.js';

/**
 * Detached metadata key of libostree's Ed25519 engine: `aay`, each element one 64-byte signature over the bytes of the
 * commit object (ostree-sign-ed25519.c, ostree-sign.c).
 */
export const ED25519_METADATA_KEY = 'ostree.sign.ed25519';
export const ED25519_METADATA_TYPE = 'aay';

/** The Ed25519 signatures in a commit's detached metadata; none if the key is absent. */
export function commitSignatures(metadata: Metadata | undefined): readonly Uint8Array[] {
  const entry = metadata?.[ED25519_METADATA_KEY];
  if (entry === undefined || entry.type !== ED25519_METADATA_TYPE || !Array.isArray(entry.value)) return [];
  return entry.value.filter((value): value is Uint8Array => value instanceof Uint8Array);
}

/**
 * Checks that a trusted key signed a commit.
 * @param commit raw bytes of the commit object (`Repo.readCommitBytes`)
 * @param metadata its detached metadata (`Repo.readDetachedMetadata`)
 * @returns the key that signed
 * @throws TreesError FEED_UNTRUSTED if there is no signature, SIGNATURE_INVALID if none is from a trusted key
 */
export function verifyCommitSignature(
  commit: Uint8Array,
  metadata: Metadata | undefined,
  options: { keys: readonly PublicKey[]; checksum: string },
): PublicKey {
  const signatures = commitSignatures(metadata);
  if (signatures.length === 0) {
    throw new TreesError('FEED_UNTRUSTED', `cannot trust commit ${options.checksum}: it is not signed`, {
      hint: 'tell the publisher: `trees release` signs every commit',
    });
  }
  // The newest first: it is the one by the key that is in use.
  for (const signature of signatures.toReversed()) {
    const key = options.keys.find((candidate) => verifyEd25519(commit, signature, candidate.key));
    if (key !== undefined) return key;
  }
  throw new TreesError(
    'SIGNATURE_INVALID',
    `cannot trust commit ${options.checksum}: no signature on it is from a trusted key`,
    {
      hint: 'tell the publisher: commits and index have to be signed by the same key',
      details: { trusted: options.keys.map((key) => key.id) },
    },
  );
}
