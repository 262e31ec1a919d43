import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { reasonOf, TreesError } from '../errors.js';
import { type PublicKey, parsePublicKey } from './minisign.js';

/** A base64 public key line is this long and, as every one begins with the bytes "Ed", starts with "RW". */
const KEY_LINE = /^RW[A-Za-z0-9+/]{53}[A-Za-z0-9+/=]$/;

/**
 * The key that `--key` means: the base64 line itself or a `.pub` file.
 * @throws TreesError KEY_INVALID
 */
export async function readKeyOption(value: string, cwd: string): Promise<PublicKey> {
  if (KEY_LINE.test(value)) return parsePublicKey(value, '--key');
  const path = resolve(cwd, value);
  try {
    return parsePublicKey(await readFile(path, 'utf8'), path);
  } catch (error) {
    if (error instanceof TreesError) throw error;
    const why = reasonOf(error);
    throw new TreesError('KEY_INVALID', `cannot read the key ${value}: ${why}`, {
      hint: '--key takes a public key ("RW…") or the file it is in',
      cause: error,
    });
  }
}
