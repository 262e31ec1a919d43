import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  closeSync,
  ftruncateSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type ApplyArrivingOptions,
  applyArriving,
  applyBundle,
  bundleInfo,
  createBundle,
} from '../../trees/delta/index.js';
import { getXattr } from '../../trees/system/index.js';
import {
  assertClean,
  assertSameCommit,
  commitTree,
  initRepo,
  noise,
  ostree,
  temporaryDirectory,
} from '../support/delta-fixture.js';
import { failsWith } from '../support/feed-fixture.js';

interface Fixture {
  readonly directory: string;
  readonly repo: string;
  readonly commit: string;
  /** An empty repository. */
  readonly mine: string;
  readonly bytes: Buffer;
  readonly arriving: ReturnType<typeof createArriving>;
  readonly options: ApplyArrivingOptions;
}

/** A file that grows as the test says. */
function createArriving(path: string, t: TestContext) {
  const fd = openSync(path, 'w+');
  t.after(() => closeSync(fd));
  let size = 0;
  let listener: ((bytes: number) => void) | undefined;
  return {
    arrival: {
      file: Promise.resolve(fd),
      listen: (next: (bytes: number) => void) => {
        listener = next;
        next(size);
      },
    },
    add(bytes: Uint8Array) {
      writeSync(fd, bytes, 0, bytes.length, size);
      size += bytes.length;
      listener?.(size);
    },
    restart() {
      ftruncateSync(fd, 0);
      size = 0;
      listener?.(0);
    },
  };
}

async function fixture(t: TestContext): Promise<Fixture> {
  const directory = temporaryDirectory(t);
  const repo = initRepo(join(directory, 'repo'));
  const commit = commitTree(repo, 'app', {
    'bin/tool': { content: noise(90_000, 1), mode: 0o4755 },
    'share/text': { content: 'text\n'.repeat(5000) },
    'share/link': { target: 'text' },
    'empty/': {},
  });
  const path = join(directory, 'app.zst');
  const { size, sha256, rawSize, writes } = await createBundle({ repoPath: repo, to: commit, output: path });
  const bytes = readFileSync(path);
  const mine = initRepo(join(directory, 'mine'));
  const arriving = createArriving(join(directory, 'arriving'), t);
  const options: ApplyArrivingOptions = {
    repoPath: mine,
    name: 'app.zst',
    ref: 'app',
    expect: { from: null, to: commit, size, sha256, rawSize, writes },
    arrival: arriving.arrival,
    tail: 4096,
    readTail: async (count) => await Promise.resolve(bytes.subarray(bytes.length - count)),
  };
  return { directory, repo, commit, mine, bytes, arriving, options };
}

function staged(repo: string): string[] {
  return readdirSync(join(repo, 'tmp'), { recursive: true, encoding: 'utf8' }).filter((name) => /\.\w+$/.test(name));
}

/** Nothing has come in, and nothing is left of the attempt. */
function assertUntouched(repo: string): void {
  assert.equal(ostree('refs', `--repo=${repo}`), '');
  assert.deepEqual(
    readdirSync(join(repo, 'objects'), { recursive: true, encoding: 'utf8' }).filter((name) => name.includes('.')),
    [],
  );
  assert.deepEqual(staged(repo), []);
  assert.deepEqual(
    readdirSync(join(repo, 'tmp')).filter((name) => name.startsWith('trees-stage-')),
    [],
  );
}

test('objects are written before the last byte arrives, and enter the repository after it', async (t) => {
  const { arriving, bytes, commit, mine, options, repo } = await fixture(t);
  arriving.add(bytes.subarray(0, 1000));
  const applying = applyArriving(options);
  arriving.add(bytes.subarray(1000, bytes.length - 1));
  const early = applying.then(() => 'done');
  while (!staged(mine).some((name) => name.endsWith('.file')))
    assert.notEqual(await Promise.race([early, sleep(10)]), 'done');
  assert.equal(ostree('refs', `--repo=${mine}`), '');
  arriving.add(bytes.subarray(bytes.length - 1));
  await applying;
  assertSameCommit(mine, repo, commit);
  assert.equal(ostree('rev-parse', `--repo=${mine}`, 'app').trim(), commit);
  assert.deepEqual(staged(mine), []);
});

test('a digest other than the expected one changes nothing', async (t) => {
  const { arriving, bytes, mine, options } = await fixture(t);
  arriving.add(bytes);
  const sha256 = createHash('sha256').update('other').digest('hex');
  const expect = { ...options.expect, sha256 };
  await assert.rejects(applyArriving({ ...options, expect }), failsWith('BUNDLE_CORRUPT', /its SHA-256 is/));
  assertUntouched(mine);
});

