import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';
import { fetchBundle } from '../../trees/feed/download.js';
import { addFeed, type FeedsOptions, refreshFeed } from '../../trees/feed/feeds.js';
import type { NetworkOptions } from '../../trees/feed/network.js';
import { readRange } from '../../trees/feed/range.js';
import { readFeedRecord, readFeedState } from '../../trees/feed/records.js';
import { failsWith, snapshot } from '../support/feed-fixture.js';
import { serveDirectory } from '../support/feed-server.js';
import { BUNDLE_FILE, createGithubFeed, type GithubFeed } from '../support/github-feed.js';

const MIB = 1024 * 1024;
const confirm = async (): Promise<boolean> => await Promise.reject(new Error('asked without need'));

async function add(feed: GithubFeed, options: FeedsOptions & { mirrors?: readonly string[]; url?: string } = {}) {
  const { url = feed.url, ...rest } = options;
  return await addFeed(feed.fixture.root, url, {
    network: feed.network,
    keys: [feed.fixture.key.public],
    confirm,
    ...rest,
  });
}

/** Fetches the feed's bundle into a directory that is gone afterwards. */
async function fetchInto(feed: GithubFeed, network: NetworkOptions = feed.network, before?: Buffer): Promise<Buffer> {
  const dir = await mkdtemp(join(tmpdir(), 'trees-get-'));
  try {
    if (before !== undefined) await writeFile(join(dir, `${feed.entry.sha256}.partial`), before);
    return await readFile(await fetchBundle(feed.open(network), feed.entry, dir));
  } finally {
    await rm(dir, { recursive: true });
  }
}

const withToken = (feed: GithubFeed, token: string, more: NetworkOptions = {}): NetworkOptions => ({
  ...feed.network,
  ...more,
  github: { ...feed.network.github, token: () => token },
});

