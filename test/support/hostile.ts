import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { signCommit } from '../../releases/sign.js';
import { type Checksum, Repo } from '../../trees/ostree/index.js';
import type { StoreFixture } from './store-fixture.js';

/**
 * Writes a commit that no tool would make: a copy of one with a name in its directories replaced. Signed as the publisher
 * signs.
 * @param from a name that occurs in the tree @param to bytes of the same length
 */
export async function renameInCommit(
  fixture: StoreFixture,
  commit: Checksum,
  { from, to }: { from: string; to: string },
): Promise<Checksum> {
  assert.equal(Buffer.byteLength(from), Buffer.byteLength(to));
  const { publisher, feed } = fixture;
  using repo = await Repo.open(publisher.repo);
  const path = (checksum: Checksum, type: string): string =>
    join(publisher.repo, 'objects', checksum.slice(0, 2), `${checksum.slice(2)}.${type}`);
  const write = (bytes: Buffer, type: string): Checksum => {
    const checksum = createHash('sha256').update(bytes).digest('hex');
    mkdirSync(dirname(path(checksum, type)), { recursive: true });
    writeFileSync(path(checksum, type), bytes);
    return checksum;
  };
  const rewrite = async (tree: Checksum): Promise<Checksum> => {
    let bytes = readFileSync(path(tree, 'dirtree'));
    for (const { tree: child } of (await repo.readDirTree(tree)).dirs) {
      bytes = replace(bytes, Buffer.from(child, 'hex'), Buffer.from(await rewrite(child), 'hex'));
    }
    return write(replace(bytes, Buffer.from(`${from}\0`), Buffer.from(`${to}\0`)), 'dirtree');
  };
  const { rootTree } = await repo.readCommit(commit);
  const root = await rewrite(rootTree);
  assert.notEqual(root, rootTree, `${from} is in the tree`);
  const old = readFileSync(path(commit, 'commit'));
  const evil = write(replace(old, Buffer.from(rootTree, 'hex'), Buffer.from(root, 'hex')), 'commit');
  await repo.writeDetachedMetadata(evil, signCommit(await repo.readCommitBytes(evil), undefined, feed.key));
  return evil;
}

/** Replaces every occurrence by as many bytes. */
export function replace(bytes: Buffer, from: Buffer, to: Buffer): Buffer<ArrayBuffer> {
  const result = Buffer.from(bytes);
  for (let at = result.indexOf(from); at >= 0; at = result.indexOf(from, at + to.length)) to.copy(result, at);
  return result;
}

/**
 * Changes bytes inside the parts of a plain inline delta whose parts are stored raw, and makes the parts' checksums right
 * again: only what the part says is wrong then.
 */
export function changeParts(delta: Buffer, from: Buffer, to: Buffer): Buffer {
  let result = Buffer.from(delta);
  const type = Buffer.from('\0(yay)');
  for (let end = result.indexOf(type); end >= 0; end = result.indexOf(type, end + 1)) {
    const key = result.lastIndexOf('deltas/', end);
    const start = Math.ceil((result.indexOf(0, key) + 1) / 8) * 8;
    const part = result.subarray(start, end);
    const digest = (bytes: Buffer): Buffer => createHash('sha256').update(bytes).digest();
    const before = digest(part);
    replace(part, from, to).copy(result, start);
    result = replace(result, before, digest(result.subarray(start, end)));
  }
  return result;
}
