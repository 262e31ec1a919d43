import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { verifyFeed } from '../../releases/verify.js';
import { openFeed } from '../../trees/feed/open.js';
import { silentReporter } from '../../trees/reporter.js';
import { createCertificate } from '../support/certificate.js';
import { failsWith } from '../support/feed-fixture.js';
import { startForwardProxy } from '../support/forward-proxy.js';
import { createGithubFixture, FEED } from '../support/github-publisher.js';
import { createPublisher, program } from '../support/release-publisher.js';

describe('a publisher', () => {
  it('reaches GitHub Enterprise through a proxy that tunnels, by an authority of one’s own', async () => {
    const tls = await createCertificate();
    await using fixture = await createGithubFixture({ layout: 'enterprise', tls });
    await using publisher = await createPublisher();
    await using proxy = await startForwardProxy();
    const ca = join(publisher.dir, 'ca.pem');
    await writeFile(ca, tls.cert);
    const release = async (network: object) => {
      const destination = fixture.destination(publisher.built.build, { network: { ...fixture.network, ...network } });
      return await publisher.release({ destination });
    };
    await assert.rejects(release({}), failsWith('RELEASE_FAILED', /certificate/));
    const network = { ca, proxy: { https: proxy.url } };
    const { status, index } = await release(network);
    assert.equal(status, 'published');
    assert.ok(proxy.seen.length > 0);
    assert.ok(
      proxy.seen.every((line) => line.startsWith('CONNECT 127.0.0.1:')),
      proxy.seen.join('\n'),
    );
    const { server, api } = fixture.github;
    const feed = openFeed(FEED.href, { ...network, github: { server, api } });
    const report = await verifyFeed(feed, { keys: [publisher.key.public], now: new Date(), reporter: silentReporter });
    assert.deepEqual([report.problems, report.sound.length], [[], index.bundles.length]);
    assert.deepEqual(fixture.github.violations, []);
  });

  it('uploads one bundle after the other to one draft, while it makes and proves others', async () => {
    let [uploading, most] = [0, 0];
    const onRequest = async ({ endpoint }: { endpoint: string }): Promise<void> => {
      if (endpoint !== 'repos/upload-release-asset') return;
      uploading += 1;
      most = Math.max(most, uploading);
      await sleep(50);
      uploading -= 1;
    };
    await using fixture = await createGithubFixture({ onRequest });
    await using publisher = await createPublisher();
    const base = { name: 'deb', range: '^12', version: '12.0.0', commit: publisher.base };
    for (const name of ['one', 'two', 'three', 'four', 'five']) {
      const files = { [`usr/bin/${name}`]: randomBytes(1000) };
      await publisher.built.commit({ kind: 'layer', name, version: '1.0.0', base, files });
    }
    const { made } = await publisher.release({ destination: fixture.destination(publisher.built.build) });
    assert.ok(made.length >= 7, `${made.length} bundles`);
    assert.deepEqual([most, fixture.github.count('repos/create-release')], [1, 1]);
    assert.deepEqual(new Set(made.map(({ release }) => release)), new Set(['index-1']));
  });

  it('gives up an upload that does not move, and begins it again', async () => {
    await using fixture = await createGithubFixture();
    await using publisher = await createPublisher();
    const { github } = fixture;
    const upload = 'repos/upload-release-asset';
    const release = async () => {
      const destination = fixture.destination(publisher.built.build, { pace: { stall: 1000 } });
      return await publisher.release({ destination });
    };
    github.fail(upload, { kind: 'hang' });
    github.fail(upload, { kind: 'hang' }, { file: 'index.json' });
    const first = await release();
    assert.deepEqual([first.status, github.faultsLeft()], ['published', 0]);
    assert.equal(github.count(upload), first.made.length + 3 + 2);
    await publisher.buildApp('3.6.0', program('3.6.0'));
    github.fail(upload, { kind: 'hang' }, { times: 100 });
    await assert.rejects(release(), failsWith('RELEASE_FAILED', /cannot upload .*no progress for 1 s/));
    github.clearFaults();
    assert.equal((await release()).status, 'published');
    assert.deepEqual([fixture.published(), fixture.drafts()], [['index-1', 'index-2'], 0]);
    assert.deepEqual(github.violations, []);
  });

  it('sends an upload again, all of it, after a rate limit that came with it', async () => {
    await using fixture = await createGithubFixture();
    await using publisher = await createPublisher();
    const { github } = fixture;
    const upload = 'repos/upload-release-asset';
    github.fail(upload, { kind: 'secondary-limit', retryAfter: 0 }, { times: 2 });
    github.fail(upload, { kind: 'status', status: 429, retryAfter: 0 });
    github.fail(upload, { kind: 'secondary-limit' });
    github.fail(upload, { kind: 'rate-limit', reset: 0 }, { file: 'index.json' });
    const first = await publisher.release({ destination: fixture.destination(publisher.built.build) });
    assert.deepEqual([first.status, github.faultsLeft()], ['published', 0]);
    assert.equal(github.count(upload), first.made.length + 3 + 5);
    // One that lasts for hours is said, and nothing is lost by it.
    await publisher.buildApp('3.6.0', program('3.6.0'));
    github.fail(upload, { kind: 'secondary-limit', retryAfter: 7200 });
    const again = async () => await publisher.release({ destination: fixture.destination(publisher.built.build) });
    await assert.rejects(again(), failsWith('RELEASE_FAILED', /rate limit/));
    assert.deepEqual(fixture.published(), ['index-1']);
    assert.deepEqual([(await again()).status, fixture.published()], ['published', ['index-1', 'index-2']]);
    assert.deepEqual([fixture.drafts(), github.violations], [0, []]);
  });
});