test('what damage does to a part is told by the digest', async (t) => {
  const { arriving, bytes, mine, options } = await fixture(t);
  const damaged = Buffer.from(bytes);
  damaged[2000] = (damaged[2000] ?? 0) ^ 1;
  arriving.add(damaged);
  await assert.rejects(applyArriving(options), failsWith('BUNDLE_CORRUPT', /its SHA-256 is/));
  assertUntouched(mine);
});

test('an end that is not that of the file is noticed, although it fits', async (t) => {
  const { arriving, bytes, mine, options } = await fixture(t);
  arriving.add(bytes);
  const readTail = async (count: number): Promise<Buffer> => {
    const tail = Buffer.from(bytes.subarray(bytes.length - count));
    // Of the part before the last frame, which says nothing about the bundle.
    tail[0] = (tail[0] ?? 0) ^ 1;
    return await Promise.resolve(tail);
  };
  await assert.rejects(
    applyArriving({ ...options, readTail, tail: 60_000 }),
    failsWith('BUNDLE_CORRUPT', /not what was read before/),
  );
  assertUntouched(mine);
});

test('as much of the end is read as is needed', async (t) => {
  const { arriving, bytes, commit, mine, options, repo } = await fixture(t);
  arriving.add(bytes);
  const asked: number[] = [];
  const readTail = async (count: number): Promise<Uint8Array> => {
    asked.push(count);
    return await options.readTail(count);
  };
  await applyArriving({ ...options, readTail, tail: 20 });
  assert.ok(asked.length > 1 && asked.length < 5, String(asked));
  assertSameCommit(mine, repo, commit);
});

test('a download that starts again ends the attempt, and the whole file applies', async (t) => {
  const { arriving, bytes, commit, directory, mine, options, repo } = await fixture(t);
  arriving.add(bytes.subarray(0, 50_000));
  const applying = applyArriving(options);
  while (staged(mine).length === 0) await sleep(10);
  arriving.restart();
  await assert.rejects(applying, failsWith('BUNDLE_CORRUPT', /started again/));
  assertUntouched(mine);
  await applyBundle({ repoPath: mine, path: join(directory, 'app.zst'), ref: 'app', expect: options.expect });
  assertSameCommit(mine, repo, commit);
});

test('aborting while bytes are awaited ends at once and changes nothing', async (t) => {
  const { arriving, bytes, mine, options } = await fixture(t);
  arriving.add(bytes.subarray(0, bytes.length - 1));
  const controller = new AbortController();
  const applying = applyArriving({ ...options, signal: controller.signal });
  while (staged(mine).length === 0) await sleep(10);
  const reason = new Error('enough');
  controller.abort(reason);
  await assert.rejects(applying, reason);
  assertUntouched(mine);
});

test('a plain delta cannot be applied while it arrives', async (t) => {
  const { commit, directory, mine, options, repo } = await fixture(t);
  const plain = join(directory, 'plain');
  ostree('static-delta', 'generate', `--repo=${repo}`, '--empty', `--to=${commit}`, '--inline', `--filename=${plain}`);
  const bytes = readFileSync(plain);
  const readTail = async (count: number): Promise<Buffer> => await Promise.resolve(bytes.subarray(-count));
  const expect = { ...options.expect, size: bytes.length };
  await assert.rejects(applyArriving({ ...options, expect, readTail }), failsWith('UNSUPPORTED'));
  await applyBundle({ repoPath: mine, path: plain, ref: 'app' });
  assertSameCommit(mine, repo, commit);
});

test('what an index says of sizes must be true', async (t) => {
  const { arriving, bytes, mine, options } = await fixture(t);
  arriving.add(bytes);
  for (const wrong of [{ rawSize: 1 }, { writes: 1 }, { from: options.expect.to }])
    await assert.rejects(
      applyArriving({ ...options, expect: { ...options.expect, ...wrong } }),
      failsWith('BUNDLE_CORRUPT'),
    );
  assertUntouched(mine);
});

test('sizes that cannot be are refused before memory is taken for them', async (t) => {
  const { bytes, directory, mine } = await fixture(t);
  const path = join(directory, 'bomb');
  // Seek table: entries of 8 bytes (compressed, decompressed), then count, descriptor, magic.
  const table = Buffer.from(bytes);
  table.writeUInt32LE(0xfffffff0, bytes.length - 9 - 4);
  writeFileSync(path, table);
  await assert.rejects(applyBundle({ repoPath: mine, path }), failsWith('BUNDLE_CORRUPT', /cannot hold/));
  table.set(bytes);
  table.writeUInt32LE(0x7fffffff, bytes.length - 9);
  writeFileSync(path, table);
  await assert.rejects(applyBundle({ repoPath: mine, path }), failsWith('BUNDLE_CORRUPT'));
  assertUntouched(mine);
});

