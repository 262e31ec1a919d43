import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { githubApi } from '../../releases/github/api.js';
import { listReleases } from '../../releases/github/releases.js';
import type { ReleaseResult } from '../../releases/release.js';
import { verifyFeed } from '../../releases/verify.js';
import { openFeed } from '../../trees/feed/open.js';
import type { FeedIndex } from '../../trees/feed/schema.js';
import { silentReporter } from '../../trees/reporter.js';
import { failsWith } from '../support/feed-fixture.js';
import { createGithubFixture, FEED, type GithubFixture } from '../support/github-publisher.js';
import { createPublisher, type Publisher, program } from '../support/release-publisher.js';

/** Checks the feed as its readers find it: without a token and without the API. */
async function verifyAsReader({ github }: GithubFixture, key: { public: Parameters<typeof verifyFeed>[1]['keys'][0] }) {
  const before = github.count('api');
  const feed = openFeed(FEED.href, { github: { server: github.server, api: github.api } });
  const report = await verifyFeed(feed, { keys: [key.public], now: new Date(), reporter: silentReporter });
  assert.equal(github.count('api'), before, 'reading costs no API call');
  assert.deepEqual(report.problems, []);
  assert.equal(report.sound.length, report.index.bundles.length);
  return report;
}

const LARGE = process.env['TREES_TEST_LARGE'] !== undefined;

const versions = (index: FeedIndex, app: string): string[] =>
  index.apps[app]?.versions.map(({ version }) => version) ?? [];
const names = ({ made }: ReleaseResult): string[] => made.map(({ file }) => file).sort();