describe('a public repository', () => {
  it('is read without one API call, whether or not there is a token', async () => {
    await using feed = await createGithubFeed();
    for (const network of [feed.network, withToken(feed, feed.github.createToken('read'))]) {
      await rm(feed.fixture.root, { recursive: true, force: true });
      const { feed: known } = await add(feed, { network });
      await refreshFeed(feed.fixture.root, known, { network });
      assert.deepEqual(await fetchInto(feed, network), feed.content);
      const source = feed.open(network);
      assert.deepEqual(await readRange(source, feed.entry, { offset: 7, length: 9 }), feed.content.subarray(7, 16));
    }
    assert.equal(feed.github.count('api'), 0);
    assert.ok(feed.github.count('cdn/download') > 0);
    for (const { headers } of feed.github.requests) assert.equal(headers.authorization, undefined);
    assert.deepEqual(feed.github.violations, []);
  });

  it('is asked with what is known, and answers that nothing is new', async () => {
    await using feed = await createGithubFeed();
    const { feed: known } = await add(feed);
    const stored = await snapshot(feed.fixture.root);
    feed.github.resetCounts();
    const { index } = await refreshFeed(feed.fixture.root, known, { network: feed.network });
    assert.deepEqual(index, feed.index);
    assert.deepEqual(
      feed.github.requests.filter(({ endpoint }) => endpoint === 'cdn/download').map(({ file }) => file),
      ['index.json.minisig'],
    );
    assert.match(feed.github.requests.at(-1)?.headers['if-none-match'] ?? '', /^"0x/);
    assert.deepEqual(await snapshot(feed.fixture.root), stored);
    await feed.publish('index-6', { sequence: 6 });
    const next = await refreshFeed(feed.fixture.root, known, { network: feed.network });
    assert.equal(next.index.sequence, 6);
    assert.equal((await readFeedState(feed.fixture.root, known.name))?.sequence, 6);
  });

  it('is asked for all of it where what is stored is damaged, although nothing is new', async () => {
    await using feed = await createGithubFeed();
    const { feed: known } = await add(feed);
    const path = join(feed.fixture.root, 'feeds', known.name, 'index.json');
    await writeFile(path, `${await readFile(path, 'utf8')} `);
    assert.deepEqual((await refreshFeed(feed.fixture.root, known, { network: feed.network })).index, feed.index);
  });

  it('is not trusted any longer than its index says, although nothing is new', async () => {
    await using feed = await createGithubFeed();
    const { feed: known } = await add(feed);
    const now = new Date('2040-01-01T00:00:00Z');
    const late = refreshFeed(feed.fixture.root, known, { network: feed.network, now });
    await assert.rejects(late, failsWith('INDEX_EXPIRED'));
    const stale = await refreshFeed(feed.fixture.root, known, { network: feed.network, now, allowStale: true });
    assert.equal(stale.stale, true);
  });
});

describe('downloads from GitHub', () => {
  it('go on where they broke off, if the file is still the same, and from the address on github.com', async () => {
    await using feed = await createGithubFeed();
    feed.github.fail('cdn/download', { kind: 'reset', after: 100_000 }, { file: BUNDLE_FILE });
    feed.github.fail('cdn/download', { kind: 'expired', status: 618 }, { file: BUNDLE_FILE });
    assert.deepEqual(await fetchInto(feed), feed.content);
    const [first, expired, last] = feed.github.requests.filter(({ endpoint }) => endpoint === 'cdn/download');
    assert.equal(first?.headers.range, undefined);
    for (const request of [expired, last]) {
      assert.match(request?.headers.range ?? '', /^bytes=[1-9]\d*-$/);
      assert.match(String(request?.headers['if-range']), /^"0x/);
    }
    assert.equal(feed.github.count('web/tag-download'), 3);
  });

  it('of big bundles use few big ranges over several connections', async () => {
    await using feed = await createGithubFeed({ bundleSize: 70 * MIB + 1 });
    assert.ok((await fetchInto(feed)).equals(feed.content));
    const ranges = feed.github.requests.filter(({ endpoint }) => endpoint === 'cdn/download');
    const parse = (range = ''): number[] => (/^bytes=(\d+)-(\d+)$/.exec(range) ?? []).slice(1).map(Number);
    const sizes = ranges.map(({ headers }) => parse(headers.range)).map(([from = 0, to = 0]) => to - from + 1);
    assert.equal(
      sizes.reduce((sum, size) => sum + size, 0),
      feed.content.length,
    );
    assert.equal(ranges.length, 9);
    // The redirect is followed once for each connection at most.
    assert.ok(feed.github.count('web/tag-download') <= 3);
  });

  it('of big bundles fall back to one connection where ranges are not known or the line is bad', async () => {
    await using feed = await createGithubFeed({ bundleSize: 66 * MIB });
    feed.github.fail('cdn/download', { kind: 'no-range' }, { times: Number.POSITIVE_INFINITY });
    assert.ok((await fetchInto(feed)).equals(feed.content));
    feed.github.clearFaults();
    feed.github.fail('cdn/download', { kind: 'reset', after: MIB }, { times: 5 });
    assert.ok((await fetchInto(feed)).equals(feed.content));
  });
});

describe('a private repository', () => {
  for (const layout of ['github.com', 'enterprise'] as const) {
    it(`of ${layout} is read with a token, which goes to the API only`, async () => {
      await using feed = await createGithubFeed({ isPrivate: true, layout });
      const token = feed.github.createToken('read');
      const network = withToken(feed, token);
      const { feed: known, index } = await add(feed, { network });
      assert.deepEqual(index, feed.index);
      await refreshFeed(feed.fixture.root, known, { network });
      const partial = feed.content.subarray(0, 1000);
      feed.github.fail('cdn/download', { kind: 'expired' }, { file: BUNDLE_FILE });
      assert.deepEqual(await fetchInto(feed, network, partial), feed.content);
      assert.deepEqual(feed.github.violations, []);
      assert.ok(feed.github.count('api') > 0);
      for (const { endpoint, headers } of feed.github.requests) {
        if (!endpoint.startsWith('repos/')) assert.equal(headers.authorization, undefined, endpoint);
      }
    });
  }

  it('says what is missing without a token, with a wrong one, and when its budget is spent', async () => {
    await using feed = await createGithubFeed({ isPrivate: true });
    await assert.rejects(add(feed), (error) => {
      failsWith('FEED_UNREACHABLE', /has no index\.json/)(error);
      assert.match(inspect(error), /GITHUB_TOKEN/);
      return true;
    });
    const wrong = withToken(feed, 'ghp_wrongsecret');
    await assert.rejects(add(feed, { network: wrong }), (error) => {
      failsWith('FEED_UNREACHABLE', /does not accept the token/)(error);
      assert.ok(!inspect(error, { depth: 9, showHidden: true }).includes('ghp_wrongsecret'), 'the token was shown');
      return true;
    });
    feed.github.limits.authenticated = 0;
    const spent = withToken(feed, feed.github.createToken('read'));
    await assert.rejects(
      add(feed, { network: spent }),
      failsWith('FEED_UNREACHABLE', /too many requests; it asks to wait \d+ min/),
    );
  });

  it('finds files on further pages of a release', async () => {
    await using feed = await createGithubFeed({ isPrivate: true });
    const release = [...feed.repository.releases.values()][0];
    const [model] = release?.assets.values() ?? [];
    assert.ok(release !== undefined && model !== undefined);
    const wanted = [...release.assets];
    release.assets.clear();
    for (let number = 0; number < 250; number += 1) {
      release.assets.set(50_000 + number, { ...model, id: 50_000 + number, name: `other-${number}` });
    }
    for (const [id, asset] of wanted) release.assets.set(id, asset);
    assert.deepEqual(await fetchInto(feed, withToken(feed, feed.github.createToken('read'))), feed.content);
  });
});

describe('mirrors', () => {
  it('are tried in order, for the index and for bundles, and remembered', async () => {
    await using feed = await createGithubFeed();
    await writeFile(join(feed.fixture.feed, BUNDLE_FILE), feed.content);
    await using mirror = await serveDirectory(feed.fixture.feed);
    const warnings: string[] = [];
    const task = { update: () => undefined, done: () => undefined, [Symbol.dispose]: () => undefined };
    const reporter = {
      warn: (message: string) => warnings.push(message),
      info: () => undefined,
      debug: () => undefined,
      task: () => task,
    };
    const down = { kind: 'status', status: 500 } as const;
    const forever = { times: Number.POSITIVE_INFINITY };
    feed.github.fail('cdn/download', down, forever);
    const mirrors = ['http://127.0.0.1:2/', mirror.origin];
    const { feed: known } = await add(feed, { mirrors, reporter });
    assert.deepEqual(known.mirrors, [mirrors[0], `${mirror.origin}/`]);
    assert.deepEqual((await readFeedRecord(feed.fixture.root, known.name))?.mirrors, known.mirrors);
    assert.equal(warnings.length, 2);
    assert.match(warnings[0] ?? '', /trying the mirror http:\/\/127\.0\.0\.1:2\//);
    feed.github.clearFaults();
    // Half from the feed, the rest from the mirror.
    feed.github.fail('cdn/download', { kind: 'reset', after: 100_000 });
    feed.github.fail('cdn/download', down, forever);
    const source = feed.open();
    const dir = join(feed.fixture.dir, 'downloads');
    const { openFeed } = await import('../../trees/feed/open.js');
    const path = await fetchBundle(openFeed({ ...known, mirrors: [mirror.origin] }, feed.network), feed.entry, dir);
    assert.deepEqual(await readFile(path), feed.content);
    assert.match(mirror.seen.find(({ url }) => url.endsWith(BUNDLE_FILE))?.range ?? '', /^bytes=[1-9]\d+-$/);
    assert.equal(source.mirrors, undefined);
  });

  it('that are behind are not believed, and the feed itself is blamed', async () => {
    await using feed = await createGithubFeed();
    await using mirror = await serveDirectory(feed.fixture.feed);
    const { feed: known } = await add(feed, { mirrors: [mirror.origin] });
    const old = await snapshot(feed.fixture.feed);
    await feed.publish('index-6', { sequence: 6 });
    await refreshFeed(feed.fixture.root, known, { network: feed.network });
    await feed.fixture.publish({ ...feed.index, sequence: 4 });
    assert.notDeepEqual(await snapshot(feed.fixture.feed), old);
    feed.github.fail('cdn/download', { kind: 'html' }, { times: Number.POSITIVE_INFINITY });
    const before = await snapshot(feed.fixture.root);
    await assert.rejects(
      refreshFeed(feed.fixture.root, known, { network: feed.network }),
      failsWith('FEED_UNREACHABLE', /a web page/),
    );
    assert.deepEqual(await snapshot(feed.fixture.root), before);
  });
});
