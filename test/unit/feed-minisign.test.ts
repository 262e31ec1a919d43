import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { generateKeyPair, readSecretKey, scryptParameters } from '../../releases/key-file.js';
import { signCommit, signFile } from '../../releases/sign.js';
import { TreesError } from '../../trees/errors.js';
import { commitSignatures, verifyCommitSignature } from '../../trees/feed/commit-signature.js';
import {
  encodePublicKey,
  fingerprint,
  formatPublicKey,
  parsePublicKey,
  parseSignature,
  verifyMinisign,
} from '../../trees/feed/minisign.js';

const hasMinisign = spawnSync('minisign', ['-v']).error === undefined;
const skip = hasMinisign ? false : 'minisign is not installed';
const code = (expected: string) => (error: unknown) => error instanceof TreesError && error.code === expected;
const signing = { file: 'index.json', sequence: 7, now: new Date('2026-01-02T03:04:05Z') };

let dir: string;
const at = (name: string): string => join(dir, name);

function minisign(args: readonly string[], input = ''): { status: number | null; stdout: string; stderr: string } {
  return spawnSync('minisign', args, { cwd: dir, input, encoding: 'utf8' });
}

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'trees-minisign-'));
  await generateKeyPair({ secret: at('ours.key'), public: at('ours.pub') }, { force: false });
  await writeFile(at('index.json'), '{"some":"bytes"}\n');
});
after(async () => {
  await rm(dir, { recursive: true, force: true });
});

describe('key files', () => {
  it('writes the secret key readable by the owner alone', async () => {
    assert.equal((await stat(at('ours.key'))).mode & 0o777, 0o600);
    assert.equal((await stat(at('ours.pub'))).mode & 0o777, 0o644);
  });

  it('does not replace a key, and leaves no half of a pair', async () => {
    const before = await readFile(at('ours.key'));
    await assert.rejects(
      generateKeyPair({ secret: at('ours.key'), public: at('x.pub') }, { force: false }),
      code('PATH_CONFLICT'),
    );
    assert.deepEqual(await readFile(at('ours.key')), before);
    await assert.rejects(
      generateKeyPair({ secret: at('x.key'), public: at('ours.pub') }, { force: false }),
      code('PATH_CONFLICT'),
    );
    await assert.rejects(stat(at('x.key')), { code: 'ENOENT' });
  });

  it('replaces a pair when forced, keeping the modes', async () => {
    const paths = { secret: at('forced.key'), public: at('forced.pub') };
    const first = await generateKeyPair(paths, { force: false });
    const second = await generateKeyPair(paths, { force: true });
    assert.notEqual(first.id, second.id);
    assert.equal((await readSecretKey(paths.secret)).public.id, second.id);
    assert.equal((await stat(paths.secret)).mode & 0o777, 0o600);
  });

  it('reads what it wrote, and the two files belong together', async () => {
    const secret = await readSecretKey(at('ours.key'));
    const key = parsePublicKey(await readFile(at('ours.pub'), 'utf8'), 'ours.pub');
    assert.deepEqual(secret.public, key);
    assert.deepEqual(parsePublicKey(encodePublicKey(key), 'line'), key);
    assert.equal(formatPublicKey(key), await readFile(at('ours.pub'), 'utf8'));
    assert.match(fingerprint(key), /^SHA256:[A-Za-z0-9+/]{43}$/);
  });

  it('notices a damaged secret key', async () => {
    const [comment, line = ''] = (await readFile(at('ours.key'), 'utf8')).split('\n');
    for (const position of [70, 100, 150]) {
      const bytes = Buffer.from(line, 'base64');
      bytes.writeUInt8(bytes.readUInt8(position) ^ 1, position);
      await writeFile(at('damaged.key'), `${comment}\n${bytes.toString('base64')}\n`);
      await assert.rejects(readSecretKey(at('damaged.key')), code('KEY_INVALID'));
    }
    await assert.rejects(readSecretKey(at('ours.pub')), code('KEY_INVALID'));
    await assert.rejects(readSecretKey(at('none.key')), code('KEY_INVALID'));
  });

  it('rejects what is not a public key', () => {
    for (const text of ['', 'RWS', 'untrusted comment: x\n', 'A'.repeat(56), 'RWQ\nRWQ']) {
      assert.throws(() => parsePublicKey(text, '--key'), code('KEY_INVALID'));
    }
  });

  it("derives scrypt's parameters as libsodium does", () => {
    // crypto_pwhash_scryptsalsa208sha256: OPSLIMIT/MEMLIMIT INTERACTIVE and SENSITIVE.
    assert.deepEqual(scryptParameters(524288n, 16777216n), { N: 2 ** 14, r: 8, p: 1 });
    assert.deepEqual(scryptParameters(33554432n, 1073741824n), { N: 2 ** 20, r: 8, p: 1 });
  });
});

