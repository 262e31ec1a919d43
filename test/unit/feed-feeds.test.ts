import assert from 'node:assert/strict';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { signFile } from '../../releases/sign.js';
import {
  type AddFeedOptions,
  addFeed,
  findFeed,
  listFeeds,
  loadFeed,
  refreshFeed,
  removeFeed,
} from '../../trees/feed/feeds.js';
import { gatherFeeds } from '../../trees/feed/gather.js';
import { writeIndexPair } from '../../trees/feed/index-pair.js';
import { fingerprint, formatPublicKey } from '../../trees/feed/minisign.js';
import { openFeed } from '../../trees/feed/open.js';
import { deriveFeedName, parseFeedUrl } from '../../trees/feed/url.js';
import {
  createFeedFixture,
  type FeedFixture,
  failsWith,
  makeIndex,
  publishIndex,
  snapshot,
} from '../support/feed-fixture.js';
import { serveDirectory } from '../support/feed-server.js';

const refuse = async (): Promise<boolean> => await Promise.reject(new Error('asked without need'));

async function add(fixture: FeedFixture, options: Partial<AddFeedOptions> = {}) {
  return await addFeed(fixture.root, `dir:${fixture.feed}`, {
    keys: [fixture.key.public],
    confirm: refuse,
    ...options,
  });
}

/** When everything in the store was last changed. */
async function times(fixture: FeedFixture): Promise<readonly bigint[]> {
  const paths = Object.keys(await snapshot(fixture.root));
  return await Promise.all(paths.map(async (path) => (await stat(path, { bigint: true })).mtimeNs));
}

/** Runs `act`, expects it to be refused with `code`, and shows that it changed nothing in the store. */
async function changesNothing(fixture: FeedFixture, act: () => Promise<unknown>, code: string): Promise<void> {
  const before = await snapshot(fixture.root);
  await assert.rejects(act, failsWith(code));
  assert.deepEqual(await snapshot(fixture.root), before);
}

describe('parseFeedUrl', () => {
  it('brings URLs into one form and derives names', () => {
    const cases = [
      ['dir:/srv/My Feed/', 'dir:/srv/My Feed', 'my-feed'],
      ['dir:sub', 'dir:/cwd/sub', 'sub'],
      ['dir:/', 'dir:/', 'feed'],
      ['https://Example.org/a/b', 'https://example.org/a/b/', 'example.org-a-b'],
      ['http://127.0.0.1:8080', 'http://127.0.0.1:8080/', '127.0.0.1'],
      ['github:Owner/re.po', 'github:Owner/re.po', 'owner-re.po'],
    ] as const;
    for (const [url, href, name] of cases) {
      const parsed = parseFeedUrl(url, '/cwd');
      assert.equal(parsed.href, href);
      assert.equal(deriveFeedName(parsed), name);
    }
  });

  it('refuses what is not a feed', () => {
    const wrong = ['', '/srv/feed', 'ftp://x/', 'file:///x', 'dir:', 'github:owner', 'github:a/b/c', 'github:a/..'];
    for (const url of [...wrong, 'https://', 'https://user:secret@host/', 'https://host/?q', 'https://host/#f']) {
      assert.throws(() => parseFeedUrl(url, '/cwd'), failsWith('USAGE'));
    }
    assert.throws(() => parseFeedUrl('dir:relative'), failsWith('USAGE', /absolute/));
    assert.throws(
      () => parseFeedUrl('https://user:secret@host/'),
      (error) => error instanceof Error && !error.message.includes('secret'),
    );
  });
});

