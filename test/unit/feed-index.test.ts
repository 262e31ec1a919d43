import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, it } from 'node:test';
import { formatSignature, globalSignedBytes, type PublicKey, signedBytes } from '../../trees/feed/minisign.js';
import type { FeedIndex } from '../../trees/feed/schema.js';
import { type SeenIndex, type VerifyOptions, verifyIndex } from '../../trees/feed/verify-index.js';
import { appVersion, bundle, checksum, failsWith, makeIndex } from '../support/feed-fixture.js';

const { publicKey, privateKey } = generateKeyPairSync('ed25519');
const key: PublicKey = {
  id: '0123456789ABCDEF',
  key: new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }).subarray(-32)),
};

function signed(index: unknown): { index: Buffer; signature: string } {
  const bytes = Buffer.isBuffer(index) ? index : Buffer.from(JSON.stringify(index));
  const signature = sign(null, signedBytes(bytes, 'ED'), privateKey);
  const globalSignature = sign(null, globalSignedBytes(signature, 'c'), privateKey);
  const parts = { keyId: key.id, algorithm: 'ED' as const, signature, trustedComment: 'c', globalSignature };
  return { index: bytes, signature: formatSignature(parts, 'test') };
}

const options: VerifyOptions = {
  keys: [key],
  seen: undefined,
  now: new Date('2026-06-01T00:00:00Z'),
  origin: 'dir:/feed',
};

function refuses(index: unknown, code: string, message?: RegExp): void {
  assert.throws(() => verifyIndex(signed(index), options), failsWith(code, message));
}