describe('publishing to GitHub', () => {
  it('makes one release each time, keeps what is published where it is, and says when there is nothing to do', async () => {
    await using fixture = await createGithubFixture();
    await using publisher = await createPublisher();
    const { github } = fixture;
    const release = async (): Promise<ReleaseResult> =>
      await publisher.release({ destination: fixture.destination(publisher.built.build) });
    const first = await release();
    assert.deepEqual([first.status, first.index.sequence], ['published', 1]);
    assert.deepEqual(new Set(first.index.bundles.map((bundle) => bundle.release)), new Set(['index-1']));
    assert.equal((await release()).status, 'unchanged');
    assert.deepEqual([fixture.published(), fixture.drafts()], [['index-1'], 0]);
    const commit = await publisher.buildApp('3.6.0', program('3.6.0'));
    github.resetCounts();
    const second = await release();
    assert.deepEqual(versions(second.index, 'etcd'), ['3.6.0', '3.5.0']);
    assert.deepEqual(new Set(second.made.map((bundle) => bundle.release)), new Set(['index-2']));
    assert.deepEqual(new Set(second.reused.map((bundle) => bundle.release)), new Set(['index-1']));
    // Only what is new was uploaded, beside the three fixed files.
    assert.equal(github.count('repos/upload-release-asset'), second.made.length + 3);
    assert.ok(second.made.some(({ to }) => to === commit));
    assert.deepEqual([fixture.published(), fixture.drafts()], [['index-1', 'index-2'], 0]);
    const report = await verifyAsReader(fixture, publisher.key);
    assert.deepEqual([report.index.sequence, report.versions], [2, 3]);
    assert.deepEqual(github.violations, []);
  });

  it('fetches back what it needs when it starts on an empty machine', async () => {
    await using fixture = await createGithubFixture();
    await using publisher = await createPublisher();
    const first = await publisher.release({ destination: fixture.destination(publisher.built.build) });
    const old = first.index.apps['etcd']?.versions[0]?.commit ?? '';
    await publisher.built.reset();
    const base = { name: 'deb', range: '^12', version: '12.0.0', commit: publisher.base };
    const files = { 'usr/bin/etcd': program('3.6.0'), 'etc/.wh.os': '' };
    const commit = await publisher.built.commit({ kind: 'layer', name: 'etcd', version: '3.6.0', base, files });
    const second = await publisher.release({ destination: fixture.destination(publisher.built.build) });
    assert.ok(second.made.some(({ from, to }) => from === old && to === commit));
    // The same content under another version is no release.
    await publisher.built.commit({ kind: 'layer', name: 'etcd', version: '3.6.1', base, files });
    const third = await publisher.release({ destination: fixture.destination(publisher.built.build) });
    assert.deepEqual([third.status, versions(third.index, 'etcd')], ['unchanged', ['3.6.0', '3.5.0']]);
    await verifyAsReader(fixture, publisher.key);
  });

  it('splits bundles that one asset cannot hold, and makes again what was deleted by hand', async () => {
    await using fixture = await createGithubFixture();
    await using publisher = await createPublisher();
    const { github, repository } = fixture;
    const assetLimit = 30_000;
    github.limits.assetBytes = assetLimit;
    const destination = () => fixture.destination(publisher.built.build, { assetLimit });
    const { index } = await publisher.release({ destination: destination() });
    const split = index.bundles.filter(({ pieces }) => pieces !== undefined);
    assert.ok(split.length >= 2, `${split.length} of ${index.bundles.length}`);
    for (const { size, pieces = [] } of split) {
      assert.equal(
        pieces.reduce((sum, piece) => sum + piece.size, 0),
        size,
      );
      assert.ok(pieces.every((piece) => piece.size <= assetLimit));
    }
    await verifyAsReader(fixture, publisher.key);
    const [lost] = split;
    const piece = lost?.pieces?.[1]?.file ?? '';
    const released = [...repository.releases.values()][0];
    for (const [id, { name }] of released?.assets ?? []) if (name === piece) released?.assets.delete(id);
    const again = await publisher.release({ destination: destination() });
    assert.deepEqual([again.status, names(again)], ['published', [lost?.file]]);
    const report = await verifyAsReader(fixture, publisher.key);
    assert.equal(report.versions, 2);
    assert.deepEqual(github.violations, []);
  });

  it('makes several releases of what one cannot hold', { timeout: 1_200_000 }, async () => {
    await using fixture = await createGithubFixture();
    await using publisher = await createPublisher();
    const { github, repository } = fixture;
    // The real limit takes minutes.
    const [assetsPerRelease, apps] = LARGE ? [1000, 1010] : [12, 9];
    github.limits.assetsPerRelease = assetsPerRelease;
    const on = { name: 'deb', range: '^12', version: '12.0.0', commit: publisher.base };
    for (let number = 0; number < apps; number += 1) {
      const files = { [`usr/bin/app${number}`]: program(String(number)).subarray(0, 2000 + number) };
      await publisher.built.commit({ kind: 'layer', name: `app${number}`, version: '1.0.0', base: on, files });
    }
    const destination = fixture.destination(publisher.built.build, { assetsPerRelease });
    const { status, index } = await publisher.release({ destination, back: 0 });
    assert.equal(status, 'published');
    const sizes = [...repository.releases.values()].map(({ assets }) => assets.size);
    assert.ok(sizes.length > 1, `${sizes.length} releases`);
    assert.ok(
      sizes.every((size) => size <= assetsPerRelease),
      sizes.join(),
    );
    assert.ok(index.bundles.length + 3 > assetsPerRelease, `${index.bundles.length} bundles`);
    assert.equal(Object.keys(index.apps).length, apps + 1);
    const report = await verifyAsReader(fixture, publisher.key);
    assert.equal(report.versions, apps + 2);
    assert.deepEqual(github.violations, []);
  });

  it('deletes what nobody needs any more, and nothing that it has not made', async () => {
    await using fixture = await createGithubFixture();
    await using publisher = await createPublisher();
    const { github, repository } = fixture;
    const release = async (keep: number): Promise<ReleaseResult> =>
      await publisher.release({ destination: fixture.destination(publisher.built.build), keep });
    const headers = { authorization: `token ${fixture.token}`, 'content-type': 'application/json' };
    const byHand = await fetch(`${github.api}/repos/${FEED.owner}/${FEED.repo}/releases`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ tag_name: 'index-7', body: 'not made by trees' }),
    });
    assert.equal(byHand.status, 201);
    for (const version of ['3.5.0', '3.6.0', '3.7.0', '3.8.0']) {
      await publisher.buildApp(version, program(version));
      await release(1);
    }
    const tags = fixture.published();
    // The base is in the first; the index before the current one may still be in use.
    assert.deepEqual(tags, ['index-7', 'index-1', 'index-3', 'index-4']);
    assert.ok(!repository.refs.has('refs/tags/index-2') && !repository.refs.has('refs/trees/index/2'));
    const first = [...repository.releases.values()].find(({ tag }) => tag === 'index-1');
    const left = [...(first?.assets.values() ?? [])].map(({ name }) => name).filter((name) => name.endsWith('.zst'));
    assert.deepEqual(
      left,
      left.filter((name) => name.startsWith('deb-')),
    );
    await verifyAsReader(fixture, publisher.key);
  });

  it('works where releases cannot be changed once they are out', async () => {
    await using fixture = await createGithubFixture({}, { immutableReleases: true });
    await using publisher = await createPublisher();
    const warnings: string[] = [];
    const reporter = { ...silentReporter, warn: (message: string) => warnings.push(message) };
    for (const version of ['3.5.0', '3.6.0', '3.7.0']) {
      await publisher.buildApp(version, program(version));
      const destination = fixture.destination(publisher.built.build, { reporter });
      assert.equal((await publisher.release({ destination, reporter, keep: 1 })).status, 'published');
    }
    assert.deepEqual([fixture.published(), warnings], [['index-1', 'index-2', 'index-3'], []]);
    await verifyAsReader(fixture, publisher.key);
  });

  it('becomes the latest release again after somebody has published another one', async () => {
    await using fixture = await createGithubFixture();
    await using publisher = await createPublisher();
    const { github } = fixture;
    const release = async () => await publisher.release({ destination: fixture.destination(publisher.built.build) });
    await release();
    const headers = { authorization: `token ${fixture.token}`, 'content-type': 'application/json' };
    await fetch(`${github.api}/repos/${FEED.owner}/${FEED.repo}/releases`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ tag_name: 'v1.0.0' }),
    });
    await assert.rejects(verifyAsReader(fixture, publisher.key), failsWith('FEED_UNREACHABLE'));
    assert.equal((await release()).status, 'unchanged');
    await verifyAsReader(fixture, publisher.key);
  });
});

