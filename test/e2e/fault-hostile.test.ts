import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createBundle } from '../../trees/delta/index.js';
import type { FeedIndex } from '../../trees/feed/schema.js';
import { type Checksum, Repo } from '../../trees/ostree/index.js';
import { trees } from '../support/cli.js';
import { assertClean, fastDirectory, initRepo } from '../support/delta-fixture.js';
import { changeParts, renameInCommit } from '../support/hostile.js';
import { assertSound, createStoreFixture, publishTool, type StoreFixture } from '../support/store-fixture.js';
import { listContents } from '../support/untouched.js';

/** A name in the layer, and what stands in its place in the hostile one. */
const NAMES = [
  ['AAAAAAA', '../evil'],
  ['AAAAAAA', '/absolu'],
  ['AAAAAAA', 'a/b/../'],
  ['AA', '..'],
  ['A', '.'],
  ['.wh.AA', '.wh...'],
  ['.wh.A', '.wh..'],
  ['.wh.AAAAAAA', '.wh.../evil'],
] as const;

describe('a publisher who is trusted, and hostile', { timeout: 600_000 }, () => {
  let fixture: StoreFixture;
  let index: FeedIndex;
  let base: Checksum;
  let layer: Checksum;
  let sequence: number;
  let host: string;

  before(async () => {
    fixture = await createStoreFixture(fastDirectory());
    const published = await publishTool(fixture);
    base = published.base;
    const files = Object.fromEntries(NAMES.map(([name]) => [`opt/${name}`, 'evil\n']));
    layer = await fixture.publisher.layer('evil', '1.0.0', files, { base: 'deb', tested: '12.0.0', range: '^12' });
    index = await fixture.publisher.publish([
      [null, base],
      [base, published.v1],
      [base, layer],
    ]);
    await fixture.publish([]);
    sequence = index.sequence + 1;
    await fixture.install('tool@1');
    host = join(fixture.feed.dir, 'host');
    mkdirSync(host);
    writeFileSync(join(host, 'file'), 'the host’s\n');
  });
  after(() => fixture[Symbol.asyncDispose]());

  /** Lists a commit as the app `evil`, with a bundle that brings it, all signed. */
  async function publishEvil(commit: Checksum, entry: object = {}): Promise<void> {
    const file = `${commit.slice(0, 12)}.delta.zst`;
    const output = join(fixture.feed.feed, file);
    const made = await createBundle({ repoPath: fixture.publisher.repo, from: base, to: commit, output, quick: true });
    const { size, sha256, rawSize, writes } = made;
    const { evil, ...apps } = index.apps;
    const [version] = evil?.versions ?? [];
    assert.ok(evil !== undefined && version !== undefined);
    sequence += 1;
    await fixture.feed.publish({
      ...index,
      sequence,
      apps: { ...apps, evil: { ...evil, versions: [{ ...version, commit }] } },
      bundles: [
        ...index.bundles.filter(({ to }) => to !== layer),
        { from: base, to: commit, file, encoding: 'fast', size, sha256, rawSize, writes, ...entry },
      ],
    });
  }

  async function refused(args: readonly string[], codes: readonly string[]): Promise<string> {
    const everything = (): string[] => listContents(fixture.paths.root, ['locks', 'feeds', 'repo/.lock', 'repo/tmp']);
    const before = everything();
    const outside = listContents(host);
    const result = await trees(fixture.root, [...args, '--json']);
    assert.equal(result.status, 1, `${args.join(' ')}: ${result.stdout}`);
    const code = /"code": ?"([A-Z_]+)"/.exec(result.stdout)?.[1] ?? '';
    assert.ok(codes.includes(code), `${code}: ${result.stderr}`);
    assert.match(result.stderr, /^error: .+: .+/m);
    assert.match(result.stderr, /^hint: /m);
    assert.deepEqual(everything(), before, 'the store is as it was');
    assert.deepEqual(listContents(host), outside, 'the host is as it was');
    return result.stderr;
  }

  /** Refused when the layer is in the store already: gc takes it away again. */
  async function refusedAfter(args: readonly string[], code: string): Promise<void> {
    const outside = listContents(host);
    const { apps } = fixture.paths;
    const before = listContents(apps);
    const result = await trees(fixture.root, [...args, '--json']);
    assert.equal(result.status, 1, result.stdout);
    assert.ok(result.stdout.includes(`"${code}"`), result.stderr);
    assert.deepEqual(listContents(apps), before);
    assert.deepEqual(listContents(host), outside, 'the host is as it was');
    const collected = await trees(fixture.root, ['gc']);
    assert.equal(collected.status, 0, collected.stderr);
    using repo = await Repo.open(fixture.paths.repo);
    assert.deepEqual([...(await repo.listRefs('layer/evil'))], []);
  }

  for (const [from, to] of NAMES) {
    it(`has called something ${to}`, async () => {
      const evil = await renameInCommit(fixture, layer, { from, to });
      await publishEvil(evil);
      // A whiteout of the wrong thing is a file like any other to everybody but the composer.
      if (to.startsWith('.wh.') && !to.includes('/')) await refusedAfter(['install', 'evil'], 'LAYER_INVALID');
      else await refused(['install', 'evil'], ['BUNDLE_CORRUPT']);
      await assertSound(fixture.paths);
    });
  }

  it('lists sizes that nothing has', async () => {
    for (const entry of [{ writes: 2 ** 52 }, { size: 2 ** 50 }, { rawSize: 2 ** 52, writes: 2 ** 52 }]) {
      await publishEvil(layer, entry);
      await refused(['install', 'evil'], ['NO_SPACE', 'BUNDLE_CORRUPT', 'INDEX_INVALID']);
    }
  });

  it('makes a device node, or a named pipe, of a file', async () => {
    const output = join(fixture.feed.dir, 'good.zst');
    await createBundle({ repoPath: fixture.publisher.repo, to: layer, output });
    const plain = execFileSync('zstd', ['-dqc', output]);
    const mode = (type: number): Buffer => Buffer.from([0, 0, (type | 0o644) >> 8, 0o644 & 0xff]);
    for (const type of [0o020000, 0o060000, 0o010000, 0o140000, 0o040000]) {
      const evil = changeParts(plain, mode(0o100000), mode(type));
      assert.notDeepEqual(evil, plain);
      const file = join(fixture.feed.dir, 'evil.delta');
      writeFileSync(file, evil);
      const repo = initRepo(join(fixture.feed.dir, `repo-${type}`));
      const result = await trees(fixture.root, ['bundle', 'apply', '--repo', repo, file, '--json']);
      assert.equal(result.status, 1, result.stdout);
      assert.match(result.stdout, /BUNDLE_CORRUPT/);
      assert.match(result.stderr, /neither a regular file nor a symbolic link|not a regular file|content of/);
      assertClean(repo);
      assert.deepEqual(
        listContents(join(repo, 'objects')).filter((line) => !/^..\/ /.test(line)),
        [],
      );
    }
  });

  it('sends more than it says, or says more than anybody has room for', async () => {
    const frame = execFileSync('sh', ['-c', 'head -c 600000000 /dev/zero | zstd -1 -qc'], { maxBuffer: 1 << 26 });
    const number = (value: number): Buffer => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32LE(value);
      return bytes;
    };
    const seekable = (raw: number): Buffer => {
      const table = [number(frame.length), number(raw), number(1), Buffer.from([0]), number(0x8f92eab1)];
      const body = Buffer.concat(table);
      return Buffer.concat([frame, number(0x184d2a5e), number(body.length), body]);
    };
    const repo = initRepo(join(fixture.feed.dir, 'repo-bomb'));
    for (const raw of [1000, 600_000_000, 0xffffffff]) {
      const file = join(fixture.feed.dir, 'bomb.zst');
      writeFileSync(file, seekable(raw));
      for (const command of [
        ['bundle', 'info', file],
        ['bundle', 'apply', '--repo', repo, file],
      ]) {
        const result = await trees(fixture.root, [...command, '--json']);
        assert.equal(result.status, 1, `${raw}: ${result.stdout}`);
        assert.match(result.stdout, /BUNDLE_CORRUPT/, `${raw}: ${result.stderr}`);
      }
    }
    assertClean(repo);
    assert.deepEqual(
      listContents(join(repo, 'tmp')).filter((line) => !line.startsWith('cache/')),
      [],
    );
  });

  it('has links where a checkout has directories, which are not followed', async () => {
    const target = join(fixture.feed.dir, 'target');
    mkdirSync(target);
    for (const name of ['usr', 'etc']) symlinkSync(host, join(target, name));
    await refused(['co', 'tool', '-t', target], ['PATH_CONFLICT']);
    assert.equal(readFileSync(join(host, 'file'), 'utf8'), 'the host’s\n');
  });
});
