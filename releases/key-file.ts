import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  scrypt,
} from 'node:crypto';
import { open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { blake2b } from '@noble/hashes/blake2.js';
import { isErrno, reasonOf, TreesError } from '../trees/errors.js';
import { temporaryName } from '../trees/feed/files.js';
import { formatKeyId, formatPublicKey, type PublicKey } from '../trees/feed/minisign.js';
import { syncDirectory } from '../trees/store/files.js';

/**
 * minisign's secret key file (https://jedisct1.github.io/minisign/, "Secret key format"): a comment line and base64 of
 * `Ed`, KDF (`Sc` or two zero bytes), `B2`, salt 32, opslimit 8, memlimit 8, then id 8, seed 32, public key 32 and a
 * BLAKE2b-256 checksum of those with the algorithm. The last 104 bytes are XORed with scrypt's output if there is a KDF.
 */
const LENGTH = 158;
const KDF = 2;
const SALT = 6;
const OPSLIMIT = 38;
const MEMLIMIT = 46;
const SECRETS = 54;
const SECRETS_LENGTH = 104;

/** DER prefix of an Ed25519 PKCS#8 private key (RFC 8410), which the 32 seed bytes follow. */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
/** More than minisign's own limit (1 GiB) is no key file that anybody made in good faith. */
const MAX_SCRYPT_MEMORY = 2 ** 31;

export interface SecretKey {
  readonly public: PublicKey;
  readonly privateKey: KeyObject;
}

function invalid(path: string, why: string, hint?: string): TreesError {
  return new TreesError('KEY_INVALID', `cannot read the secret key ${path}: ${why}`, {
    hint: hint ?? '`trees key generate` makes a new key pair; its users have to be told the new public key',
  });
}

function privateKeyOf(seed: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' });
}

function publicBytes(privateKey: KeyObject): Buffer {
  return createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).subarray(-32);
}

/** What libsodium's `pickparams` (crypto_pwhash_scryptsalsa208sha256) makes of minisign's two limits. */
export function scryptParameters(opslimit: bigint, memlimit: bigint): { N: number; r: number; p: number } {
  const r = 8n;
  const operations = opslimit < 32768n ? 32768n : opslimit;
  const memoryBound = operations >= memlimit / 32n;
  const maxN = memoryBound ? memlimit / (r * 128n) : operations / (r * 4n);
  let logN = 1n;
  while (logN < 63n && 1n << logN <= maxN / 2n) logN += 1n;
  const N = 1n << logN;
  const maxRP = operations / 4n / N;
  const p = memoryBound ? (maxRP > 0x3fffffffn ? 0x3fffffffn : maxRP) / r : 1n;
  return { N: Number(N), r: Number(r), p: Number(p) };
}

async function deriveStream(file: Buffer, passphrase: string, path: string): Promise<Buffer> {
  const { N, r, p } = scryptParameters(file.readBigUInt64LE(OPSLIMIT), file.readBigUInt64LE(MEMLIMIT));
  // OpenSSL counts a few blocks beside the 128·N·r of the definition.
  const maxmem = 128 * r * (N + p + 2);
  if (maxmem > MAX_SCRYPT_MEMORY || p < 1) throw invalid(path, `deriving its key would take ${maxmem} bytes of memory`);
  return await new Promise((resolve, reject) => {
    const salt = file.subarray(SALT, OPSLIMIT);
    scrypt(passphrase, salt, SECRETS_LENGTH, { N, r, p, maxmem }, (error, key) => {
      if (error === null) resolve(key);
      else reject(error);
    });
  });
}

function checksum(secrets: Uint8Array): Buffer {
  return Buffer.from(blake2b(Buffer.concat([Buffer.from('Ed'), secrets.subarray(0, 72)]), { dkLen: 32 }));
}

async function readSecrets(file: Buffer, path: string, passphrase: string | undefined): Promise<Buffer> {
  const secrets = Buffer.from(file.subarray(SECRETS));
  const kdf = file.toString('latin1', KDF, KDF + 2);
  if (kdf === '\0\0') return secrets;
  if (kdf !== 'Sc') throw invalid(path, `Expected its key derivation to be scrypt or none, got "${kdf}"`);
  if (passphrase === undefined) {
    const hint = 'give the password with --password-file FILE or in TREES_KEY_PASSWORD';
    throw invalid(path, 'it is protected by a password', hint);
  }
  const stream = await deriveStream(file, passphrase, path);
  for (const [index, byte] of stream.entries()) secrets.writeUInt8(secrets.readUInt8(index) ^ byte, index);
  return secrets;
}

