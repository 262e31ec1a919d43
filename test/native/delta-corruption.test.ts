import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { applyBundle, bundleInfo, createBundle } from '../../trees/delta/index.js';
import { TreesError } from '../../trees/errors.js';
import { assertClean, commitTree, initRepo, noise, ostree, temporaryDirectory } from '../support/delta-fixture.js';

const tool = noise(60_000, 5);
const patched = Buffer.from(tool);
patched[100] = (patched[100] ?? 0) ^ 255;

interface Fixture {
  directory: string;
  repo: string;
  v1: string;
  v2: string;
  /** Copy of the repository that has v1 only. */
  mine: string;
}

async function fixture(t: TestContext): Promise<Fixture> {
  const directory = temporaryDirectory(t);
  const repo = initRepo(join(directory, 'repo'));
  const v1 = commitTree(repo, 'v1', { 'bin/tool': { content: tool }, 'share/text': { content: 'x'.repeat(9000) } });
  const v2 = commitTree(repo, 'v2', {
    'bin/tool': { content: patched },
    'bin/other': { content: noise(40_000, 6) },
    'share/text': { content: 'x'.repeat(9000) },
    'share/link': { target: 'text' },
  });
  const mine = initRepo(join(directory, 'mine'));
  const base = join(directory, 'base.zst');
  await createBundle({ repoPath: repo, to: v1, output: base });
  await applyBundle({ repoPath: mine, path: base, ref: 'v1' });
  return { directory, repo, v1, v2, mine };
}

function code(...codes: string[]): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof TreesError, String(error));
    assert.ok(codes.includes(error.code), `${error.code}: ${error.message}`);
    return true;
  };
}

/** Applies `bytes` and says whether that worked; what must hold after a refusal is asserted. */
async function attempt(fixture: Fixture, bytes: Uint8Array, sha256?: string): Promise<boolean> {
  const path = join(fixture.directory, 'damaged');
  writeFileSync(path, bytes);
  const expect = { from: fixture.v1, to: fixture.v2, size: bytes.length, sha256 };
  try {
    await applyBundle({ repoPath: fixture.mine, path, ref: 'v2', expect });
    return true;
  } catch (error) {
    code('BUNDLE_CORRUPT')(error);
    assert.equal(ostree('refs', `--repo=${fixture.mine}`).trim(), 'v1');
    assert.equal(
      existsSync(join(fixture.mine, 'objects', fixture.v2.slice(0, 2), `${fixture.v2.slice(2)}.commit`)),
      false,
    );
    return false;
  }
}

const kinds = [
  { name: 'fast', create: (f: Fixture, output: string) => makeBundle(f, output, 'fast'), checksummed: true },
  { name: 'small', create: (f: Fixture, output: string) => makeBundle(f, output, 'small'), checksummed: true },
  { name: 'stock', create: makeStock, checksummed: false },
];

async function makeBundle({ repo, v1, v2 }: Fixture, output: string, encoding: 'fast' | 'small'): Promise<void> {
  await createBundle({ repoPath: repo, from: v1, to: v2, output, encoding });
}

async function makeStock({ repo, v1, v2 }: Fixture, output: string): Promise<void> {
  const commits = [`--from=${v1}`, `--to=${v2}`];
  const options = ['--inline', '--min-fallback-size=0', `--filename=${output}`];
  await Promise.resolve(ostree('static-delta', 'generate', `--repo=${repo}`, ...commits, ...options));
}

for (const { name, create, checksummed } of kinds) {
  test(`${name}: a byte flipped anywhere, or a cut anywhere, is refused and leaves the repository alone`, async (t) => {
    const f = await fixture(t);
    const path = join(f.directory, 'good');
    await create(f, path);
    const good = readFileSync(path);
    for (let percent = 0; percent <= 100; percent++) {
      const at = Math.min(good.length - 1, Math.floor((good.length * percent) / 100));
      const flipped = Buffer.from(good);
      flipped[at] = (flipped[at] ?? 0) ^ 0xff;
      const accepted = await attempt(f, flipped);
      if (accepted && !checksummed) forget(f);
      else assert.equal(accepted, false, `byte ${at} of ${good.length} flipped`);
      if (percent < 100) assert.equal(await attempt(f, good.subarray(0, at)), false, `cut at ${at}`);
    }
    assertClean(f.mine);
    assert.equal(await attempt(f, good), true);
    assertClean(f.mine);
    assert.equal(ostree('rev-parse', `--repo=${f.mine}`, 'v2').trim(), f.v2);
  });
}

/** Stock deltas have bytes that nothing covers, such as the timestamp; the commit must be whole even so. */
function forget({ mine, v2 }: Fixture): void {
  assertClean(mine);
  assert.equal(ostree('rev-parse', `--repo=${mine}`, 'v2').trim(), v2);
  ostree('refs', `--repo=${mine}`, '--delete', 'v2');
  ostree('prune', `--repo=${mine}`, '--refs-only');
}