describe('verifyIndex', () => {
  it('accepts a signed index', () => {
    const verified = verifyIndex(signed(makeIndex()), options);
    assert.deepEqual(verified.index, makeIndex());
    assert.equal(verified.signedBy, key);
    assert.equal(verified.stale, false);
    assert.equal(verified.seen.sequence, 5);
  });

  it('refuses an unsigned index', () => {
    const { index } = signed(makeIndex());
    assert.throws(() => verifyIndex({ index, signature: undefined }, options), failsWith('FEED_UNTRUSTED'));
  });

  it('refuses a key that is not trusted', () => {
    const input = signed(makeIndex());
    assert.throws(() => verifyIndex(input, { ...options, keys: [] }), failsWith('FEED_UNTRUSTED'));
    const other = { id: 'FFFFFFFFFFFFFFFF', key: key.key };
    assert.throws(() => verifyIndex(input, { ...options, keys: [other] }), failsWith('FEED_UNTRUSTED'));
  });

  it('refuses every changed byte, before it parses any', () => {
    const { index, signature } = signed(makeIndex());
    for (let position = 0; position < index.length; position += 97) {
      const changed = Buffer.from(index);
      changed.writeUInt8(changed.readUInt8(position) ^ 1, position);
      assert.throws(() => verifyIndex({ index: changed, signature }, options), failsWith('SIGNATURE_INVALID'));
    }
    assert.throws(
      () => verifyIndex({ index: index.subarray(0, -1), signature }, options),
      failsWith('SIGNATURE_INVALID'),
    );
  });

  it('refuses an expired index unless stale ones are allowed', () => {
    const input = signed(makeIndex({ expires: '2026-05-31T23:59:59Z' }));
    assert.throws(() => verifyIndex(input, options), failsWith('INDEX_EXPIRED', /2026-05-31/));
    assert.equal(verifyIndex(input, { ...options, allowStale: true }).stale, true);
    const justThen = signed(makeIndex({ expires: '2026-06-01T00:00:00Z' }));
    assert.throws(() => verifyIndex(justThen, options), failsWith('INDEX_EXPIRED'));
  });

  it('refuses to go back', () => {
    const { seen } = verifyIndex(signed(makeIndex()), options);
    const withSeen = (index: FeedIndex, known: SeenIndex = seen) =>
      verifyIndex(signed(index), { ...options, seen: known });
    assert.equal(withSeen(makeIndex()).seen.sequence, 5);
    assert.equal(withSeen(makeIndex({ sequence: 6 })).seen.sequence, 6);
    assert.throws(() => withSeen(makeIndex({ sequence: 4 })), failsWith('INDEX_REPLAYED', /sequence is 4.* 5 /));
    assert.throws(
      () => withSeen(makeIndex({ created: '2026-01-02T00:00:00Z' })),
      failsWith('INDEX_REPLAYED', /other contents/),
    );
    assert.throws(
      () => withSeen(makeIndex({ feed: 'another', sequence: 9 })),
      failsWith('INDEX_REPLAYED', /"another"/),
    );
  });

  it('refuses a replayed index even if stale ones are allowed', () => {
    const { seen } = verifyIndex(signed(makeIndex()), options);
    const input = signed(makeIndex({ sequence: 1, expires: '2026-02-01T00:00:00Z' }));
    assert.throws(() => verifyIndex(input, { ...options, seen, allowStale: true }), failsWith('INDEX_REPLAYED'));
  });

  it('names the place of what is malformed', () => {
    refuses(Buffer.from('{'), 'INDEX_INVALID', /document: Expected JSON/);
    refuses(Buffer.from([0x22, 0xff, 0x22]), 'INDEX_INVALID', /document/);
    refuses([], 'INDEX_INVALID');
    refuses({ ...makeIndex(), schema: 2 }, 'INDEX_INVALID', /schema/);
    refuses({ ...makeIndex(), sequence: 0 }, 'INDEX_INVALID', /sequence/);
    refuses({ ...makeIndex(), sequence: 1.5 }, 'INDEX_INVALID', /sequence/);
    refuses({ ...makeIndex(), surprise: true }, 'INDEX_INVALID', /surprise/);
    refuses({ ...makeIndex(), expires: 'soon' }, 'INDEX_INVALID', /expires/);
    refuses({ ...makeIndex(), expires: '2025-01-01T00:00:00Z' }, 'INDEX_INVALID', /expires/);
    const app = { ...appVersion('1.0.0'), commit: 'nonsense' };
    refuses(
      { ...makeIndex(), apps: { etcd: { summary: '', versions: [app] } } },
      'INDEX_INVALID',
      /apps\.etcd\.versions\[0\]\.commit/,
    );
    refuses({ ...makeIndex(), apps: { '../etcd': { summary: '', versions: [] } } }, 'INDEX_INVALID', /apps/);
  });

  it('refuses names that could leave the directory of the feed', () => {
    for (const file of ['../x', 'a/b', '.hidden', '', 'a\u0000b', 'x'.repeat(300)]) {
      const entry = bundle(null, checksum('app 3.6.0 x86_64'), { file });
      refuses({ ...makeIndex(), bundles: [entry] }, 'INDEX_INVALID', /bundles\[0\]\.file/);
    }
    const entry = bundle(null, checksum('app 3.6.0 x86_64'), { release: '../../other/repo' });
    refuses({ ...makeIndex(), bundles: [entry] }, 'INDEX_INVALID', /bundles\[0\]\.release/);
  });

  it('refuses parts that do not belong together', () => {
    const etcd = (...versions: ReturnType<typeof appVersion>[]) => ({ apps: { etcd: { summary: '', versions } } });
    refuses(makeIndex(etcd(appVersion('1.0.0'), appVersion('1.0.0'))), 'INDEX_INVALID', /versions\[1\].*twice/);
    refuses(makeIndex(etcd(appVersion('1.0.0', { name: 'trub' }))), 'INDEX_INVALID', /no base called "trub"/);
    refuses(makeIndex(etcd(appVersion('1.0.0', { name: 'constructor' }))), 'INDEX_INVALID', /no base called/);
    refuses(makeIndex(etcd(appVersion('1.0.0', {}, 'aarch64'))), 'INDEX_INVALID', /no version for aarch64/);
    refuses(makeIndex(etcd(appVersion('1.0.0', { range: 'new' }))), 'INDEX_INVALID', /range: Expected a semver range/);
    refuses(makeIndex(etcd(appVersion('01.0.0'))), 'INDEX_INVALID', /semantic version/);
    refuses(makeIndex({ bundles: [bundle(null, checksum('unknown'))] }), 'INDEX_INVALID', /bundles\[0\]\.to/);
    const to = checksum('app 3.6.0 x86_64');
    refuses(makeIndex({ bundles: [bundle(to, to)] }), 'INDEX_INVALID', /itself/);
    const file = 'same.zst';
    const twice = [bundle(null, to, { file }), bundle(checksum('x'), to, { file })];
    refuses(makeIndex({ bundles: twice }), 'INDEX_INVALID', /two digests/);
  });

  it('takes bundles in pieces that add up, and tails that are part of the bundle', () => {
    const to = checksum('app 3.6.0 x86_64');
    const pieces = [1, 2, 3].map((size) => ({ file: `b.${size}`, size, sha256: checksum(`piece ${size}`) }));
    const withBundle = (changes: object): FeedIndex =>
      makeIndex({ bundles: [bundle(null, to, { size: 6, ...changes })] });
    const { index } = verifyIndex(signed(withBundle({ pieces, tail: 6 })), options);
    assert.deepEqual(index.bundles[0]?.pieces, pieces);
    refuses(withBundle({ pieces, size: 7 }), 'INDEX_INVALID', /bundles\[0\]\.pieces: Expected 7 bytes in all, got 6/);
    refuses(withBundle({ pieces: pieces.slice(2) }), 'INDEX_INVALID', /pieces/);
    refuses(withBundle({ pieces: [{ ...pieces[0], size: 0 }, ...pieces] }), 'INDEX_INVALID', /size/);
    refuses(
      withBundle({ pieces: [{ ...pieces[0], file: '../x' }, ...pieces.slice(1)] }),
      'INDEX_INVALID',
      /plain file/,
    );
    refuses(
      withBundle({ pieces: [{ ...pieces[0], file: 'b.2' }, ...pieces.slice(1)] }),
      'INDEX_INVALID',
      /two digests/,
    );
    refuses(withBundle({ tail: 7 }), 'INDEX_INVALID', /tail/);
    refuses(withBundle({ tail: 0 }), 'INDEX_INVALID', /tail/);
  });

  it('accepts the same version for two architectures', () => {
    const arm = { ...makeIndex().bases['deb']?.versions[0], arch: 'aarch64', commit: checksum('arm') };
    const versions = [...(makeIndex().bases['deb']?.versions ?? []), arm];
    assert.doesNotThrow(() =>
      verifyIndex(signed({ ...makeIndex(), bases: { deb: { summary: '', versions } } }), options),
    );
  });
});