/**
 * Reads a secret key file of minisign.
 * @param options.passphrase for a file that is protected by one
 * @throws TreesError KEY_INVALID
 */
export async function readSecretKey(
  path: string,
  options: { passphrase?: string | undefined } = {},
): Promise<SecretKey> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const why = reasonOf(error);
    throw invalid(path, why, '`trees key generate` makes a key pair');
  }
  const line = text.split(/\r?\n/).find((candidate) => candidate !== '' && !candidate.startsWith('untrusted comment:'));
  const file = Buffer.from(line ?? '', 'base64');
  const header = file.toString('latin1', 0, 2) + file.toString('latin1', 4, 6);
  if (file.length !== LENGTH || header !== 'EdB2')
    throw invalid(path, 'Expected a minisign secret key, got something else');
  const secrets = await readSecrets(file, path, options.passphrase);
  const isProtected = file.toString('latin1', KDF, KDF + 2) === 'Sc';
  const sum = secrets.subarray(72);
  // `minisign -W` leaves the checksum out; the public key below shows damage as well.
  const isOmitted = !isProtected && sum.every((byte) => byte === 0);
  if (!isOmitted && !checksum(secrets).equals(sum)) {
    throw isProtected
      ? invalid(path, 'the password is wrong, or the file is damaged', 'give the right password')
      : invalid(path, 'the file is damaged', 'restore it from a copy: nothing can be signed without it');
  }
  const privateKey = privateKeyOf(secrets.subarray(8, 40));
  const key = publicBytes(privateKey);
  if (!key.equals(secrets.subarray(40, 72))) throw invalid(path, 'its public half does not belong to its secret half');
  return { privateKey, public: { id: formatKeyId(secrets.subarray(0, 8)), key: new Uint8Array(key) } };
}

function formatSecretKey(id: Uint8Array, privateKey: KeyObject, comment: string): string {
  const seed = privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(-32);
  const secrets = Buffer.concat([id, seed, publicBytes(privateKey)]);
  const file = Buffer.alloc(LENGTH);
  file.write('Ed', 0);
  file.write('B2', 4);
  secrets.copy(file, SECRETS);
  checksum(secrets).copy(file, SECRETS + 72);
  return `untrusted comment: ${comment}\n${file.toString('base64')}\n`;
}

async function writeKeyFile(path: string, text: string, options: { mode: number; force: boolean }): Promise<void> {
  const target = options.force ? temporaryName(path) : path;
  let made = false;
  try {
    const handle = await open(target, 'wx', options.mode);
    made = true;
    try {
      await handle.chmod(options.mode);
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    if (options.force) await rename(target, path);
  } catch (error) {
    // Half a key would be taken for one, and be in the way of the next try.
    if (made) await rm(target, { force: true });
    if (isErrno(error, 'EEXIST')) {
      throw new TreesError('PATH_CONFLICT', `cannot write the key: ${path} exists`, {
        hint: 'a lost secret key cannot be replaced: choose another name with -o, or --force if it is not needed',
        details: { path },
      });
    }
    throw error;
  }
  await syncDirectory(dirname(path));
}

/** A new key pair that is in no file yet. @returns the key, and its id as the file has it */
export function makeKeyPair(): { readonly id: Uint8Array; readonly key: SecretKey } {
  const { privateKey } = generateKeyPairSync('ed25519');
  const id = randomBytes(8);
  return { id, key: { privateKey, public: { id: formatKeyId(id), key: new Uint8Array(publicBytes(privateKey)) } } };
}

export interface KeyPaths {
  /** Secret key, mode 0600, not protected by a password (as `minisign -W` makes it). */
  readonly secret: string;
  readonly public: string;
}

/**
 * Makes a key pair and writes both files. Unless `force`, neither replaces anything.
 * @param options.comment one line for the head of both files
 * @throws TreesError PATH_CONFLICT if a file exists
 */
export async function generateKeyPair(
  paths: KeyPaths,
  options: { force: boolean; comment?: string | undefined },
): Promise<PublicKey> {
  const made = makeKeyPair();
  const { privateKey, public: key } = made.key;
  await writeKeyFile(
    paths.secret,
    formatSecretKey(made.id, privateKey, options.comment ?? `minisign secret key ${key.id}`),
    { mode: 0o600, force: options.force },
  );
  try {
    await writeKeyFile(paths.public, formatPublicKey(key, options.comment), { mode: 0o644, force: options.force });
  } catch (error) {
    // A secret key alone would be in the way of the next try; nobody can have used it yet.
    if (!options.force) await rm(paths.secret, { force: true });
    throw error;
  }
  return key;
}