describe('signatures', () => {
  it('verifies what it signed and refuses everything else', async () => {
    const secret = await readSecretKey(at('ours.key'));
    const other = await generateKeyPair({ secret: at('o.key'), public: at('o.pub') }, { force: true });
    const message = Buffer.from('message');
    const text = signFile(message, secret, signing);
    const signature = parseSignature(text, 'sig');
    const what = 'the file';
    assert.equal(signature.trustedComment, 'timestamp:1767323045\tfile:index.json\tsequence:7');
    assert.equal(verifyMinisign(message, signature, { keys: [other, secret.public], what }), secret.public);
    assert.throws(() => verifyMinisign(message, signature, { keys: [], what }), code('FEED_UNTRUSTED'));
    assert.throws(() => verifyMinisign(message, signature, { keys: [other], what }), code('FEED_UNTRUSTED'));
    const tampered = Buffer.from('massage');
    assert.throws(
      () => verifyMinisign(tampered, signature, { keys: [secret.public], what }),
      code('SIGNATURE_INVALID'),
    );
    // A key with the same id: ids are chosen freely, so they must not decide anything.
    const impostor = { id: secret.public.id, key: other.key };
    assert.throws(() => verifyMinisign(message, signature, { keys: [impostor], what }), code('SIGNATURE_INVALID'));
    assert.equal(verifyMinisign(message, signature, { keys: [impostor, secret.public], what }).key, secret.public.key);
    const comment = parseSignature(text.replace('sequence:7', 'sequence:9'), 'sig');
    assert.throws(() => verifyMinisign(message, comment, { keys: [secret.public], what }), code('SIGNATURE_INVALID'));
    const relabelled = { ...signature, algorithm: 'Ed' as const };
    assert.throws(
      () => verifyMinisign(message, relabelled, { keys: [secret.public], what }),
      code('SIGNATURE_INVALID'),
    );
  });

  it('rejects malformed signature files', async () => {
    const text = signFile(Buffer.from('m'), await readSecretKey(at('ours.key')), signing);
    const lines = text.split('\n');
    const broken = [
      '',
      text.slice(0, 100),
      lines.slice(1).join('\n'),
      text.replace('trusted comment: timestamp', 'timestamp'),
      `${text}more\n`,
      [lines[0], lines[1]?.slice(4), ...lines.slice(2)].join('\n'),
      [lines[0], `${lines[1]?.slice(0, -4)}!!!=`, ...lines.slice(2)].join('\n'),
    ];
    for (const candidate of broken) assert.throws(() => parseSignature(candidate, 'sig'), code('SIGNATURE_INVALID'));
  });

  it('signs commits the way libostree stores it', async () => {
    const secret = await readSecretKey(at('ours.key'));
    const other = await generateKeyPair({ secret: at('o.key'), public: at('o.pub') }, { force: true });
    const commit = Buffer.from('commit bytes');
    const options = { keys: [secret.public], checksum: 'f'.repeat(64) };
    const kept = { 'ostree.gpgsigs': { type: 'aay', value: [] } };
    const metadata = signCommit(commit, kept, secret);
    assert.equal(metadata['ostree.gpgsigs'], kept['ostree.gpgsigs']);
    assert.equal(verifyCommitSignature(commit, metadata, options), secret.public);
    assert.equal(signCommit(commit, metadata, secret), metadata);
    const both = signCommit(commit, metadata, await readSecretKey(at('o.key')));
    assert.equal(commitSignatures(both).length, 2);
    assert.equal(verifyCommitSignature(commit, both, { ...options, keys: [other] }), other);
    assert.throws(() => verifyCommitSignature(commit, undefined, options), code('FEED_UNTRUSTED'));
    assert.throws(() => verifyCommitSignature(commit, kept, options), code('FEED_UNTRUSTED'));
    assert.throws(() => verifyCommitSignature(Buffer.from('other'), metadata, options), code('SIGNATURE_INVALID'));
    assert.throws(
      () => verifyCommitSignature(commit, metadata, { ...options, keys: [other] }),
      code('SIGNATURE_INVALID'),
    );
  });
});

