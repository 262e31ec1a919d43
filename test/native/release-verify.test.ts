import assert from 'node:assert/strict';
import { readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { type FeedReport, verifyFeed } from '../../releases/verify.js';
import { directoryFeed } from '../../trees/feed/directory.js';
import type { FeedIndex } from '../../trees/feed/schema.js';
import { silentReporter } from '../../trees/reporter.js';
import { failsWith, publishIndex } from '../support/feed-fixture.js';
import { createPublisher, type Publisher, program } from '../support/release-publisher.js';

async function verify({ feed, key }: Publisher, now = new Date()): Promise<FeedReport> {
  return await verifyFeed(directoryFeed(feed), { keys: [key.public], now, reporter: silentReporter });
}

const codes = ({ problems }: FeedReport): string[] => problems.map(({ code, what }) => `${code} ${what}`).sort();

describe('verifying a feed', () => {
  it('applies every bundle, from nothing and from what it leads from, and composes every version', async () => {
    await using publisher = await createPublisher();
    await publisher.release();
    await publisher.buildApp('3.6.0', program('3.6.0'));
    const { index } = await publisher.release({ encodings: ['fast', 'small'] });
    assert.ok(index.bundles.some(({ from }) => from !== null));
    const report = await verify(publisher);
    assert.deepEqual(report.problems, []);
    assert.deepEqual([report.sound.length, report.versions], [index.bundles.length, 3]);
  });

  it('finds damaged, short and missing bundles, and what they make impossible to install', async () => {
    await using publisher = await createPublisher();
    await publisher.buildApp('3.6.0', program('3.6.0'));
    const { index } = await publisher.release();
    const file = (name: string, from: boolean): string =>
      index.bundles.find((bundle) => bundle.file.startsWith(name) && (bundle.from !== null) === from)?.file ?? '';
    const newest = file('etcd-3.6.0', false);
    const path = join(publisher.feed, newest);
    const bytes = await readFile(path);
    const at = bytes.length >> 1;
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
    await writeFile(path, bytes);
    const damaged = await verify(publisher);
    assert.ok(codes(damaged).includes(`BUNDLE_CORRUPT ${newest}`), codes(damaged).join());
    await rm(path);
    assert.ok(codes(await verify(publisher)).includes(`FEED_UNREACHABLE ${newest}`));
    const base = file('deb-', false);
    await truncate(join(publisher.feed, base), 100);
    const short = await verify(publisher);
    assert.ok(codes(short).includes(`BUNDLE_CORRUPT ${base}`), codes(short).join());
    assert.ok(codes(short).includes('INDEX_INVALID deb 12.0.0 x86_64'));
    assert.ok(short.versions < 3);
  });

  it('finds an index that does not tell the truth, and one that has expired', async () => {
    await using publisher = await createPublisher();
    const { index } = await publisher.release();
    const lie = async (change: (copy: FeedIndex) => void): Promise<string[]> => {
      const copy = structuredClone(index);
      change(copy);
      await publishIndex(publisher.feed, copy, publisher.key);
      return codes(await verify(publisher));
    };
    const version = (copy: FeedIndex) => copy.apps['etcd']?.versions[0] ?? assert.fail();
    assert.deepEqual(await lie((copy) => (version(copy).size += 1)), ['INDEX_INVALID etcd 3.5.0 x86_64']);
    assert.deepEqual(await lie((copy) => (version(copy).version = '3.5.1')), ['INDEX_INVALID etcd 3.5.1 x86_64']);
    const tree = publisher.base;
    assert.deepEqual(await lie((copy) => (version(copy).base.tree = tree)), ['INDEX_INVALID etcd 3.5.0 x86_64']);
    await publishIndex(publisher.feed, index, publisher.key);
    const later = new Date(Date.parse(index.expires) + 1000);
    assert.deepEqual(codes(await verify(publisher, later)), ['INDEX_EXPIRED index.json']);
  });

  it('refuses a feed without an index, and one that another key has signed', async () => {
    await using publisher = await createPublisher();
    await using other = await createPublisher();
    await publisher.release();
    await assert.rejects(verify({ ...publisher, key: other.key }), failsWith('FEED_UNTRUSTED'));
    await rm(join(publisher.feed, 'index.json'));
    await rm(join(publisher.feed, 'index.json.minisig'));
    await assert.rejects(verify(publisher), failsWith('FEED_UNREACHABLE', /no index\.json/));
  });
});