describe('adding a feed', () => {
  it('stores the feed, its key and its index', async () => {
    await using fixture = await createFeedFixture();
    await fixture.publish(makeIndex());
    const { feed } = await add(fixture, { priority: 3 });
    assert.equal(feed.name, 'feed');
    assert.deepEqual(await listFeeds(fixture.root), [feed]);
    assert.deepEqual(await findFeed(fixture.root, `dir:${fixture.feed}`), feed);
    await rm(fixture.feed, { recursive: true });
    const loaded = await loadFeed(fixture.root, feed);
    assert.deepEqual(loaded?.index, makeIndex());
  });

  it('asks about the published key, with its fingerprint', async () => {
    await using fixture = await createFeedFixture();
    await fixture.publish(makeIndex());
    const asked: string[] = [];
    const answer = (value: boolean) => async (question: string) => {
      asked.push(question);
      return await Promise.resolve(value);
    };
    await changesNothing(fixture, () => add(fixture, { keys: [], confirm: answer(false) }), 'NOT_CONFIRMED');
    const { feed } = await add(fixture, { keys: [], confirm: answer(true) });
    assert.deepEqual(feed.keys, [fixture.key.public]);
    assert.ok(asked.length === 2 && asked.every((question) => question.includes(fingerprint(fixture.key.public))));
  });

  it('refuses a feed that cannot be trusted, and leaves no trace', async () => {
    await using fixture = await createFeedFixture();
    await changesNothing(fixture, () => add(fixture), 'FEED_UNREACHABLE');
    await fixture.publish(makeIndex(), fixture.otherKey);
    await changesNothing(fixture, () => add(fixture), 'FEED_UNTRUSTED');
    // Published key and signing key differ.
    await writeFile(join(fixture.feed, 'trees.pub'), formatPublicKey(fixture.key.public));
    const yes = async (): Promise<boolean> => await Promise.resolve(true);
    await changesNothing(fixture, () => add(fixture, { keys: [], confirm: yes }), 'FEED_UNTRUSTED');
    await rm(join(fixture.feed, 'trees.pub'));
    await changesNothing(fixture, () => add(fixture, { keys: [], confirm: yes }), 'FEED_UNTRUSTED');
    await rm(join(fixture.feed, 'index.json.minisig'));
    await changesNothing(fixture, () => add(fixture), 'FEED_UNTRUSTED');
    await fixture.publish('{"schema":1}');
    await changesNothing(fixture, () => add(fixture), 'INDEX_INVALID');
    await fixture.publish(makeIndex({ expires: '2026-01-02T00:00:00Z' }));
    await changesNothing(fixture, () => add(fixture, { now: new Date('2026-06-01') }), 'INDEX_EXPIRED');
    await fixture.publish(makeIndex());
    await writeFile(join(fixture.feed, 'index.json'), JSON.stringify(makeIndex({ sequence: 6 })));
    await changesNothing(fixture, () => add(fixture), 'SIGNATURE_INVALID');
    assert.deepEqual(await listFeeds(fixture.root), []);
  });

  it('refuses the same name or URL twice', async () => {
    await using fixture = await createFeedFixture();
    await fixture.publish(makeIndex());
    await add(fixture);
    await changesNothing(fixture, () => add(fixture), 'FEED_EXISTS');
    await changesNothing(fixture, () => add(fixture, { name: 'feed' }), 'FEED_EXISTS');
    await changesNothing(fixture, () => add(fixture, { name: '../x' }), 'USAGE');
    const url = `dir:${fixture.dir}/elsewhere/feed`;
    const again = () => addFeed(fixture.root, url, { keys: [fixture.key.public], confirm: refuse });
    await changesNothing(fixture, again, 'FEED_EXISTS');
    assert.equal((await add(fixture, { name: 'other', priority: 5 })).feed.url, `dir:${fixture.feed}`);
    assert.deepEqual(
      (await listFeeds(fixture.root)).map(({ name }) => name),
      ['other', 'feed'],
    );
  });

  it('lets one of several that add at once win', async () => {
    await using fixture = await createFeedFixture();
    await fixture.publish(makeIndex());
    const results = await Promise.allSettled(Array.from({ length: 5 }, async () => await add(fixture)));
    assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
    for (const result of results) if (result.status === 'rejected') failsWith('FEED_EXISTS')(result.reason);
    assert.equal((await listFeeds(fixture.root)).length, 1);
  });
});

