import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { generateKeyPair, readSecretKey, type SecretKey } from '../../releases/key-file.js';
import { signSuccession } from '../../releases/succession.js';
import { verifyFeed } from '../../releases/verify.js';
import { fetchIndex } from '../../trees/feed/fetch-index.js';
import { openFeed } from '../../trees/feed/open.js';
import { formatSuccessors } from '../../trees/feed/succession.js';
import { silentReporter } from '../../trees/reporter.js';
import { failsWith } from '../support/feed-fixture.js';
import { createGithubFixture, FEED } from '../support/github-publisher.js';
import { createPublisher, program } from '../support/release-publisher.js';

describe('a new key on GitHub', () => {
  it('comes with statements that every later release has, too, and is followed without the API', async () => {
    await using fixture = await createGithubFixture();
    await using publisher = await createPublisher();
    const destination = () => fixture.destination(publisher.built.build);
    const now = new Date();
    const makeKey = async (name: string): Promise<SecretKey> => {
      const secret = join(publisher.dir, `${name}.key`);
      await generateKeyPair({ secret, public: join(publisher.dir, `${name}.pub`) }, { force: false });
      return await readSecretKey(secret);
    };
    const [next, stranger] = [await makeKey('next'), await makeKey('stranger')];
    const first = await publisher.release({ destination: destination() });
    await assert.rejects(publisher.release({ destination: destination(), key: next }), failsWith('FEED_UNTRUSTED'));
    const forged = formatSuccessors([signSuccession(first.index.feed, { old: stranger, next, now })]);
    const elsewhere = formatSuccessors([signSuccession('another', { old: publisher.key, next, now })]);
    for (const bad of [forged, elsewhere]) {
      const attempt = publisher.release({ destination: destination(), key: next, successors: Buffer.from(bad) });
      await assert.rejects(attempt, failsWith('FEED_UNTRUSTED'));
    }
    const good = formatSuccessors([signSuccession(first.index.feed, { old: publisher.key, next, now })]);
    const rotated = await publisher.release({ destination: destination(), key: next, successors: Buffer.from(good) });
    assert.deepEqual([rotated.status, rotated.index.sequence, rotated.made], ['renewed', 2, []]);
    await publisher.buildApp('3.6.0', program('3.6.0'));
    const last = await publisher.release({ destination: destination(), key: next });
    assert.equal(last.index.sequence, 3);
    const less = Buffer.from(formatSuccessors([]));
    await assert.rejects(
      publisher.release({ destination: destination(), key: next, successors: less }),
      failsWith('RELEASE_FAILED', /leaves out/),
    );

    const before = fixture.github.count('api');
    const feed = openFeed(FEED.href, { github: { server: fixture.github.server, api: fixture.github.api } });
    const read = await fetchIndex(feed, { keys: [publisher.key.public], seen: undefined, now });
    assert.ok(read !== 'unchanged');
    assert.deepEqual([read.index.sequence, read.signedBy], [3, next.public]);
    assert.deepEqual(
      read.succession.map(({ from, to }) => [from.id, to.id]),
      [[publisher.key.public.id, next.public.id]],
    );
    const report = await verifyFeed(feed, { keys: [next.public], now, reporter: silentReporter });
    assert.deepEqual(report.problems, []);
    assert.equal(fixture.github.count('api'), before, 'reading costs no API call');
    assert.deepEqual(fixture.github.violations, []);
  });
});
