import { createHash, createPublicKey, verify } from 'node:crypto';
import { TreesError } from '../errors.js';

/**
 * Reading and checking of minisign keys and signatures.
 * Formats: https://jedisct1.github.io/minisign/ ("Signature format", "Public key format").
 */

/** An Ed25519 public key as minisign writes it. */
export interface PublicKey {
  /** Key id as minisign prints it: 16 uppercase hexadecimal digits. Only a name: it proves nothing. */
  readonly id: string;
  /** 32 bytes. */
  readonly key: Uint8Array;
}

export interface Signature {
  readonly keyId: string;
  /** `Ed`: over the file itself; `ED`: over its BLAKE2b-512 digest. */
  readonly algorithm: 'Ed' | 'ED';
  /** 64 bytes. */
  readonly signature: Uint8Array;
  readonly trustedComment: string;
  /** 64 bytes over signature and trusted comment. */
  readonly globalSignature: Uint8Array;
}

const UNTRUSTED = 'untrusted comment: ';
const TRUSTED = 'trusted comment: ';
const TAMPERED = 'it was damaged or changed on the way: try again later, and tell the publisher if it stays';
/** DER prefix of an Ed25519 SubjectPublicKeyInfo (RFC 8410), which the 32 key bytes follow. */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

/** Strict base64: Node's decoder skips what it does not know, which would make two texts one key. */
function decodeBase64(text: string, length: number): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.length === length && bytes.toString('base64') === text ? bytes : undefined;
}

/** minisign prints the eight id bytes as one little-endian number. */
export function formatKeyId(bytes: Uint8Array): string {
  return Buffer.from(bytes.toReversed()).toString('hex').toUpperCase();
}

function parseKeyId(id: string): Buffer {
  return Buffer.from(new Uint8Array(Buffer.from(id, 'hex')).toReversed());
}

/**
 * Reads a public key: the contents of a `.pub` file or only its base64 line.
 * @param origin file or option the text came from, for messages
 * @throws TreesError KEY_INVALID
 */
export function parsePublicKey(text: string, origin: string): PublicKey {
  const lines = text.split(/\r?\n/).filter((line) => line !== '' && !line.startsWith(UNTRUSTED));
  const bytes = decodeBase64(lines[0] ?? '', 42);
  if (lines.length !== 1 || bytes === undefined || bytes.toString('latin1', 0, 2) !== 'Ed') {
    throw new TreesError(
      'KEY_INVALID',
      `cannot read the public key: Expected ${origin} to be a minisign public key (one base64 line, "RW…")`,
      { hint: '`trees key show FILE` prints the public key of a secret key' },
    );
  }
  return { id: formatKeyId(bytes.subarray(2, 10)), key: new Uint8Array(bytes.subarray(10)) };
}

/** The base64 line of a public key: what `--key` takes and `minisign -P` takes. */
export function encodePublicKey(key: PublicKey): string {
  return Buffer.concat([Buffer.from('Ed'), parseKeyId(key.id), key.key]).toString('base64');
}

/** Contents of a `.pub` file. */
export function formatPublicKey(key: PublicKey, comment = `minisign public key ${key.id}`): string {
  return `${UNTRUSTED}${comment}\n${encodePublicKey(key)}\n`;
}

/** `SHA256:` and the base64 digest of the 32 key bytes, as ssh writes it: short enough to compare by eye. */
export function fingerprint(key: PublicKey): string {
  return `SHA256:${createHash('sha256').update(key.key).digest('base64').replace(/=+$/, '')}`;
}

/**
 * Reads a `.minisig` file.
 * @throws TreesError SIGNATURE_INVALID if it is malformed
 */
