import { sign } from 'node:crypto';
import { commitSignatures, ED25519_METADATA_KEY, ED25519_METADATA_TYPE } from '../trees/feed/commit-signature.js';
import { formatSignature, globalSignedBytes, signedBytes, verifyEd25519 } from '../trees/feed/minisign.js';
import type { Metadata } from '../trees/ostree/types.js';
import type { SecretKey } from './key-file.js';

export interface SignOptions {
  /** Name of the signed file, for the trusted comment. */
  readonly file: string;
  readonly sequence: number;
  readonly now: Date;
}

/** Signs a file as `minisign -S` does (prehashed). @returns contents of the `.minisig` file */
export function signFile(message: Uint8Array, key: SecretKey, options: SignOptions): string {
  const signature = sign(null, signedBytes(message, 'ED'), key.privateKey);
  const seconds = Math.floor(options.now.getTime() / 1000);
  const trustedComment = `timestamp:${seconds}\tfile:${options.file}\tsequence:${options.sequence}`;
  const globalSignature = sign(null, globalSignedBytes(signature, trustedComment), key.privateKey);
  return formatSignature(
    { keyId: key.public.id, algorithm: 'ED', signature, trustedComment, globalSignature },
    `signature from trees, key ${key.public.id}`,
  );
}

/**
 * Signs a commit as `ostree sign --sign-type=ed25519` does.
 * @param commit raw bytes of the commit object
 * @returns the commit's detached metadata with the signature added; the given one if the key has signed it already
 */
export function signCommit(commit: Uint8Array, metadata: Metadata | undefined, key: SecretKey): Metadata {
  const signatures = commitSignatures(metadata);
  if (metadata !== undefined && signatures.some((signature) => verifyEd25519(commit, signature, key.public.key))) {
    return metadata;
  }
  const value = [...signatures, new Uint8Array(sign(null, commit, key.privateKey))];
  return { ...metadata, [ED25519_METADATA_KEY]: { type: ED25519_METADATA_TYPE, value } };
}