test('objects larger than the header of their part says are refused', async (t) => {
  const { commit, directory, mine, repo } = await fixture(t);
  const path = join(directory, 'plain');
  ostree('static-delta', 'generate', `--repo=${repo}`, '--empty', `--to=${commit}`, '--inline', `--filename=${path}`);
  const { parts } = await bundleInfo(path);
  const delta = readFileSync(path);
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(parts[0]?.writes ?? 0));
  const at = delta.lastIndexOf(size);
  assert.ok(at > 0);
  delta.writeBigUInt64LE(1n, at);
  writeFileSync(path, delta);
  await assert.rejects(applyBundle({ repoPath: mine, path }), failsWith('BUNDLE_CORRUPT', /larger than|can need/));
  assertUntouched(mine);
});

test('without room for its objects nothing is begun', async (t) => {
  const { directory, mine } = await fixture(t);
  ostree('config', `--repo=${mine}`, 'set', 'core.min-free-space-size', '900TB');
  const path = join(directory, 'app.zst');
  await assert.rejects(applyBundle({ repoPath: mine, path }), failsWith('NO_SPACE'));
  ostree('config', `--repo=${mine}`, 'unset', 'core.min-free-space-size');
  assertUntouched(mine);
});

test('what a killed process staged is deleted, what another one stages is not', async (t) => {
  const { arriving, bytes, directory, mine, options } = await fixture(t);
  arriving.add(bytes.subarray(0, bytes.length - 1));
  const applying = applyArriving(options);
  while (staged(mine).length === 0) await sleep(10);
  const dead = join(mine, 'tmp', 'trees-stage-dead');
  const before = readdirSync(join(mine, 'tmp')).filter((name) => name.startsWith('trees-stage-'));
  ostree('init', `--repo=${dead}`, '--mode=bare');
  await applyBundle({ repoPath: mine, path: join(directory, 'app.zst'), ref: 'other' });
  assert.deepEqual(
    readdirSync(join(mine, 'tmp')).filter((name) => name.startsWith('trees-stage-')),
    before,
  );
  arriving.add(bytes.subarray(bytes.length - 1));
  await applying;
  assertClean(mine);
});

for (const mode of ['bare', 'bare-user', 'bare-user-only'] as const) {
  test(`${mode}: object files are as libostree writes them`, async (t) => {
    const directory = temporaryDirectory(t);
    const repo = initRepo(join(directory, 'repo'));
    const special = mode === 'bare-user-only' ? {} : { 'bin/su': { content: 'su', mode: 0o4755 } };
    const commit = commitTree(repo, 'app', {
      ...special,
      'bin/tool': { content: '#!', mode: 0o755 },
      'etc/open': { content: 'x', mode: mode === 'bare-user-only' ? 0o664 : 0o666 },
      'etc/plain': { content: 'y', mode: 0o644 },
      'etc/empty': { content: '', mode: 0o600 },
      'lib/link': { target: '../etc/plain' },
    });
    const path = join(directory, 'app.delta');
    ostree('static-delta', 'generate', `--repo=${repo}`, '--empty', `--to=${commit}`, '--inline', `--filename=${path}`);
    const [mine, theirs] = ['mine', 'theirs'].map((name) => initRepo(join(directory, name), mode));
    assert.ok(mine !== undefined && theirs !== undefined);
    await applyBundle({ repoPath: mine, path, ref: 'app' });
    ostree('static-delta', 'apply-offline', `--repo=${theirs}`, path);
    ostree('refs', `--repo=${theirs}`, '--create=app', commit);
    const [ours, stock] = [mine, theirs].map((where) => listObjects(where));
    assert.deepEqual(ours, stock);
    assertClean(mine);
  });
}

/** Name, type, mode, owner, times and attributes of every object file, as `getfattr` and `stat` print them. */
function listObjects(repo: string): string[] {
  const names = readdirSync(join(repo, 'objects'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.includes('.'))
    .sort();
  return names.map((name) => describeObject(join(repo, 'objects', name), name));
}

function describeObject(path: string, name: string): string {
  const { gid, mode, mtimeMs, size, uid } = lstatSync(path);
  // Only contents have the same time everywhere.
  const time = name.endsWith('.file') && (mode & 0o170000) === 0o100000 ? mtimeMs : '';
  const metadata = (mode & 0o170000) === 0o100000 ? (getXattr(path, 'user.ostreemeta')?.toString('hex') ?? '') : '';
  return [name, mode.toString(8), uid, gid, size, time, metadata].join(' ');
}
