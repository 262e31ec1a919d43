import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  applyBundle,
  type BundleProgress,
  bundleInfo,
  type CreatedBundle,
  createBundle,
} from '../../trees/delta/index.js';
import {
  assertSameCommit,
  commitTree,
  initRepo,
  noise,
  stockApply,
  type TreeSpec,
  temporaryDirectory,
} from '../support/delta-fixture.js';

const ZSTD_MAGIC = 0xfd2fb528;

interface Update {
  readonly directory: string;
  readonly repo: string;
  readonly from: string;
  readonly to: string;
}

function update(t: TestContext, first: TreeSpec, second: TreeSpec): Update {
  const directory = temporaryDirectory(t);
  const repo = initRepo(join(directory, 'repo'));
  return { directory, repo, from: commitTree(repo, 'v1', first), to: commitTree(repo, 'v2', second) };
}

type Options = Partial<Parameters<typeof createBundle>[0]>;

async function make(
  { directory, repo, from, to }: Update,
  name: string,
  options: Options = {},
): Promise<CreatedBundle & { path: string }> {
  const path = join(directory, name);
  return { ...(await createBundle({ repoPath: repo, from, to, output: path, ...options })), path };
}

/** Both programs bring the receiver from the first commit to the second. */
async function assertArrives({ directory, repo, from, to }: Update, path: string): Promise<void> {
  const base = join(directory, 'base');
  await createBundle({ repoPath: repo, to: from, output: base, quick: true });
  const mine = initRepo(join(directory, 'mine'));
  const stock = initRepo(join(directory, 'stock'));
  for (const bundle of [base, path]) {
    await applyBundle({ repoPath: mine, path: bundle, ref: 'app' });
    stockApply(bundle, stock);
  }
  for (const copy of [mine, stock]) assertSameCommit(copy, repo, to);
}

/** `bytes` with some flipped, some inserted and some removed, far from one another. */
function edited(bytes: Buffer): Buffer {
  const third = Math.floor(bytes.length / 3);
  const copy = Buffer.from(bytes);
  for (const at of [100, third, third + 9, 2 * third]) copy[at] = (copy[at] ?? 0) ^ 0x55;
  return Buffer.concat([copy.subarray(0, third), Buffer.from('inserted'), copy.subarray(third, -500)]);
}

for (const { encoding, quick } of [
  { encoding: 'fast', quick: false },
  { encoding: 'fast', quick: true },
  { encoding: 'small', quick: false },
] as const) {
  test(`${encoding}${quick ? ', quick' : ''}: a file is recognised under another name and in another directory`, async (t) => {
    const library = noise(400_000, 11);
    const program = noise(500_000, 12);
    const page = noise(200_000, 13);
    const pair = update(
      t,
      {
        'usr/lib/libfoo.so.1.2': { content: library },
        'usr/bin/first-name': { content: program, mode: 0o755 },
        'usr/share/page': { content: page },
        'usr/share/unlike': { content: noise(300_000, 14) },
      },
      {
        'usr/lib/libfoo.so.1.3': { content: edited(library) },
        'opt/second/other': { content: edited(program), mode: 0o755 },
        'usr/share/page': { content: edited(page) },
        'usr/share/unlike': { content: noise(300_000, 14) },
      },
    );
    const { path, size } = await make(pair, 'b.zst', { encoding, quick });
    assert.ok(size < 8000, `it takes ${size} bytes`);
    await assertArrives(pair, path);
  });
}

test('a few changed bytes in a large file cost little, wherever they are', async (t) => {
  const program = noise(5 << 20, 21);
  const changed = Buffer.from(program);
  for (const at of [0, 3 << 20, program.length - 1]) changed[at] = (changed[at] ?? 0) ^ 1;
  const pair = update(t, { program: { content: program } }, { program: { content: changed } });
  for (const encoding of ['fast', 'small'] as const) {
    const { size } = await make(pair, `${encoding}.zst`, { encoding });
    assert.ok(size < 1200, `${encoding} takes ${size} bytes`);
  }
  await assertArrives(pair, join(pair.directory, 'fast.zst'));
});

/** Words that every third block shares, so that every way to compress has something to do. */
function prose(size: number, seed: number): Buffer {
  const words = noise(1 << 14, 31);
  const own = noise(size >> 3, seed);
  const bytes = Buffer.alloc(size);
  for (let at = 0, block = 0; at < size; at += 512, block++) {
    if (block % 8 === 0) own.copy(bytes, at, (block >> 3) * 512);
    else words.copy(bytes, at, ((block * 7919 + seed) % 24) * 512);
  }
  return bytes;
}

for (const encoding of ['fast', 'small'] as const) {
  test(`${encoding}: what threads share gives the same bytes for any number of them, and arrives`, async (t) => {
    // A patch above the size that one thread takes, and a new file that is compressed by several.
    const old = prose(8 << 20, 1);
    const similar = Buffer.from(old);
    for (let at = 40; at < similar.length; at += 200) similar[at] = (similar[at] ?? 0) + 1;
    const pair = update(
      t,
      { old: { content: old } },
      { old: { content: similar }, fresh: { content: prose((encoding === 'fast' ? 34 : 13) << 20, 5) } },
    );
    const digests = new Map<string, number>();
    let path = '';
    for (const threads of [1, 2, 5]) {
      const created = await make(pair, `${threads}.zst`, { encoding, threads, quick: true });
      digests.set(created.sha256, threads);
      path = created.path;
    }
    assert.equal(digests.size, 1);
    await assertArrives(pair, path);
  });
}

test('the tail holds the end of the superblock and the seek table, and is small', async (t) => {
  const pair = update(
    t,
    { a: { content: 'a' } },
    { a: { content: noise(300_000, 41) }, 'usr/share/b': { content: 'b' }, link: { target: 'a' } },
  );
  const { path, size, tail } = await make(pair, 'b.zst');
  const bytes = readFileSync(path);
  assert.equal(bytes.length, size);
  const end = bytes.subarray(size - tail);
  assert.equal(end.readUInt32LE(0), ZSTD_MAGIC);
  assert.ok(tail < 3000, `the tail has ${tail} bytes`);
  const whole = execFileSync('zstd', ['-dcq'], { input: bytes, maxBuffer: 1 << 24 });
  const last = execFileSync('zstd', ['-dcq'], { input: end });
  assert.ok(whole.subarray(-last.length).equals(last));
  const { commitBytes, parts } = await bundleInfo(path);
  assert.ok(last.includes(Buffer.from(commitBytes)));
  for (const { checksum } of parts.flatMap((part) => part.objects)) {
    assert.ok(last.includes(Buffer.from(checksum, 'hex')), `the tail does not name ${checksum}`);
  }
});

test('progress counts every byte once', async (t) => {
  const program = noise(3 << 20, 51);
  const pair = update(
    t,
    { program: { content: program } },
    { program: { content: edited(program) }, fresh: { content: prose(4 << 20, 3) }, empty: { content: '' } },
  );
  for (const encoding of ['fast', 'small'] as const) {
    const seen: BundleProgress[] = [];
    const { writes } = await make(pair, `${encoding}.zst`, { encoding, onProgress: (progress) => seen.push(progress) });
    let before = 0;
    for (const { done, total } of seen) {
      assert.ok(done >= before && (total === 0 || done <= total), `${done} of ${total} after ${before}`);
      before = done;
    }
    const last = seen.at(-1);
    assert.equal(last?.done, last?.total);
    assert.ok(before <= writes && before > 7_000_000);
  }
});
