import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';
import { fetchBundle } from '../../trees/feed/download.js';
import { addFeed } from '../../trees/feed/feeds.js';
import { readFeedFile } from '../../trees/feed/index-pair.js';
import type { NetworkOptions } from '../../trees/feed/network.js';
import { createCertificate } from '../support/certificate.js';
import { failsWith } from '../support/feed-fixture.js';
import { startForwardProxy } from '../support/forward-proxy.js';
import { createGithubFeed, type GithubFeed } from '../support/github-feed.js';

const confirm = async (): Promise<boolean> => await Promise.reject(new Error('asked without need'));

/** Adds the feed and fetches its bundle. */
async function readAll(feed: GithubFeed, network: NetworkOptions): Promise<void> {
  const { index } = await addFeed(feed.fixture.root, feed.url, { network, keys: [feed.fixture.key.public], confirm });
  assert.deepEqual(index, feed.index);
  const path = await fetchBundle(feed.open(network), feed.entry, join(feed.fixture.dir, 'downloads'));
  assert.deepEqual(await readFile(path), feed.content);
}

describe('a proxy', () => {
  it('is used for http, without a tunnel', async () => {
    await using feed = await createGithubFeed();
    await using proxy = await startForwardProxy();
    await readAll(feed, { ...feed.network, proxy: { http: proxy.url } });
    assert.ok(proxy.seen.length >= feed.github.requests.length);
    assert.ok(
      proxy.seen.every((line) => line.startsWith('GET http://127.0.0.1:')),
      proxy.seen.join('\n'),
    );
  });

  it('is not used for hosts that are named, nor for the other scheme', async () => {
    await using feed = await createGithubFeed();
    await using proxy = await startForwardProxy();
    await readAll(feed, { ...feed.network, proxy: { http: proxy.url, no: 'example.org,127.0.0.1' } });
    assert.deepEqual(proxy.seen, []);
    const path = join(feed.fixture.dir, 'elsewhere');
    await fetchBundle(feed.open({ ...feed.network, proxy: { https: proxy.url } }), feed.entry, path);
    assert.deepEqual(proxy.seen, []);
  });

  it('tunnels https, also of a private repository, and authorities of one’s own are trusted', async () => {
    const tls = await createCertificate();
    await using feed = await createGithubFeed({ tls, isPrivate: true });
    await using proxy = await startForwardProxy();
    const ca = join(feed.fixture.dir, 'ca.pem');
    await writeFile(ca, tls.cert);
    const token = feed.github.createToken('read');
    const github = { ...feed.network.github, token: () => token };
    const network = { ...feed.network, github };
    await assert.rejects(readAll(feed, network), failsWith('FEED_UNREACHABLE', /the server cannot be trusted/));
    await readAll(feed, { ...network, ca, proxy: { https: proxy.url } });
    assert.ok(proxy.seen.length > 0);
    assert.ok(
      proxy.seen.every((line) => line.startsWith('CONNECT 127.0.0.1:')),
      proxy.seen.join('\n'),
    );
    assert.deepEqual(feed.github.violations, []);
  });

  it('that is not there is blamed', async () => {
    await using feed = await createGithubFeed();
    const network = { ...feed.network, retries: 0, proxy: { http: 'http://127.0.0.1:9' } };
    await assert.rejects(readAll(feed, network), failsWith('FEED_UNREACHABLE', /ECONNREFUSED 127\.0\.0\.1:9/));
    assert.deepEqual(feed.github.requests, []);
  });
});

describe('the address of a proxy', () => {
  it('need not have a scheme, and is named without its password where it cannot be used', async () => {
    await using feed = await createGithubFeed();
    await using proxy = await startForwardProxy();
    await readAll(feed, { ...feed.network, proxy: { http: proxy.url.replace('http://', '') } });
    assert.ok(proxy.seen.length > 0);
    const wrong = { ...feed.network, proxy: { http: 'socks5://me:secret@127.0.0.1:1' } };
    await assert.rejects(feed.open(wrong).open('x'), (error) => {
      failsWith('CONFIG_INVALID', /cannot use the proxy "socks5:\/\/127\.0\.0\.1:1"/)(error);
      assert.ok(!inspect(error).includes('secret'));
      return true;
    });
  });

  it('has a user name and a password where the proxy wants them', async () => {
    await using feed = await createGithubFeed();
    await using proxy = await startForwardProxy({ password: 'me:secret' });
    const denied = { ...feed.network, proxy: { http: proxy.url } };
    await assert.rejects(feed.open(denied).open('x'), failsWith('FEED_UNREACHABLE', /user name and a password/));
    await readAll(feed, { ...feed.network, proxy: { http: proxy.url.replace('//', '//me:secret@') } });
  });
});

describe('an authority of one’s own', () => {
  it('is trusted without a proxy too; a file that is not there is named', async () => {
    const tls = await createCertificate();
    await using feed = await createGithubFeed({ tls });
    const ca = join(feed.fixture.dir, 'ca.pem');
    await assert.rejects(readAll(feed, { ...feed.network, ca }), failsWith('CONFIG_INVALID', /ca\.pem/));
    await writeFile(ca, tls.cert);
    await readAll(feed, { ...feed.network, ca });
    // What the environment names counts as well, whichever of the two the server is known by.
    const other = await createCertificate();
    const otherCa = join(feed.fixture.dir, 'other.pem');
    await writeFile(otherCa, other.cert);
    const read = async (network: NetworkOptions): Promise<unknown> =>
      await readFeedFile(feed.open({ ...feed.network, retries: 0, ...network }), 'index.json', { limit: 1 << 20 });
    await assert.rejects(read({ ca: otherCa }), failsWith('FEED_UNREACHABLE'));
    await read({ ca: otherCa, extraCa: ca });
    await read({ ca, extraCa: join(feed.fixture.dir, 'absent.pem') });
  });
});
