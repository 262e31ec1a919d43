import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { bundleInfo } from '../../trees/delta/index.js';
import { addFeed, removeFeed } from '../../trees/feed/feeds.js';
import { Repo } from '../../trees/ostree/index.js';
import { cli } from '../support/cli.js';
import { noise } from '../support/delta-fixture.js';
import { type FeedServer, serveDirectory } from '../support/feed-server.js';
import { at } from '../support/json.js';
import { writeFiles } from '../support/plain-publisher.js';
import type { RunResult } from '../support/rig.js';
import { assertSound, createStoreFixture, currentTree, type StoreFixture } from '../support/store-fixture.js';

describe('repair of single parts', () => {
  let fixture: StoreFixture;
  let server: FeedServer;
  let commits: { base: string; v1: string; v2: string };
  /** The complete bundle of the base, of several parts. */
  let bundle: string;

  before(async () => {
    fixture = await createStoreFixture();
    const { publisher, feed, paths } = fixture;
    // Two parts of content: one takes 32 MB.
    const large = (seed: number): string => noise(8_500_000, seed).toString('hex');
    const files = { 'usr/lib/a': large(1), 'usr/lib/b': large(2), 'etc/small': 'small\n' };
    const base = await publisher.base('deb', '12.0.0', files);
    const on = { base: 'deb', tested: '12.0.0', range: '^12' };
    const program = noise(40_000, 4).toString('hex');
    const v1 = await publisher.layer('tool', '1.0.0', { 'usr/bin/tool': program }, on);
    const v2 = await publisher.layer('tool', '2.0.0', { 'usr/bin/tool': `${program}!` }, on);
    commits = { base, v1, v2 };
    await fixture.publish([
      [null, base],
      [base, v1],
      [v1, v2],
      [null, v2],
    ]);
    bundle = `nothing-${base.slice(0, 12)}.delta.zst`;
    server = await serveDirectory(feed.feed);
    await removeFeed(paths.root, 'test');
    await addFeed(paths.root, `${server.origin}/`, {
      name: 'test',
      keys: [feed.key.public],
      confirm: async () => await Promise.resolve(false),
    });
    await fixture.install('tool@1');
    await fixture.install('tool@2');
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    await fixture[Symbol.asyncDispose]();
  });

  const { trees } = cli(() => fixture.root);
  const objectAt = async (commit: string, path: string): Promise<{ checksum: string; file: string }> => {
    using repo = await Repo.open(fixture.paths.repo);
    const entry = await repo.lookupPath(commit, path);
    assert.ok(entry !== undefined, path);
    const suffix = entry.kind === 'directory' ? 'dirtree' : 'file';
    const { checksum } = entry;
    return { checksum, file: join(repo.path, 'objects', checksum.slice(0, 2), `${checksum.slice(2)}.${suffix}`) };
  };
  const damage = (file: string): void => {
    const bytes = readFileSync(file);
    bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1);
    writeFileSync(file, bytes);
  };
  /** Bytes that were asked for of each file since the last call, the indexes left out. */
  const asked = (): Map<string, number> => {
    const bytes = new Map<string, number>();
    for (const { url, range } of server.seen.splice(0)) {
      const file = url.slice(1);
      if (!file.endsWith('.zst')) continue;
      const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(range ?? '') ?? [];
      const end = last === undefined || last === '' ? statSync(join(fixture.feed.feed, file)).size - 1 : Number(last);
      bytes.set(file, (bytes.get(file) ?? 0) + end - Number(first ?? 0) + 1);
    }
    return bytes;
  };
  /** Repairs and expects a sound store. @returns what was asked for, and the document */
  const repaired = async (): Promise<{ bytes: Map<string, number>; document: unknown; stderr: string }> => {
    const before = currentTree(fixture.paths, 'tool').version;
    asked();
    const { status, stdout, stderr } = await trees('fsck', '--repair', '--json');
    assert.equal(status, 0, stdout + stderr);
    const bytes = asked();
    const document: unknown = JSON.parse(stdout);
    await assertSound(fixture.paths);
    assert.equal(currentTree(fixture.paths, 'tool').version, before);
    const again = await trees('fsck');
    assert.deepEqual([again.status, again.stderr], [0, ''], again.stdout);
    const sum = [...bytes.values()].reduce((total, size) => total + size, 0);
    // Applying whole bundles reads their tails again.
    const isWhole = [...bytes].some(([file, size]) => size >= statSync(join(fixture.feed.feed, file)).size);
    if (!isWhole) assert.equal(at(document, 'fetched'), sum, `what it says it fetched: ${stderr}`);
    return { bytes, document, stderr };
  };
  /** The part of the base's bundle that holds an object, and what a tail takes. */
  const partOf = async (checksum: string): Promise<{ part: number; size: number }> => {
    const { parts, size } = await bundleInfo(join(fixture.feed.feed, bundle));
    const part = parts.find(({ objects }) => objects.some((object) => object.checksum === checksum));
    assert.ok(part !== undefined && parts.length >= 3, `${parts.length} parts`);
    return { part: part.compressedSize, size };
  };
  /** More than the tails of these small trees take, even if their lengths have to be guessed. */
  const TAIL = 70_000;

  it('fetches the part that holds a damaged file, and nothing else', async () => {
    const { checksum, file } = await objectAt(commits.base, '/usr/lib/b');
    const { part, size } = await partOf(checksum);
    damage(file);
    const { bytes, document } = await repaired();
    assert.ok(JSON.stringify(at(document, 'repaired')).includes(checksum), JSON.stringify(document));
    assert.deepEqual([...bytes.keys()], [bundle]);
    const fetched = bytes.get(bundle) ?? 0;
    assert.ok(fetched > part && fetched < part + TAIL, `${fetched} bytes for a part of ${part}, of ${size}`);
    assert.ok(fetched < size * 0.8, `${fetched} of ${size}`);
  });

  it('fetches one part for a missing file, and the tail only for directories', async () => {
    const { file } = await objectAt(commits.base, '/usr/lib/a');
    unlinkSync(file);
    assert.ok(((await repaired()).bytes.get(bundle) ?? 0) > TAIL, 'a part of content');
    unlinkSync((await objectAt(commits.base, '/usr/lib')).file);
    damage((await objectAt(commits.base, '/etc')).file);
    const { bytes } = await repaired();
    assert.deepEqual([...bytes.keys()], [bundle]);
    assert.ok((bytes.get(bundle) ?? 0) < TAIL, 'nothing but the tail');
  });

  it('takes the small part of an update where its source is here', async () => {
    damage((await objectAt(commits.v2, '/usr/bin/tool')).file);
    const { bytes } = await repaired();
    assert.deepEqual([...bytes.keys()], [`${commits.v1.slice(0, 12)}-${commits.v2.slice(0, 12)}.delta.zst`]);
  });

  it('takes another bundle where the source is damaged, too', async () => {
    damage((await objectAt(commits.v1, '/usr/bin/tool')).file);
    damage((await objectAt(commits.v2, '/usr/bin/tool')).file);
    const { bytes } = await repaired();
    assert.ok(!bytes.has(bundle), 'nothing of the base is fetched');
  });

  it('brings back a missing commit object from the tail', async () => {
    const { paths } = fixture;
    const file = join(paths.repo, 'objects', commits.base.slice(0, 2), `${commits.base.slice(2)}.commit`);
    unlinkSync(file);
    const { bytes } = await repaired();
    assert.ok((bytes.get(bundle) ?? 0) < TAIL, 'nothing but the tail');
  });

  it('fetches whole bundles where the bytes of a part are not what they should be', async () => {
    const { checksum, file } = await objectAt(commits.base, '/usr/lib/a');
    await partOf(checksum);
    const path = join(fixture.feed.feed, bundle);
    const good = join(fixture.feed.dir, 'good');
    copyFileSync(path, good);
    const info = await bundleInfo(path);
    const part = info.parts.find(({ objects }) => objects.some((object) => object.checksum === checksum));
    assert.ok(part !== undefined, checksum);
    const bytes = readFileSync(path);
    bytes.fill(0, part.offset + 100, part.offset + 200);
    writeFileSync(path, bytes);
    damage(file);
    const damaged = readFileSync(file);
    const failed = await trees('fsck', '--repair', '--json');
    assert.equal(failed.status, 1, failed.stdout);
    assert.match(failed.stderr, /warning: .*of no use/);
    assert.deepEqual(readFileSync(file), damaged, 'the damaged file is still there');
    copyFileSync(good, path);
    rmSync(good);
    await repaired();
  });

  it('lets others install while it fetches', async () => {
    const { checksum, file } = await objectAt(commits.base, '/usr/lib/b');
    damage(file);
    let other: RunResult | undefined;
    server.before = async (url) => {
      if (!url.includes(bundle) || other !== undefined) return;
      other = await trees('install', 'tool@2', '-n', 'second', '--json');
    };
    await repaired();
    server.before = undefined;
    assert.equal(other?.status, 0, `${checksum}: ${other?.stderr}`);
  });

  it('changes nothing it need not', async () => {
    await writeFiles(join(fixture.paths.data, 'tool'), { precious: 'mine\n' });
    const { bytes } = await repaired();
    assert.deepEqual([...bytes], []);
    assert.equal(readFileSync(join(fixture.paths.data, 'tool', 'precious'), 'utf8'), 'mine\n');
  });
});