describe('a publisher that meets errors', () => {
  it('goes on through broken connections, lost answers, server errors and rate limits', async () => {
    await using fixture = await createGithubFixture();
    await using publisher = await createPublisher();
    const { github } = fixture;
    github.fail('repos/upload-release-asset', { kind: 'break-upload', after: 10_000 }, { times: 2 });
    github.fail('repos/upload-release-asset', { kind: 'lose-answer' }, { file: 'index.json' });
    github.fail('repos/upload-release-asset', { kind: 'status', status: 502 }, { file: 'trees.pub' });
    github.fail('repos/create-release', { kind: 'lose-answer' });
    github.fail('git/create-ref', { kind: 'lose-answer' });
    github.fail('git/update-ref', { kind: 'lose-answer' });
    github.fail('repos/update-release', { kind: 'lose-answer' });
    github.fail('repos/get', { kind: 'secondary-limit', retryAfter: 0 });
    github.fail('repos/list-releases', { kind: 'status', status: 429, retryAfter: 0 });
    github.fail('repos/list-release-assets', { kind: 'secondary-limit' });
    github.fail('cdn/download', { kind: 'reset', after: 5000 });
    const { status, index } = await publisher.release({ destination: fixture.destination(publisher.built.build) });
    assert.deepEqual([status, index.sequence], ['published', 1]);
    assert.deepEqual([fixture.published(), fixture.drafts()], [['index-1'], 0]);
    await verifyAsReader(fixture, publisher.key);
    assert.deepEqual(github.violations, []);
  });

  it('does not wait for ever for an answer, whatever was asked before', async () => {
    await using fixture = await createGithubFixture({ validate: false });
    const network = { ...fixture.network, timeout: 2 };
    const api = githubApi(FEED, { network, reporter: silentReporter, pace: { retryPause: 1 } });
    await listReleases(api);
    fixture.github.fail('repos/list-releases', { kind: 'hang' });
    await listReleases(api);
    // The time of one request is not that of the next.
    await sleep(2100);
    const before = fixture.github.count('repos/list-releases');
    await listReleases(api);
    assert.equal(fixture.github.count('repos/list-releases'), before + 1);
  });

  it('says what is wrong with the token, the repository and the limits, and never shows the token', async () => {
    await using fixture = await createGithubFixture();
    await using publisher = await createPublisher();
    const { github } = fixture;
    const refused = async (token: string | undefined, message: RegExp): Promise<void> => {
      const access = { server: github.server, api: github.api, token: token === undefined ? undefined : () => token };
      const destination = fixture.destination(publisher.built.build, { network: { github: access } });
      await assert.rejects(publisher.release({ destination }), (error: unknown) => {
        assert.ok(
          token === undefined || !JSON.stringify(Object(error), Object.getOwnPropertyNames(error)).includes(token),
        );
        return failsWith('RELEASE_FAILED', message)(error);
      });
    };
    await refused(undefined, /there is no token/);
    await refused('ghp_wrong', /the token is not accepted/);
    await refused(github.createToken('read'), /the token may not write to it/);
    github.fail('repos/list-releases', { kind: 'rate-limit', reset: 3600 });
    await refused(fixture.token, /rate limit of the token is used up until/);
    github.fail('repos/create-release', { kind: 'status', status: 403, message: 'Resource not accessible' });
    await refused(fixture.token, /the token may not do this \(Resource not accessible\)/);
    await fetch(`${github.api}/repos/${FEED.owner}/${FEED.repo}/releases`, {
      method: 'POST',
      headers: { authorization: `token ${fixture.token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ tag_name: 'index-1' }),
    });
    await refused(fixture.token, /its release index-1 is not one of this feed/);
    github.createRepository('me', 'feed', { isEmpty: true });
    await refused(fixture.token, /Repository is empty/);
    github.world.repositories.clear();
    await refused(fixture.token, /no such repository, or the token may not see it/);
  });

  it('gives its number back, and its draft is taken up again', async () => {
    await using fixture = await createGithubFixture();
    await using publisher = await createPublisher();
    const { github, repository } = fixture;
    github.fail('repos/update-release', { kind: 'status', status: 403, message: 'No' });
    const release = async () => await publisher.release({ destination: fixture.destination(publisher.built.build) });
    await assert.rejects(release(), failsWith('RELEASE_FAILED', /No/));
    assert.deepEqual([fixture.published(), fixture.drafts()], [[], 1]);
    assert.ok(!repository.refs.has('refs/trees/index/1'));
    github.resetCounts();
    assert.equal((await release()).status, 'published');
    assert.deepEqual([fixture.published(), fixture.drafts()], [['index-1'], 0]);
    // The bundles were there; the index is a new one.
    const uploaded = github.requests.filter(({ endpoint }) => endpoint === 'repos/upload-release-asset');
    assert.deepEqual(new Set(uploaded.map(({ file }) => file)), new Set(['index.json', 'index.json.minisig']));
    await verifyAsReader(fixture, publisher.key);
  });
});

describe('several publishers', () => {
  it('go on with the draft of one whose machine is gone, and leave those that are at work alone', async () => {
    await using fixture = await createGithubFixture();
    await using first = await createPublisher();
    await using second = await createPublisher();
    await using third = await createPublisher();
    for (const publisher of [first, second, third]) await publisher.buildApp('3.6.0', program('3.6.0'));
    const { github, repository } = fixture;
    github.fail('repos/update-release', { kind: 'status', status: 403 });
    const release = async (publisher: Publisher): Promise<ReleaseResult> =>
      await publisher.release({ destination: fixture.destination(publisher.built.build), key: first.key });
    await assert.rejects(release(first), failsWith('RELEASE_FAILED'));
    const [draft] = [...repository.releases.values()];
    assert.ok(draft !== undefined);
    // One asset was half uploaded when the machine went away, of another the bytes are wrong.
    const bundles = [...draft.assets.values()].filter(({ name }) => name.endsWith('.zst'));
    const [half, wrong, ...whole] = bundles;
    assert.ok(half !== undefined && wrong !== undefined && whole.length > 0);
    half.state = 'starter';
    wrong.sha256 = '0'.repeat(64);
    const long = new Date(Date.now() - 2 * 60 * 60 * 1000);
    Object.assign(draft, { created: long });
    for (const asset of draft.assets.values()) asset.updated = long;
    github.resetCounts();
    assert.equal((await release(second)).status, 'published');
    const uploaded = github.requests
      .filter(({ endpoint }) => endpoint === 'repos/upload-release-asset')
      .map(({ file = '' }) => file)
      .filter((file) => file.endsWith('.zst'));
    assert.deepEqual(uploaded.toSorted(), [half.name, wrong.name].toSorted());
    assert.deepEqual([fixture.published(), fixture.drafts()], [['index-1'], 0]);
    // Who comes back finds its work done, and so does a third one.
    for (const publisher of [first, third]) assert.equal((await release(publisher)).status, 'unchanged');
    await verifyAsReader(fixture, first.key);
    assert.deepEqual(github.violations, []);
  });

  it('leave no draft of one whose work another one has published', async () => {
    await using fixture = await createGithubFixture();
    await using first = await createPublisher();
    await using second = await createPublisher();
    const { github } = fixture;
    github.fail('repos/update-release', { kind: 'status', status: 403 });
    const release = async (publisher: Publisher): Promise<ReleaseResult> =>
      await publisher.release({ destination: fixture.destination(publisher.built.build), key: first.key });
    await assert.rejects(release(first), failsWith('RELEASE_FAILED'));
    assert.equal(fixture.drafts(), 1);
    assert.equal((await release(second)).status, 'published');
    assert.equal((await release(first)).status, 'unchanged');
    assert.deepEqual([fixture.published(), fixture.drafts()], [['index-1'], 0]);
  });

  it('all end in the index, whoever is first', { timeout: 300_000 }, async () => {
    await using fixture = await createGithubFixture();
    const { github } = fixture;
    await using first = await createPublisher();
    const others = await Promise.all(
      Array.from({ length: 7 }, async (_, number) => {
        const publisher = await createPublisher();
        const on = { name: 'deb', range: '^12', version: '12.0.0', commit: publisher.base };
        const files = { [`usr/bin/app${number}`]: randomBytes(1000) };
        await publisher.built.commit({ kind: 'layer', name: `app${number}`, version: '1.0.0', base: on, files });
        return publisher;
      }),
    );
    try {
      const results = await Promise.all(
        [first, ...others].map(async (publisher, number) => {
          const names = number === 0 ? ['etcd'] : [`app${number - 1}`];
          const destination = fixture.destination(publisher.built.build);
          return await publisher.release({ destination, key: first.key, names });
        }),
      );
      assert.deepEqual(new Set(results.map(({ index }) => index.sequence)), new Set([1, 2, 3, 4, 5, 6, 7, 8]));
      const { index, versions: installable } = await verifyAsReader(fixture, first.key);
      assert.equal(index.sequence, 8);
      assert.deepEqual(Object.keys(index.apps), ['app0', 'app1', 'app2', 'app3', 'app4', 'app5', 'app6', 'etcd']);
      assert.equal(installable, 9);
      assert.equal(fixture.drafts(), 0);
      // The base is the same for all: it was published once, whoever came first.
      assert.equal(index.bundles.filter(({ file }) => file.startsWith('deb-')).length, 1);
      assert.deepEqual(github.violations, []);
    } finally {
      for (const publisher of others) await publisher[Symbol.asyncDispose]();
    }
  });

  it('take over from one that died holding the next number, once it has been silent for long', async () => {
    await using fixture = await createGithubFixture();
    await using dead = await createPublisher();
    await using alive = await createPublisher();
    const { github, repository } = fixture;
    // It cannot give the number back: it is gone.
    github.fail('repos/update-release', { kind: 'status', status: 403 });
    github.fail('git/get-ref', { kind: 'status', status: 403 });
    await assert.rejects(dead.release({ destination: fixture.destination(dead.built.build), key: alive.key }));
    assert.ok(repository.refs.has('refs/trees/index/1'));
    const waiting = new AbortController();
    const stop = setTimeout(() => waiting.abort(new Error('waited')), 3000);
    const { signal } = waiting;
    await assert.rejects(
      alive.release({ destination: fixture.destination(alive.built.build, { signal }), signal }),
      /waited/,
    );
    clearTimeout(stop);
    github.advance(15 * 60);
    const result = await alive.release({ destination: fixture.destination(alive.built.build) });
    assert.deepEqual([result.status, result.index.sequence], ['published', 1]);
    await verifyAsReader(fixture, alive.key);
    assert.deepEqual(github.violations, []);
  });
});