export function parseSignature(text: string, origin: string): Signature {
  const [untrusted, signatureLine = '', comment = '', globalLine = '', ...more] = text.split(/\r?\n/);
  const bytes = decodeBase64(signatureLine, 74);
  const globalSignature = decodeBase64(globalLine, 64);
  const algorithm = bytes?.toString('latin1', 0, 2);
  if (
    untrusted?.startsWith(UNTRUSTED) !== true ||
    !comment.startsWith(TRUSTED) ||
    bytes === undefined ||
    globalSignature === undefined ||
    (algorithm !== 'Ed' && algorithm !== 'ED') ||
    more.some((line) => line !== '')
  ) {
    throw new TreesError(
      'SIGNATURE_INVALID',
      `cannot read the signature: Expected ${origin} to be a minisign signature`,
      {
        hint: TAMPERED,
      },
    );
  }
  return {
    keyId: formatKeyId(bytes.subarray(2, 10)),
    algorithm,
    signature: new Uint8Array(bytes.subarray(10)),
    trustedComment: comment.slice(TRUSTED.length),
    globalSignature: new Uint8Array(globalSignature),
  };
}

/** Contents of a `.minisig` file. */
export function formatSignature(signature: Signature, untrustedComment: string): string {
  const line = Buffer.concat([Buffer.from(signature.algorithm), parseKeyId(signature.keyId), signature.signature]);
  const global = Buffer.from(signature.globalSignature).toString('base64');
  return `${UNTRUSTED}${untrustedComment}\n${line.toString('base64')}\n${TRUSTED}${signature.trustedComment}\n${global}\n`;
}

/** True if `signature` is one of `key` over `message`. Ed25519, without prehashing. */
export function verifyEd25519(message: Uint8Array, signature: Uint8Array, key: Uint8Array): boolean {
  const publicKey = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, key]), format: 'der', type: 'spki' });
  return signature.length === 64 && verify(null, message, publicKey, signature);
}

/** The bytes that the first signature covers. */
export function signedBytes(message: Uint8Array, algorithm: Signature['algorithm']): Uint8Array {
  return algorithm === 'ED' ? createHash('blake2b512').update(message).digest() : message;
}

/** The bytes that the global signature covers. */
export function globalSignedBytes(signature: Uint8Array, trustedComment: string): Uint8Array {
  return Buffer.concat([signature, Buffer.from(trustedComment)]);
}

/**
 * Checks both signatures of a `.minisig` file: over the message, and over the trusted comment.
 * @returns the key that signed
 * @throws TreesError FEED_UNTRUSTED if no key has the signature's key id, SIGNATURE_INVALID if it does not verify
 */
export function verifyMinisign(
  message: Uint8Array,
  signature: Signature,
  options: { keys: readonly PublicKey[]; what: string },
): PublicKey {
  // Key ids are chosen by whoever made the key, so that several trusted keys may share one.
  const candidates = options.keys.filter((key) => key.id === signature.keyId);
  if (candidates.length === 0) {
    const trusted = options.keys.map((key) => key.id).join(', ') || 'none';
    throw new TreesError(
      'FEED_UNTRUSTED',
      `cannot trust ${options.what}: it is signed by key ${signature.keyId}; trusted: ${trusted}`,
      {
        hint: 'if the publisher has changed the key, remove the feed and add it again with the new one',
        details: { signedBy: signature.keyId, trusted: options.keys.map((key) => key.id) },
      },
    );
  }
  const signed = signedBytes(message, signature.algorithm);
  const key = candidates.find((candidate) => verifyEd25519(signed, signature.signature, candidate.key));
  if (key === undefined) {
    throw new TreesError(
      'SIGNATURE_INVALID',
      `cannot trust ${options.what}: the signature of key ${signature.keyId} does not match its contents`,
      { hint: TAMPERED },
    );
  }
  const comment = globalSignedBytes(signature.signature, signature.trustedComment);
  if (!verifyEd25519(comment, signature.globalSignature, key.key)) {
    throw new TreesError(
      'SIGNATURE_INVALID',
      `cannot trust ${options.what}: the signature of key ${signature.keyId} does not match its trusted comment`,
      { hint: TAMPERED },
    );
  }
  return key;
}
