import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { copyFileSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { applyBundle, bundleInfo, createBundle } from '../../trees/delta/index.js';
import {
  assertSameCommit,
  commitTree,
  initRepo,
  noise,
  ostree,
  stockApply,
  type TreeSpec,
  temporaryDirectory,
} from '../support/delta-fixture.js';

const text = 'a line of text that repeats\n'.repeat(4000);
const program = noise(3 << 20, 7);

function edited(bytes: Buffer): Buffer {
  const copy = Buffer.concat([bytes.subarray(0, 1000), Buffer.from('inserted'), bytes.subarray(1000)]);
  copy[500_000] = (copy[500_000] ?? 0) ^ 1;
  return copy;
}

const first: TreeSpec = {
  'usr/': { mode: 0o755 },
  'usr/bin/tool': { content: program, mode: 0o755 },
  'usr/bin/su': { content: 'setuid', mode: 0o4755 },
  'usr/lib/libfoo.so.1.2': { content: noise(300_000, 3) },
  'usr/share/text': { content: text, xattrs: { 'user.note': 'hello' } },
  'usr/share/empty': { content: '' },
  'usr/share/link': { target: '../lib/libfoo.so.1.2' },
  'tmp/': { mode: 0o1777 },
};
const second: TreeSpec = {
  ...first,
  'usr/bin/tool': { content: edited(program), mode: 0o755 },
  'usr/lib/libfoo.so.1.3': { content: edited(noise(340_000, 3)) },
  'usr/share/text': { content: `${text}more\n`, xattrs: { 'user.note': 'hello' } },
  'usr/share/link': { target: '../lib/libfoo.so.1.3' },
  'usr/share/added': { content: noise(50_000, 9), mode: 0o600 },
  'usr/share/moved/text': { content: text, mode: 0o640 },
};

interface Fixture {
  directory: string;
  repo: string;
  v1: string;
  v2: string;
}

function fixture(t: TestContext): Fixture {
  const directory = temporaryDirectory(t);
  const repo = initRepo(join(directory, 'repo'));
  return { directory, repo, v1: commitTree(repo, 'v1', first), v2: commitTree(repo, 'v2', second) };
}

for (const encoding of ['fast', 'small'] as const) {
  test(`${encoding}: stock ostree and trees apply complete bundles and updates alike`, async (t) => {
    const { directory, repo, v1, v2 } = fixture(t);
    const complete = join(directory, 'complete.zst');
    const update = join(directory, 'update.zst');
    await createBundle({ repoPath: repo, to: v1, output: complete, encoding });
    const created = await createBundle({ repoPath: repo, from: v1, to: v2, output: update, encoding });
    assert.ok(created.size < 120_000, `the update has ${created.size} bytes`);

    const stock = initRepo(join(directory, 'stock'));
    stockApply(complete, stock);
    assertSameCommit(stock, repo, v1);
    stockApply(update, stock);
    assertSameCommit(stock, repo, v2);

    for (const mode of ['bare', 'bare-user']) {
      const mine = initRepo(join(directory, mode), mode);
      const applied = await applyBundle({ repoPath: mine, path: complete, ref: 'app/one' });
      assert.equal(applied.to, v1);
      assertSameCommit(mine, repo, v1);
      await applyBundle({ repoPath: mine, path: update, ref: 'app/two' });
      assertSameCommit(mine, repo, v2);
      assert.equal(ostree('rev-parse', `--repo=${mine}`, 'app/one').trim(), v1);
      assert.equal(ostree('rev-parse', `--repo=${mine}`, 'app/two').trim(), v2);
    }
  });
}

test('the result tells the truth about the file, and so does bundleInfo', async (t) => {
  const { directory, repo, v1, v2 } = fixture(t);
  const path = join(directory, 'b.zst');
  const created = await createBundle({ repoPath: repo, from: v1, to: v2, output: path });
  const bytes = readFileSync(path);
  assert.equal(created.size, bytes.length);
  assert.equal(created.sha256, createHash('sha256').update(bytes).digest('hex'));
  const info = await bundleInfo(path);
  assert.equal(info.from, v1);
  assert.equal(info.to, v2);
  assert.equal(info.encoding, 'fast');
  assert.equal(info.size, created.size);
  assert.equal(info.rawSize, created.rawSize);
  assert.equal(info.writes, created.writes);
  assert.equal(info.objects, created.objects);
  assert.equal(info.parts.length, created.parts);
  assert.equal(info.commit.subject, 'v2');
  assert.equal(info.commit.timestamp, Date.parse('2025-01-02T03:04:05Z') / 1000);
  assert.equal(createHash('sha256').update(info.commitBytes).digest('hex'), v2);
  assert.equal(info.parts.flatMap((part) => part.objects).length, info.objects);
  for (const part of info.parts) assert.ok(part.offset + part.compressedSize <= info.size);
});

test('the bytes do not depend on the number of threads', async (t) => {
  const { directory, repo, v1, v2 } = fixture(t);
  const digests = new Set<string>();
  for (const threads of [1, 2, 5]) {
    const output = join(directory, `t${threads}.zst`);
    const { sha256 } = await createBundle({ repoPath: repo, from: v1, to: v2, output, threads });
    digests.add(sha256);
  }
  assert.equal(digests.size, 1);
  assert.deepEqual(
    readdirSync(directory).filter((name) => name.endsWith('.tmp')),
    [],
  );
});

test('stock inline deltas apply, with bsdiff and with rollsum', async (t) => {
  const { directory, repo, v1, v2 } = fixture(t);
  const mine = initRepo(join(directory, 'mine'));
  const deltas = [
    ['--empty', `--to=${v1}`],
    [`--from=${v1}`, `--to=${v2}`],
  ];
  for (const [index, commits] of deltas.entries()) {
    const path = join(directory, `stock${index}`);
    ostree(
      'static-delta',
      'generate',
      `--repo=${repo}`,
      ...commits,
      '--inline',
      '--min-fallback-size=0',
      `--filename=${path}`,
    );
    const info = await bundleInfo(path);
    assert.equal(info.encoding, 'stock');
    assert.equal(info.size, statSync(path).size);
    await applyBundle({ repoPath: mine, path, ref: `v${index}` });
  }
  assertSameCommit(mine, repo, v1);
  assertSameCommit(mine, repo, v2);
});

test('the byte-swapped deltas of another machine apply as well', async (t) => {
  const { directory, repo, v1 } = fixture(t);
  const path = join(directory, 'swapped');
  ostree(
    'static-delta',
    'generate',
    `--repo=${repo}`,
    '--empty',
    `--to=${v1}`,
    '--inline',
    '--min-fallback-size=0',
    '--swap-endianness',
    `--filename=${path}`,
  );
  const mine = initRepo(join(directory, 'mine'));
  await applyBundle({ repoPath: mine, path, ref: 'v1' });
  assertSameCommit(mine, repo, v1);
});

test('signatures travel with the commit and are seen before anything is written', async (t) => {
  const { directory, repo, v1 } = fixture(t);
  const { Repo, variant } = await import('../../trees/ostree/index.js');
  const signature = new Uint8Array(64).fill(7);
  using original = await Repo.open(repo);
  await original.writeDetachedMetadata(v1, { 'ostree.sign.ed25519': variant('aay', [signature]) });
  const path = join(directory, 'signed.zst');
  await createBundle({ repoPath: repo, to: v1, output: path });

  const mine = initRepo(join(directory, 'mine'));
  const refusal = new Error('not signed by a trusted key');
  await assert.rejects(
    applyBundle({
      repoPath: mine,
      path,
      ref: 'v1',
      verifyCommit: () => {
        throw refusal;
      },
    }),
    refusal,
  );
  assert.equal(ostree('refs', `--repo=${mine}`), '');
  let seen: unknown;
  await applyBundle({
    repoPath: mine,
    path,
    ref: 'v1',
    verifyCommit: (bytes, detached) => {
      assert.equal(createHash('sha256').update(bytes).digest('hex'), v1);
      seen = detached?.['ostree.sign.ed25519']?.value;
    },
  });
  assert.deepEqual(seen, [Uint8Array.from(signature)]);
  const stock = initRepo(join(directory, 'stock'));
  stockApply(path, stock);
  for (const copy of [mine, stock]) {
    using opened = await Repo.open(copy);
    const metadata = await opened.readDetachedMetadata(v1);
    const value = metadata?.['ostree.sign.ed25519']?.value;
    assert.ok(Array.isArray(value) && value[0] instanceof Uint8Array);
    assert.deepEqual(new Uint8Array(value[0]), signature);
  }
});

test('an update without new objects is a bundle too', async (t) => {
  const directory = temporaryDirectory(t);
  const repo = initRepo(join(directory, 'repo'));
  const v1 = commitTree(repo, 'one', first);
  const v2 = commitTree(repo, 'two', first);
  assert.notEqual(v1, v2);
  const path = join(directory, 'b.zst');
  const { parts } = await createBundle({ repoPath: repo, from: v1, to: v2, output: path });
  assert.equal(parts, 0);
  const base = join(directory, 'base.zst');
  await createBundle({ repoPath: repo, to: v1, output: base });
  const mine = initRepo(join(directory, 'mine'));
  const stock = initRepo(join(directory, 'stock'));
  for (const bundle of [base, path]) {
    await applyBundle({ repoPath: mine, path: bundle, ref: 'app' });
    stockApply(bundle, stock);
  }
  assertSameCommit(mine, repo, v2);
  assertSameCommit(stock, repo, v2);
});

test('a tree whose files are all empty applies with stock ostree as well', async (t) => {
  const directory = temporaryDirectory(t);
  const repo = initRepo(join(directory, 'repo'));
  const commit = commitTree(repo, 'one', { a: { content: '' }, b: { content: '', mode: 0o600 } });
  const path = join(directory, 'b.zst');
  await createBundle({ repoPath: repo, to: commit, output: path });
  const stock = initRepo(join(directory, 'stock'));
  stockApply(path, stock);
  assertSameCommit(stock, repo, commit);
});

test('applying twice writes nothing the second time', async (t) => {
  const { directory, repo, v1 } = fixture(t);
  const path = join(directory, 'b.zst');
  await createBundle({ repoPath: repo, to: v1, output: path });
  const copy = join(directory, 'copy.zst');
  copyFileSync(path, copy);
  const mine = initRepo(join(directory, 'mine'));
  const one = await applyBundle({ repoPath: mine, path, ref: 'a' });
  const two = await applyBundle({ repoPath: mine, path: copy, ref: 'b' });
  assert.ok(one.objectsWritten > 8 && one.bytesWritten > 3 << 20);
  assert.equal(two.objectsWritten, 0);
  assert.equal(two.bytesWritten, 0);
  assert.equal(ostree('rev-parse', `--repo=${mine}`, 'b').trim(), v1);
});