describe('refreshing a feed', () => {
  it('takes a newer index and refuses everything else, keeping what it has', async () => {
    await using fixture = await createFeedFixture();
    await fixture.publish(makeIndex());
    const { feed } = await add(fixture);
    // What killed processes have left.
    const left = ['feed/state.json.0123456789ab.tmp', '.add-x/feed.json', '.rm-1-x/feed.json'];
    for (const name of left) {
      await mkdir(join(fixture.root, 'feeds', name, '..'), { recursive: true });
      await writeFile(join(fixture.root, 'feeds', name), 'left');
    }
    assert.equal((await listFeeds(fixture.root)).length, 1);
    await fixture.publish(makeIndex({ sequence: 8 }));
    assert.equal((await refreshFeed(fixture.root, feed)).index.sequence, 8);
    const refresh = () => refreshFeed(fixture.root, feed);
    const untouched = await times(fixture);
    assert.equal((await refresh()).index.sequence, 8);
    assert.deepEqual(await times(fixture), untouched);
    const files = Object.keys(await snapshot(fixture.root)).join('\n');
    assert.doesNotMatch(files, /tmp$|\.add|\.rm/m);
    await fixture.publish(makeIndex({ sequence: 7 }));
    await changesNothing(fixture, refresh, 'INDEX_REPLAYED');
    await fixture.publish(makeIndex({ sequence: 8, created: '2026-01-01T00:00:01Z' }));
    await changesNothing(fixture, refresh, 'INDEX_REPLAYED');
    await fixture.publish(makeIndex({ sequence: 9, feed: 'somebody else' }));
    await changesNothing(fixture, refresh, 'INDEX_REPLAYED');
    await fixture.publish(makeIndex({ sequence: 9 }), fixture.otherKey);
    await changesNothing(fixture, refresh, 'FEED_UNTRUSTED');
    await rm(fixture.feed, { recursive: true });
    await changesNothing(fixture, refresh, 'FEED_UNREACHABLE');
    assert.equal((await loadFeed(fixture.root, feed))?.index.sequence, 8);
  });

  it('notices that the stored index was tampered with', async () => {
    await using fixture = await createFeedFixture();
    await fixture.publish(makeIndex());
    const { feed } = await add(fixture);
    const stored = join(fixture.root, 'feeds/feed/index.json');
    await writeFile(stored, (await readFile(stored, 'utf8')).replace('3.6.0', '3.6.6'));
    await assert.rejects(loadFeed(fixture.root, feed), failsWith('SIGNATURE_INVALID'));
    await refreshFeed(fixture.root, feed);
    assert.deepEqual((await loadFeed(fixture.root, feed))?.index, makeIndex());
  });

  it('says that an expired stored index has expired', async () => {
    await using fixture = await createFeedFixture();
    await fixture.publish(makeIndex({ expires: '2026-06-01T00:00:00Z' }));
    const { feed } = await add(fixture, { now: new Date('2026-05-01') });
    const now = new Date('2026-07-01');
    await assert.rejects(loadFeed(fixture.root, feed, { now }), failsWith('INDEX_EXPIRED'));
    assert.equal((await loadFeed(fixture.root, feed, { now, allowStale: true }))?.stale, true);
  });

  it('works over HTTP', async () => {
    await using fixture = await createFeedFixture();
    await using server = await serveDirectory(fixture.feed);
    await fixture.publish(makeIndex());
    const options = { keys: [fixture.key.public], confirm: refuse };
    const { feed } = await addFeed(fixture.root, server.origin, options);
    await fixture.publish(makeIndex({ sequence: 6 }));
    assert.equal((await refreshFeed(fixture.root, feed)).index.sequence, 6);
    const broken = { kind: 'status', status: 500 } as const;
    const network = { firstPause: 1, retries: 2 };
    server.fail('index.json', broken, broken, broken);
    await changesNothing(fixture, () => refreshFeed(fixture.root, feed, { network }), 'FEED_UNREACHABLE');
    server.fail('index.json', broken, broken);
    assert.equal((await refreshFeed(fixture.root, feed, { network })).index.sequence, 6);
  });
});

