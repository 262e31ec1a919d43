import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { encodePublicKey } from '../../trees/feed/minisign.js';
import type { FeedIndex } from '../../trees/feed/schema.js';
import { createFakeGithub, type FakeGithub, type Repository, seedRelease } from '../support/fake-github.js';
import { createFeedFixture, type FeedFixture, publishIndex } from '../support/feed-fixture.js';
import { startForwardProxy } from '../support/forward-proxy.js';
import { createPublisher, type Publisher } from '../support/plain-publisher.js';
import { createRig, type Rig, type RunOptions, type RunResult } from '../support/rig.js';

/** The real binary as a reader of a GitHub. */
describe('reading from GitHub', () => {
  let fixture: FeedFixture;
  let publisher: Publisher;
  let github: FakeGithub;
  let index: FeedIndex;
  let key: string;

  before(async () => {
    fixture = await createFeedFixture();
    publisher = await createPublisher(fixture);
    const base = await publisher.base('deb', '12.0.0', { 'etc/base': 'base', 'big/one': 'x'.repeat(400_000) });
    const app = await publisher.layer('tool', '1.0.0', { 'usr/bin/tool': 'v1' }, { base: 'deb', tested: '12.0.0' });
    index = await publisher.publish([
      [null, base],
      [base, app],
    ]);
    key = encodePublicKey(fixture.key.public);
    github = await createFakeGithub();
    await upload(github.createRepository('maker', 'apps'));
    await upload(github.createRepository('maker', 'secret', { isPrivate: true }));
  });
  after(async () => {
    await github[Symbol.asyncDispose]();
    await publisher[Symbol.asyncDispose]();
    await fixture[Symbol.asyncDispose]();
  });

  /** Publishes the feed's directory as a release. */
  async function upload(repository: Repository): Promise<void> {
    const files: Record<string, Buffer> = {};
    for (const name of await readdir(fixture.feed)) files[name] = await readFile(join(fixture.feed, name));
    await seedRelease(github.world, repository, { tag: `index-${repository.releases.size + 1}`, files });
  }

  const environment = (more: RunOptions['env'] = {}): RunOptions => ({
    env: {
      GITHUB_SERVER_URL: github.server,
      GITHUB_API_URL: github.api,
      GITHUB_TOKEN: undefined,
      GH_TOKEN: undefined,
      ...more,
    },
  });

  const reader = (rig: Rig, more: RunOptions['env'] = {}) => {
    return async (args: readonly string[], status = 0): Promise<RunResult> => {
      const result = await rig.trees(args, environment(more));
      assert.equal(result.status, status, `trees ${args.join(' ')}:\n${result.stderr}${result.stdout}`);
      return result;
    };
  };

  it('needs no API call, no token, and says when nothing is new', async () => {
    await using rig = await createRig();
    const trees = reader(rig, { GITHUB_TOKEN: github.createToken('read') });
    github.resetCounts();
    await trees(['feed', 'add', 'github:maker/apps', '--key', key]);
    await trees(['tool']);
    assert.equal(await readFile(join(rig.store, 'apps/tool/current/rootfs/usr/bin/tool'), 'utf8'), 'v1');
    github.requests.splice(0);
    assert.match((await trees(['feed', 'refresh'])).stdout, /no news, index 1/);
    assert.deepEqual(
      github.requests.map(({ endpoint, file }) => `${endpoint} ${file}`),
      ['web/latest-download', 'web/tag-download', 'cdn/download'].map((endpoint) => `${endpoint} index.json.minisig`),
    );
    assert.equal(github.count('api'), 0);
    for (const { headers } of github.requests) assert.equal(headers.authorization, undefined);
    assert.deepEqual(github.violations, []);
  });

  it('survives a stall, an expired address and a reset in one installation', async () => {
    await using rig = await createRig();
    const trees = reader(rig, { TREES_NETWORK_TIMEOUT: '2' });
    await trees(['feed', 'add', 'github:maker/apps', '--key', key]);
    const file = index.bundles.find(({ from }) => from === null)?.file ?? '';
    github.fail('cdn/download', { kind: 'reset', after: 100 }, { file });
    github.fail('cdn/download', { kind: 'expired', status: 618 }, { file });
    github.fail('cdn/download', { kind: 'stall', after: 50 }, { file });
    const { stderr } = await trees(['install', 'tool', '-v']);
    assert.equal(github.faultsLeft(), 0);
    assert.doesNotMatch(stderr, /looking for another way/);
  });

  it('names what is wrong, with a hint and a reason for scripts', async () => {
    await using rig = await createRig();
    const trees = reader(rig, { TREES_NETWORK_RETRIES: '0' });
    github.fail('cdn/download', { kind: 'html' });
    const portal = await trees(['feed', 'add', 'github:maker/apps', '--key', key, '--json'], 1);
    const { error } = JSON.parse(portal.stdout);
    assert.equal(error.code, 'FEED_UNREACHABLE');
    assert.equal(error.details.reason, 'login-page');
    assert.match(error.hint, /log in/);
    const missing = await trees(['feed', 'add', 'github:maker/secret', '--key', key], 1);
    assert.match(missing.stderr, /hint: .*GITHUB_TOKEN/);
  });

  it('reads a private repository with a token that is never shown', async () => {
    await using rig = await createRig();
    const token = github.createToken('read');
    const trees = reader(rig, { GITHUB_TOKEN: token });
    const results = [
      await trees(['feed', 'add', 'github:maker/secret', '--key', key, '-v']),
      await trees(['install', 'tool', '-v']),
      await trees(['config']),
      await trees(['config', 'github.token', '--json']),
      await trees(['feed', 'ls', '--json']),
    ];
    for (const { stdout, stderr } of results) assert.ok(!`${stdout}${stderr}`.includes(token), stderr);
    assert.match(results[2]?.stdout ?? '', /github\.token +\(set\) +environment GITHUB_TOKEN/);
    assert.deepEqual(github.violations, []);
  });

  it('goes through a proxy from the environment', async () => {
    await using rig = await createRig();
    await using proxy = await startForwardProxy();
    const add = ['feed', 'add', 'github:maker/apps', '--key', key];
    await reader(rig, { HTTP_PROXY: proxy.url, http_proxy: undefined, NO_PROXY: undefined, no_proxy: undefined })(add);
    assert.ok(proxy.seen.length > 0);
  });

  it('takes a mirror where GitHub fails', async () => {
    await using rig = await createRig();
    const trees = reader(rig, { GITHUB_SERVER_URL: 'http://127.0.0.1:2', TREES_NETWORK_RETRIES: '0' });
    const added = await trees(['feed', 'add', 'github:maker/apps', '--key', key, '--mirror', `dir:${fixture.feed}`]);
    assert.match(added.stderr, /trying the mirror dir:/);
    await trees(['install', 'tool']);
    const recorded = async () => {
      const { mirrors, priority } = JSON.parse((await trees(['feed', 'ls', '--json'])).stdout).feeds[0];
      return { mirrors, priority };
    };
    const mirrors = [`dir:${fixture.feed}`];
    assert.deepEqual(await recorded(), { mirrors, priority: 0 });
    await trees(['feed', 'set', 'maker-apps', '--priority', '5']);
    await trees(['feed', 'set', 'maker-apps', '--clear-mirrors', '--dry-run']);
    assert.deepEqual(await recorded(), { mirrors, priority: 5 });
    assert.match((await trees(['feed', 'refresh'])).stderr, /trying the mirror/);
    await trees(['feed', 'set', 'maker-apps', '--clear-mirrors']);
    assert.match((await trees(['feed', 'refresh'], 1)).stderr, /ECONNREFUSED/);
    await trees(['feed', 'set', 'maker-apps', '--mirror', 'nonsense'], 2);
    await trees(['feed', 'set', 'maker-apps'], 2);
    await trees(['feed', 'set', 'other', '--priority', '1'], 1);
    await trees(['feed', 'set', 'maker-apps', '--mirror', ...mirrors]);
    assert.match((await trees(['feed', 'refresh'])).stdout, /no news/);
  });

  it('works offline with what is here, as long as the index is fresh or the user does not mind', async () => {
    await using rig = await createRig();
    const online = reader(rig);
    await online(['feed', 'add', 'github:maker/apps', '--key', key]);
    await online(['install', 'tool']);
    const offline = reader(rig, { GITHUB_SERVER_URL: 'http://127.0.0.1:2', TREES_NETWORK_RETRIES: '0' });
    for (const line of [['ls'], ['install', 'tool'], ['update'], ['install', 'tool', '-n', 'second'], ['co', 'tool']]) {
      await offline(line);
    }
    assert.match((await offline(['install', 'tool', '-n', 'third'])).stderr, /using its index of/);

    await using other = await createRig();
    const stale = { ...index, created: '2020-01-01T00:00:00Z', expires: '2020-02-01T00:00:00Z', sequence: 9 };
    await publishIndex(fixture.feed, stale, fixture.key);
    const late = createStale(other);
    await late(['feed', 'add', `dir:${fixture.feed}`, '-n', 'apps', '--key', key, '--allow-stale']);
    await late(['install', 'tool', '--allow-stale']);
    const { stderr } = await late(['install', 'tool', '-n', 'second'], 1);
    assert.match(stderr, /expired at 2020-02-01/);
    assert.match(stderr, /hint: .*--allow-stale/);
    await late(['install', 'tool', '-n', 'second', '--allow-stale']);
    await publishIndex(fixture.feed, index, fixture.key);
  });

  const createStale = (rig: Rig) => reader(rig, { TREES_NETWORK_RETRIES: '0' });
});