test('every single byte of the seek table and of the superblock tail matters', async (t) => {
  const f = await fixture(t);
  const path = join(f.directory, 'good');
  await makeBundle(f, path, 'fast');
  const good = readFileSync(path);
  const info = await bundleInfo(path);
  assert.ok(info.parts.length > 0);
  for (let at = good.length - 120; at < good.length; at++) {
    const flipped = Buffer.from(good);
    flipped[at] = (flipped[at] ?? 0) ^ 0xff;
    assert.equal(await attempt(f, flipped), false, `byte ${at} of ${good.length} flipped`);
  }
});

test('the digest is checked before anything else', async (t) => {
  const f = await fixture(t);
  const path = join(f.directory, 'good');
  await makeBundle(f, path, 'fast');
  const good = readFileSync(path);
  assert.equal(await attempt(f, good, createHash('sha256').update('other').digest('hex')), false);
  assert.equal(await attempt(f, good, createHash('sha256').update(good).digest('hex')), true);
});

test('a bundle other than the expected one is refused', async (t) => {
  const { directory, repo, v1, v2, mine } = await fixture(t);
  const path = join(directory, 'full.zst');
  const { size } = await createBundle({ repoPath: repo, to: v2, output: path });
  const wrong = [
    { from: v1, to: v2, size },
    { from: null, to: v1, size },
    { from: null, to: v2, size: size + 1 },
  ];
  for (const expect of wrong)
    await assert.rejects(applyBundle({ repoPath: mine, path, ref: 'v2', expect }), code('BUNDLE_CORRUPT'));
  await applyBundle({ repoPath: mine, path, ref: 'v2', expect: { from: null, to: v2, size } });
});

test('without its source commit an update is refused', async (t) => {
  const { directory, repo, v1, v2 } = await fixture(t);
  const path = join(directory, 'update.zst');
  await createBundle({ repoPath: repo, from: v1, to: v2, output: path });
  const empty = initRepo(join(directory, 'empty'));
  await assert.rejects(applyBundle({ repoPath: empty, path, ref: 'v2' }), code('STORE_CORRUPT'));
  assert.equal(ostree('refs', `--repo=${empty}`), '');
  assertClean(empty);
});

/** Path of the object of `/bin/tool` in v1, which the update patches. */
function toolObject({ mine }: Fixture): string {
  const checksum = /([0-9a-f]{64}) \/bin\/tool$/m.exec(ostree('ls', `--repo=${mine}`, '-R', '-C', 'v1'))?.[1] ?? '';
  return join(mine, 'objects', checksum.slice(0, 2), `${checksum.slice(2)}.file`);
}

test('a source object that is damaged or gone is the fault of the store', async (t) => {
  const f = await fixture(t);
  const path = join(f.directory, 'update.zst');
  await makeBundle(f, path, 'fast');
  const object = toolObject(f);
  const content = readFileSync(object);
  for (const damage of [
    () => writeFileSync(object, Buffer.concat([Buffer.from('!'), content.subarray(1)])),
    () => truncateSync(object, 10),
    () => rmSync(object),
  ]) {
    damage();
    await assert.rejects(applyBundle({ repoPath: f.mine, path, ref: 'v2' }), code('STORE_CORRUPT'));
    assert.equal(ostree('refs', `--repo=${f.mine}`).trim(), 'v1');
  }
  writeFileSync(object, content);
  chmodSync(object, 0o644);
  await applyBundle({ repoPath: f.mine, path, ref: 'v2' });
  assertClean(f.mine);
});

test('something else than a file, and a file that is no bundle, are named as such', async (t) => {
  const { directory, mine } = await fixture(t);
  await assert.rejects(bundleInfo(join(directory, 'absent')), code('BUNDLE_UNREADABLE'));
  await assert.rejects(bundleInfo(directory), code('BUNDLE_CORRUPT', 'BUNDLE_UNREADABLE'));
  for (const content of ['', 'x', 'not a bundle at all\n'.repeat(100), Buffer.alloc(5000)]) {
    const path = join(directory, 'junk');
    writeFileSync(path, content);
    await assert.rejects(applyBundle({ repoPath: mine, path }), code('BUNDLE_CORRUPT'));
  }
});

test('aborting leaves neither a bundle nor a commit behind', async (t) => {
  const { directory, repo, v1, v2, mine } = await fixture(t);
  const output = join(directory, 'out.zst');
  const reason = new Error('enough');
  await assert.rejects(createBundle({ repoPath: repo, to: v2, output, signal: AbortSignal.abort(reason) }), reason);
  const controller = new AbortController();
  const creating = createBundle({ repoPath: repo, to: v2, output, encoding: 'small', signal: controller.signal });
  controller.abort(reason);
  await assert.rejects(creating, reason);
  assert.equal(existsSync(output), false);
  await createBundle({ repoPath: repo, from: v1, to: v2, output });
  await assert.rejects(
    applyBundle({
      repoPath: mine,
      path: output,
      ref: 'v2',
      signal: controller.signal,
    }),
    reason,
  );
  assert.equal(ostree('refs', `--repo=${mine}`).trim(), 'v1');
  assertClean(mine);
});