describe('a publisher that switches while it is read', () => {
  it('is read whole at every step of the switch', async () => {
    await using fixture = await createFeedFixture();
    await fixture.publish(makeIndex());
    const { feed } = await add(fixture);
    const bytes = Buffer.from(JSON.stringify(makeIndex({ sequence: 6 })));
    const signature = signFile(bytes, fixture.key, { file: 'index.json', sequence: 6, now: new Date() });
    const at = (name: string): string => join(fixture.feed, name);
    const sequence = async (): Promise<number> => (await refreshFeed(fixture.root, feed)).index.sequence;
    await writeFile(at('index.json.next'), bytes);
    assert.equal(await sequence(), 5);
    await writeFile(at('index.json.minisig'), signature);
    assert.equal(await sequence(), 6);
    await rename(at('index.json.next'), at('index.json'));
    assert.equal(await sequence(), 6);
  });

  it('never shows a reader two halves', async () => {
    await using fixture = await createFeedFixture();
    await publishIndex(fixture.feed, makeIndex({ sequence: 1 }), fixture.key);
    const { feed } = await add(fixture);
    const state = { writing: true };
    const writer = (async () => {
      for (let sequence = 2; sequence <= 40; sequence += 1) {
        const index = Buffer.from(JSON.stringify(makeIndex({ sequence })));
        const signature = signFile(index, fixture.key, { file: 'index.json', sequence, now: new Date() });
        await writeIndexPair(fixture.feed, { index, signature });
      }
      state.writing = false;
    })();
    let last = 0;
    while (state.writing) {
      const { index } = await refreshFeed(fixture.root, feed);
      assert.ok(index.sequence >= last);
      last = index.sequence;
    }
    await writer;
    assert.equal((await refreshFeed(fixture.root, feed)).index.sequence, 40);
    assert.equal(await openFeed(feed.url).open('index.json.next'), undefined);
  });
});

describe('gathering feeds', () => {
  it('uses what is stored where a feed cannot be reached, and names what is refused', async () => {
    await using fixture = await createFeedFixture();
    await using second = await createFeedFixture();
    await fixture.publish(makeIndex());
    await second.publish(makeIndex({ feed: 'second', apps: {}, bundles: [] }));
    await add(fixture, { name: 'one' });
    await addFeed(fixture.root, `dir:${second.feed}`, { keys: [second.key.public], confirm: refuse, name: 'two' });
    await rm(second.feed, { recursive: true });
    const gathered = await gatherFeeds(fixture.root);
    assert.deepEqual(
      gathered.feeds.map(({ feed }) => feed.name),
      ['one', 'two'],
    );
    await fixture.publish(makeIndex({ sequence: 1 }));
    const refused = await gatherFeeds(fixture.root);
    assert.deepEqual(
      refused.feeds.map(({ feed }) => feed.name),
      ['two'],
    );
    assert.deepEqual(
      refused.problems.map(({ error }) => error.code),
      ['INDEX_REPLAYED'],
    );
    const offline = await gatherFeeds(fixture.root, { offline: true });
    assert.deepEqual(
      offline.feeds.map(({ feed }) => feed.name),
      ['one', 'two'],
    );
  });
});

describe('removing a feed', () => {
  it('leaves nothing of it', async () => {
    await using fixture = await createFeedFixture();
    await fixture.publish(makeIndex());
    await add(fixture);
    await removeFeed(fixture.root, 'feed');
    assert.deepEqual(await listFeeds(fixture.root), []);
    await assert.rejects(removeFeed(fixture.root, 'feed'), failsWith('FEED_NOT_FOUND'));
    const left = Object.keys(await snapshot(join(fixture.root, 'feeds')));
    assert.deepEqual(left, [join(fixture.root, 'feeds/.lock')]);
    await add(fixture);
  });
});
