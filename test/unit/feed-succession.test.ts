import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { generateKeyPair, readSecretKey, type SecretKey } from '../../releases/key-file.js';
import { signSuccession } from '../../releases/succession.js';
import { addFeed, loadFeed, refreshFeed } from '../../trees/feed/feeds.js';
import { type KnownFeed, listFeeds } from '../../trees/feed/records.js';
import type { FeedIndex } from '../../trees/feed/schema.js';
import { formatSuccessors, type SignedSuccession } from '../../trees/feed/succession.js';
import type { Reporter } from '../../trees/reporter.js';
import { silentReporter } from '../../trees/reporter.js';
import { createFeedFixture, type FeedFixture, failsWith, makeIndex, snapshot } from '../support/feed-fixture.js';

const now = new Date('2026-02-01T00:00:00Z');

describe('succession of keys', () => {
  let fixture: FeedFixture;
  let keys: SecretKey[];
  let told: string[];
  let reporter: Reporter;

  const key = (position: number): SecretKey => {
    const found = keys[position];
    if (found === undefined) throw new Error(`no key ${position}`);
    return found;
  };
  const statement = (from: number, to: number, feed = 'test'): SignedSuccession =>
    signSuccession(feed, { old: key(from), next: key(to), now });
  const publish = async (
    signer: number,
    statements: readonly SignedSuccession[] | string,
    changes: Partial<FeedIndex> = {},
  ): Promise<void> => {
    await fixture.publish(makeIndex({ sequence: 6, ...changes }), key(signer));
    const text = typeof statements === 'string' ? statements : formatSuccessors(statements);
    await writeFile(join(fixture.feed, 'successors.json'), text);
  };
  const known = async (): Promise<KnownFeed> => {
    const [feed] = await listFeeds(fixture.root);
    if (feed === undefined) throw new Error('no feed');
    return feed;
  };
  const refresh = async (dryRun = false) => await refreshFeed(fixture.root, await known(), { now, reporter, dryRun });
  const add = async (...trusted: number[]) =>
    await addFeed(fixture.root, `dir:${fixture.feed}`, {
      now,
      reporter,
      keys: trusted.map((position) => key(position).public),
      confirm: async () => await Promise.resolve(false),
    });
  const ids = (list: readonly { id: string }[] = []): string[] => list.map(({ id }) => id);
  const refused = async (code: string, message?: RegExp): Promise<void> => {
    const before = await snapshot(fixture.root);
    await assert.rejects(refresh(), failsWith(code, message));
    assert.deepEqual(await snapshot(fixture.root), before);
    assert.deepEqual(told, []);
  };

  beforeEach(async () => {
    fixture = await createFeedFixture();
    keys = [fixture.key, fixture.otherKey];
    for (const name of ['three', 'four']) {
      const secret = join(fixture.dir, `${name}.key`);
      await generateKeyPair({ secret, public: join(fixture.dir, `${name}.pub`) }, { force: false });
      keys.push(await readSecretKey(secret));
    }
    told = [];
    reporter = { ...silentReporter, warn: (message) => told.push(message) };
    await fixture.publish(makeIndex());
    await add(0);
  });
  afterEach(async () => await fixture[Symbol.asyncDispose]());

  it('follows statements to the key that signs now, says so, and trusts only that from then on', async () => {
    await publish(2, [statement(0, 1), statement(1, 2)]);
    await refresh(true);
    assert.deepEqual(ids((await known()).keys), [key(0).public.id]);
    told.length = 0;
    const { feed, index } = await refresh();
    assert.equal(index.sequence, 6);
    assert.match(told.join('\n'), new RegExp(`named ${key(2).public.id} \\(SHA256:\\S+\\) its successor`));
    assert.deepEqual(feed, await known());
    assert.deepEqual(ids(feed.keys), [key(2).public.id]);
    assert.deepEqual(ids(feed.former), [key(0).public.id, key(1).public.id]);
    assert.equal((await loadFeed(fixture.root, await known(), { now }))?.index.sequence, 6);
    told.length = 0;
    await publish(2, [statement(0, 1), statement(1, 2)], { sequence: 7 });
    await refresh();
    for (const old of [0, 1]) {
      await publish(old, [statement(0, 1), statement(1, 2)], { sequence: 8 });
      await refused('FEED_UNTRUSTED');
      // An old key that fell into wrong hands names somebody else.
      await publish(3, [statement(old, 3)], { sequence: 8 });
      await refused('FEED_UNTRUSTED');
    }
  });

  it('adds a feed by a former key or by the present one', async () => {
    for (const trusted of [0, 1]) {
      await rm(fixture.root, { recursive: true });
      await publish(1, [statement(0, 1)]);
      const { feed } = await add(trusted);
      assert.deepEqual(feed, await known());
      assert.deepEqual([ids(feed.keys), ids(feed.former)], [[key(1).public.id], [key(0).public.id]]);
    }
  });

  it('goes on where it was killed between the index and the key', async () => {
    const record = join(fixture.root, 'feeds/feed/feed.json');
    const before = await known();
    await publish(1, [statement(0, 1)]);
    await refresh();
    const { formatFeedRecord } = await import('../../trees/feed/records.js');
    await writeFile(record, formatFeedRecord(before));
    const { feed } = await refresh();
    assert.deepEqual(ids(feed.keys), [key(1).public.id]);
    assert.deepEqual(ids((await known()).keys), [key(1).public.id]);
  });

  it('refuses a key that nobody has named', async () => {
    await publish(1, []);
    await refused('FEED_UNTRUSTED');
    await rm(join(fixture.feed, 'successors.json'));
    await refused('FEED_UNTRUSTED');
  });

  it('refuses what an unrelated key says', async () => {
    await publish(1, [statement(2, 1)]);
    await refused('FEED_UNTRUSTED');
    await publish(1, [statement(0, 2), statement(3, 1)]);
    await refused('FEED_UNTRUSTED');
  });

  it('refuses a statement on another feed, whatever the index calls itself', async () => {
    await publish(1, [statement(0, 1, 'another')]);
    await refused('FEED_UNTRUSTED');
    await publish(1, [statement(0, 1, 'another')], { feed: 'another' });
    await refused('FEED_UNTRUSTED');
    await publish(1, [statement(0, 1)], { feed: 'another' });
    await refused('INDEX_REPLAYED');
    await publish(2, [statement(0, 1), statement(1, 2, 'another')]);
    await refused('FEED_UNTRUSTED');
    await rm(fixture.root, { recursive: true });
    await publish(1, [statement(0, 1, 'another')]);
    await assert.rejects(add(0), failsWith('FEED_UNTRUSTED'));
  });

  it('refuses changed statements and borrowed signatures', async () => {
    const good = statement(0, 1);
    const forged = statement(3, 1);
    for (const bad of [
      { ...good, statement: good.statement.replace('2026', '2027') },
      { ...good, statement: forged.statement },
      { ...good, oldSignature: good.newSignature },
      { ...good, newSignature: good.oldSignature },
      { ...forged, statement: good.statement },
    ]) {
      await publish(1, [bad]);
      await assert.rejects(refresh(), (error: Error) =>
        /FEED_UNTRUSTED|SIGNATURE_INVALID/.test(Reflect.get(error, 'code')),
      );
    }
    for (const bad of [
      'not JSON',
      '{"schema":1}',
      formatSuccessors([{ ...good, statement: `${good.statement}more: yes\n` }]),
      formatSuccessors(Array.from({ length: 65 }, () => good)),
    ]) {
      await publish(1, bad);
      await refused('INDEX_INVALID', /successors\.json/);
    }
    assert.deepEqual(ids((await known()).keys), [key(0).public.id]);
  });

  it('takes no statement for an index and no index for a statement', async () => {
    const good = statement(0, 1);
    await writeFile(join(fixture.feed, 'index.json'), good.statement);
    await writeFile(join(fixture.feed, 'index.json.minisig'), good.oldSignature);
    await refused('INDEX_INVALID');
  });

  it('refuses loops, forks and chains without end', async () => {
    await publish(3, [statement(0, 1), statement(1, 0), statement(1, 2), statement(2, 1)]);
    await assert.rejects(refresh(), failsWith('FEED_UNTRUSTED', /several successors/));
    await publish(3, [statement(0, 1), statement(1, 2), statement(2, 0)]);
    await refused('FEED_UNTRUSTED', /trusted: /);
    await publish(1, [statement(0, 1), statement(0, 2)]);
    await refused('FEED_UNTRUSTED', /several successors/);
    for (let position = keys.length; position < 20; position += 1) {
      const secret = join(fixture.dir, `${position}.key`);
      await generateKeyPair({ secret, public: `${secret}.pub` }, { force: false });
      keys.push(await readSecretKey(secret));
    }
    const chain = (length: number): SignedSuccession[] =>
      Array.from({ length }, (_, position) => statement(position, position + 1));
    await publish(17, chain(17));
    await refused('FEED_UNTRUSTED', /over 16/);
    await publish(16, chain(16));
    assert.equal((await refresh()).index.sequence, 6);
  });

  it('refuses an older index of the new key', async () => {
    await publish(1, [statement(0, 1)], { sequence: 4 });
    await refused('INDEX_REPLAYED');
  });
});
