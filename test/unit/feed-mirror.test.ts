import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { directoryFeed } from '../../trees/feed/directory.js';
import type { Feed } from '../../trees/feed/feed.js';
import { fetchIndex } from '../../trees/feed/fetch-index.js';
import { type MirrorOptions, mirrorFeed } from '../../trees/feed/mirror.js';
import type { BundleEntry } from '../../trees/feed/schema.js';
import {
  bundle,
  checksum,
  createFeedFixture,
  type FeedFixture,
  failsWith,
  makeIndex,
  snapshot,
} from '../support/feed-fixture.js';

const now = new Date('2026-02-01T00:00:00Z');
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const bytes = (text: string) => ({ size: text.length, sha256: sha256(text) });

describe('mirror', () => {
  let fixture: FeedFixture;
  let target: string;
  let opened: string[];
  let source: Feed;
  let options: MirrorOptions;

  /** Publishes bundles with these contents by name; all lead to the base. */
  const publish = async (
    sequence: number,
    contents: Record<string, string>,
    more: BundleEntry[] = [],
  ): Promise<void> => {
    const entries = Object.entries(contents).map(([file, text], position) =>
      bundle(position === 0 ? null : checksum(file), checksum('base 12.1.0 x86_64'), { file, ...bytes(text) }),
    );
    for (const [file, text] of Object.entries(contents)) await writeFile(join(fixture.feed, file), text);
    await fixture.publish(makeIndex({ sequence, bundles: [...entries, ...more] }));
  };
  const run = async (changes: Partial<MirrorOptions> = {}) => {
    opened.length = 0;
    return await mirrorFeed(source, target, { ...options, ...changes });
  };
  const text = async (file: string): Promise<string> => await readFile(join(target, file), 'utf8');
  const names = (files: ReadonlyArray<{ file: string }>): string[] => files.map(({ file }) => file).toSorted();

  beforeEach(async () => {
    fixture = await createFeedFixture();
    target = join(fixture.dir, 'www/mirror');
    opened = [];
    const plain = directoryFeed(fixture.feed);
    source = {
      url: plain.url,
      open: async (file, open) => {
        opened.push(file);
        return await plain.open(file, open);
      },
    };
    options = { keys: [fixture.key.public], now, lockTimeout: 5 };
  });
  afterEach(async () => await fixture[Symbol.asyncDispose]());

  it('copies what the index names, for everybody to read, and then only what is new', async () => {
    await publish(5, { 'a.zst': 'first', 'b.zst': 'second' });
    const first = await run();
    assert.deepEqual([names(first.copied), first.before, first.pruned], [['a.zst', 'b.zst'], null, []]);
    for (const file of ['index.json', 'index.json.minisig', 'trees.pub', 'a.zst', 'b.zst']) {
      assert.equal(await text(file), await readFile(join(fixture.feed, file), 'utf8'), file);
      assert.equal((await stat(join(target, file))).mode & 0o777, 0o644, file);
    }
    await publish(6, { 'b.zst': 'second', 'c.zst': 'third' });
    const second = await run();
    assert.deepEqual([names(second.copied), names(second.kept)], [['c.zst'], ['b.zst']]);
    assert.ok(!opened.includes('b.zst'));
    const read = await fetchIndex(directoryFeed(target), { keys: options.keys, seen: undefined, now });
    assert.equal(read === 'unchanged' ? 0 : read.index.sequence, 6);
    assert.deepEqual((await readdir(target)).toSorted(), [
      '.trees-mirror.json',
      '.trees-publish.lock',
      'a.zst',
      'b.zst',
      'c.zst',
      'index.json',
      'index.json.minisig',
      'trees.pub',
    ]);
  });

  it('deletes what neither the new index nor the one before names, and nothing that is not its own', async () => {
    await mkdir(target, { recursive: true });
    await writeFile(join(target, 'mine.zst'), 'mine');
    await publish(5, { 'a.zst': 'first' });
    await run();
    await publish(6, { 'b.zst': 'second' });
    assert.deepEqual((await run()).pruned, []);
    assert.deepEqual((await run()).pruned, [], 'the index before is still the same');
    await publish(7, { 'c.zst': 'third' });
    assert.deepEqual((await run({ dryRun: true })).pruned, ['a.zst']);
    assert.equal(await text('a.zst'), 'first');
    assert.deepEqual((await run()).pruned, ['a.zst']);
    const zst = (await readdir(target)).filter((file) => file.endsWith('.zst'));
    assert.deepEqual(zst.toSorted(), ['b.zst', 'c.zst', 'mine.zst']);
  });

  it('keeps pieces as files, as the signed index names them', async () => {
    const pieces = ['one', 'two!'].map((part, position) => ({ file: `big.${position}`, ...bytes(part) }));
    const big = bundle(null, checksum('app 3.6.0 x86_64'), { file: 'big.zst', ...bytes('onetwo!'), pieces });
    await writeFile(join(fixture.feed, 'big.0'), 'one');
    await writeFile(join(fixture.feed, 'big.1'), 'two!');
    await publish(5, { 'a.zst': 'first' }, [big]);
    assert.deepEqual(names((await run()).copied), ['a.zst', 'big.0', 'big.1']);
    assert.equal((await text('big.0')) + (await text('big.1')), 'onetwo!');
  });

  it('leaves what readers see as it was when a file is damaged or missing, and goes on from there', async () => {
    await publish(5, { 'a.zst': 'first' });
    await run();
    await publish(6, { 'b.zst': 'second', 'c.zst': 'third', 'd.zst': 'fourth' });
    await writeFile(join(fixture.feed, 'd.zst'), 'fOurth');
    await assert.rejects(run(), failsWith('BUNDLE_CORRUPT', /d\.zst/));
    await rm(join(fixture.feed, 'd.zst'));
    await assert.rejects(run(), failsWith('FEED_UNREACHABLE', /d\.zst/));
    const read = await fetchIndex(directoryFeed(target), { keys: options.keys, seen: undefined, now });
    assert.equal(read === 'unchanged' ? 0 : read.index.sequence, 5);
    assert.equal(await text('a.zst'), 'first');
    await writeFile(join(fixture.feed, 'd.zst'), 'fourth');
    await run();
    assert.ok(!opened.includes('b.zst'), 'it had come already');
    assert.equal(await text('b.zst'), 'second');
    assert.equal(await text('d.zst'), 'fourth');
  });

  it('replaces files that are damaged: those of another size always, the others with --check', async () => {
    await publish(5, { 'a.zst': 'first', 'b.zst': 'second' });
    await run();
    await writeFile(join(target, 'a.zst'), 'cut');
    await writeFile(join(target, 'b.zst'), 'sEcond');
    assert.deepEqual(names((await run()).copied), ['a.zst']);
    assert.deepEqual(names((await run({ check: true })).copied), ['b.zst']);
    assert.equal(await text('b.zst'), 'second');
  });

  it('refuses an old index, another feed, another key, and an expired one', async () => {
    await publish(5, { 'a.zst': 'first' });
    await run();
    const before = await snapshot(target);
    await publish(4, { 'a.zst': 'first' });
    await assert.rejects(run(), failsWith('INDEX_REPLAYED', /sequence is 4/));
    await fixture.publish(makeIndex({ sequence: 9, feed: 'another', bundles: [] }));
    await assert.rejects(run(), failsWith('INDEX_REPLAYED', /another/));
    await fixture.publish(makeIndex({ sequence: 9, bundles: [] }), fixture.otherKey);
    await assert.rejects(run(), failsWith('FEED_UNTRUSTED'));
    await fixture.publish(makeIndex({ sequence: 9, bundles: [], expires: '2026-01-15T00:00:00Z' }));
    await assert.rejects(run(), failsWith('INDEX_EXPIRED'));
    assert.deepEqual(await snapshot(target), before);
    assert.equal((await run({ allowStale: true })).index.sequence, 9);
  });

  it('refuses releases with two files of one name', async () => {
    const [one, two] = ['one', 'two'].map((release, position) =>
      bundle(position === 0 ? null : checksum(release), checksum('app 3.6.0 x86_64'), {
        file: 'same.zst',
        release,
        ...bytes(release),
      }),
    );
    if (one === undefined || two === undefined) throw new Error('two bundles');
    await publish(5, {}, [one, two]);
    await assert.rejects(run(), failsWith('UNSUPPORTED', /same\.zst/));
  });

  it('says what it would do and does nothing', async () => {
    await publish(5, { 'a.zst': 'first' });
    const result = await run({ dryRun: true });
    assert.deepEqual(result.copied, [{ file: 'a.zst', size: 5 }]);
    await assert.rejects(stat(target));
  });
});