describe('with the minisign program', { skip }, () => {
  it('verifies our signatures', async () => {
    const message = await readFile(at('index.json'));
    await writeFile(at('index.json.minisig'), signFile(message, await readSecretKey(at('ours.key')), signing));
    const good = minisign(['-V', '-m', 'index.json', '-p', 'ours.pub']);
    assert.equal(good.status, 0, good.stderr);
    assert.match(good.stdout, /sequence:7/);
    await writeFile(at('tampered'), 'x');
    assert.notEqual(minisign(['-V', '-m', 'tampered', '-x', 'index.json.minisig', '-p', 'ours.pub']).status, 0);
  });

  it('signs with our secret key', async () => {
    const signed = minisign(['-S', '-W', '-m', 'index.json', '-s', 'ours.key', '-x', 'theirs.minisig', '-t', 'hello']);
    assert.equal(signed.status, 0, signed.stderr);
    const signature = parseSignature(await readFile(at('theirs.minisig'), 'utf8'), 'theirs.minisig');
    const { public: key } = await readSecretKey(at('ours.key'));
    assert.equal(signature.trustedComment, 'hello');
    assert.equal(verifyMinisign(await readFile(at('index.json')), signature, { keys: [key], what: 'x' }), key);
  });

  it('makes keys and signatures that we read: prehashed and legacy', async () => {
    assert.equal(minisign(['-G', '-W', '-f', '-p', 't.pub', '-s', 't.key']).status, 0);
    const key = parsePublicKey(await readFile(at('t.pub'), 'utf8'), 't.pub');
    const message = await readFile(at('index.json'));
    for (const [flags, algorithm] of [
      [[], 'ED'],
      [['-l'], 'Ed'],
    ] as const) {
      assert.equal(minisign(['-S', ...flags, '-m', 'index.json', '-s', 't.key', '-x', 't.minisig']).status, 0);
      const signature = parseSignature(await readFile(at('t.minisig'), 'utf8'), 't.minisig');
      assert.equal(signature.algorithm, algorithm);
      assert.equal(verifyMinisign(message, signature, { keys: [key], what: 'x' }), key);
      assert.throws(() => verifyMinisign(Buffer.from('x'), signature, { keys: [key], what: 'x' }));
    }
    const secret = await readSecretKey(at('t.key'));
    assert.deepEqual(secret.public, key);
    await writeFile(at('index.json.minisig'), signFile(message, secret, signing));
    assert.equal(minisign(['-V', '-m', 'index.json', '-p', 't.pub']).status, 0);
  });

  it('reads keys protected by a password', async () => {
    const made = minisign(['-G', '-f', '-p', 'p.pub', '-s', 'p.key'], 'correct horse\ncorrect horse\n');
    assert.equal(made.status, 0, made.stderr);
    const secret = await readSecretKey(at('p.key'), { passphrase: 'correct horse' });
    assert.deepEqual(secret.public, parsePublicKey(await readFile(at('p.pub'), 'utf8'), 'p.pub'));
    await assert.rejects(readSecretKey(at('p.key'), { passphrase: 'wrong' }), /password is wrong/);
    await assert.rejects(readSecretKey(at('p.key')), /protected by a password/);
  });
});
