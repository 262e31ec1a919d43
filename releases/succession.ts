import { readFile } from 'node:fs/promises';
import { reasonOf, TreesError } from '../trees/errors.js';
import { feedFile } from '../trees/feed/feed.js';
import type { PublicKey } from '../trees/feed/minisign.js';
import {
  formatStatement,
  isSameKey,
  MAX_CHAIN,
  predecessorsOf,
  type SignedSuccession,
  type Succession,
} from '../trees/feed/succession.js';
import type { SecretKey } from './key-file.js';
import { signFile } from './sign.js';

/** @throws TreesError KEY_INVALID */
export async function readSuccessorsFile(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new TreesError('KEY_INVALID', `cannot read ${path}: ${reasonOf(error)}`, {
      hint: '`trees key rotate` writes it',
      cause: error,
    });
  }
}

/** A statement that one key succeeds another, signed by both. */
export function signSuccession(
  feed: string,
  { old, next, now }: { readonly old: SecretKey; readonly next: SecretKey; readonly now: Date },
): SignedSuccession {
  const statement = formatStatement({ feed, from: old.public, to: next.public, created: now.toISOString() });
  const message = Buffer.from(statement);
  const options = { file: feedFile.successors, sequence: 0, now };
  return { statement, oldSignature: signFile(message, old, options), newSignature: signFile(message, next, options) };
}

/**
 * Refuses what would lead nowhere, or not to one key.
 * @throws TreesError KEY_INVALID
 */
export function checkSuccession(
  successions: readonly Succession[],
  { feed, from, to }: { feed: string; from: PublicKey; to: PublicKey },
): void {
  const fail = (why: string, hint: string): TreesError =>
    new TreesError('KEY_INVALID', `cannot let key ${to.id} succeed ${from.id}: ${why}`, { hint });
  const before = predecessorsOf(successions, { key: from, feed });
  if ([from, ...before].some((key) => isSameKey(key, to))) {
    throw fail('it is that key or one before it', 'make a new key: trees key generate');
  }
  const other = successions.find((one) => one.feed === feed && isSameKey(one.from, from));
  if (other !== undefined) {
    throw fail(`that has named ${other.to.id} already`, `sign with ${other.to.id}, or let that name the next one`);
  }
  if (before.length + 1 >= MAX_CHAIN) {
    throw fail(
      `a feed can have ${MAX_CHAIN} keys, one after the other`,
      'start a new feed, and tell its users the new key',
    );
  }
}
