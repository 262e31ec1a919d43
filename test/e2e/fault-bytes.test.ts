import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { TreesError } from '../../trees/errors.js';
import type { BundleEntry, FeedIndex } from '../../trees/feed/schema.js';
import { trees } from '../support/cli.js';
import { fastDirectory } from '../support/delta-fixture.js';
import {
  assertSound,
  createStoreFixture,
  currentTree,
  publishTool,
  type StoreFixture,
} from '../support/store-fixture.js';
import { listContents } from '../support/untouched.js';

/** Locks may come and go; an index that is signed by the right key and newer is taken over, whatever it lists. */
const VOLATILE = ['locks', 'feeds', 'repo/.lock', 'repo/tmp', 'data'];

describe('bytes that are not what they should be', { timeout: 900_000 }, () => {
  let fixture: StoreFixture;
  let index: FeedIndex;
  let bundle: BundleEntry;
  let path: string;
  let good: Buffer;
  let untouched: string[];
  let sequence: number;
  const list = (): string[] => listContents(fixture.paths.root, VOLATILE);

  before(async () => {
    fixture = await createStoreFixture(fastDirectory());
    const { base, v1, v2 } = await publishTool(fixture);
    await fixture.publish([
      [null, base],
      [base, v1],
    ]);
    await fixture.install('tool@1');
    index = await fixture.publisher.publish([[v1, v2]]);
    const found = index.bundles.find(({ to }) => to === v2);
    assert.ok(found !== undefined);
    bundle = found;
    path = join(fixture.feed.feed, bundle.file);
    good = readFileSync(path);
    sequence = index.sequence;
    // The store has refs' and objects' directories from here on.
    untouched = list();
  });
  after(() => fixture[Symbol.asyncDispose]());

  /** Publishes an index that says of the damaged bundle what is true: only the decoder can refuse it. */
  async function vouchFor(bytes: Uint8Array): Promise<void> {
    writeFileSync(path, bytes);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const bundles = index.bundles.map((one) => (one === bundle ? { ...one, size: bytes.length, sha256 } : one));
    sequence += 1;
    await fixture.feed.publish({ ...index, sequence, bundles });
  }

  async function refused(bytes: Uint8Array, what: string): Promise<void> {
    await assert.rejects(fixture.install('tool'), (error) => {
      assert.ok(error instanceof TreesError, `${what}: ${String(error)}`);
      assert.ok(
        ['BUNDLE_CORRUPT', 'SIGNATURE_INVALID'].includes(error.code),
        `${what}: ${error.code} ${error.message}`,
      );
      assert.match(error.message, /\.delta\.zst|bundle|commit/, what);
      return true;
    });
    assert.deepEqual(list(), untouched, `${what} (${bytes.length} bytes)`);
  }

  it('flipped at each 1 %, are refused even if the index vouches for them, and change nothing', async () => {
    for (let percent = 0; percent < 100; percent += 1) {
      const at = Math.floor((good.length * percent) / 100);
      const bytes = Buffer.from(good);
      bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << (percent % 8)), at);
      await vouchFor(bytes);
      await refused(bytes, `bit ${percent % 8} of byte ${at} of ${good.length}`);
    }
    await assertSound(fixture.paths);
  });

  it('cut off at each 1 %, are refused even if the index vouches for them, and change nothing', async () => {
    for (let percent = 0; percent < 100; percent += 1) {
      const bytes = good.subarray(0, Math.floor((good.length * percent) / 100));
      // The schema takes no empty bundle.
      if (bytes.length === 0) continue;
      await vouchFor(bytes);
      await refused(bytes, `cut at ${bytes.length} of ${good.length}`);
    }
    await assertSound(fixture.paths);
  });

  it('are told by the binary, with the bundle’s name', async () => {
    await fixture.feed.publish({ ...index, sequence: (sequence += 1) });
    for (const percent of [0, 17, 50, 83, 99]) {
      const at = Math.floor((good.length * percent) / 100);
      const flipped = Buffer.from(good);
      flipped.writeUInt8(flipped.readUInt8(at) ^ 1, at);
      for (const bytes of [flipped, good.subarray(0, at)]) {
        writeFileSync(path, bytes);
        const result = await trees(fixture.root, ['install', 'tool', '--json']);
        assert.equal(result.status, 1);
        assert.match(result.stdout, /"code": ?"(BUNDLE_CORRUPT|BUNDLE_UNREADABLE)"/);
        assert.ok(result.stderr.includes(bundle.file), result.stderr);
        assert.match(result.stderr, /^hint: /m);
        assert.deepEqual(list(), untouched);
      }
    }
  });

  describe('an index', () => {
    const file = (name = 'index.json'): string => join(fixture.feed.feed, name);
    /** Everything, what is known of the feed included. */
    const everything = (): string[] => listContents(fixture.paths.root, ['locks', 'feeds/.lock']);

    async function refusedIndex(code: string, message: RegExp): Promise<void> {
      const before = everything();
      for (const command of [['install', 'tool'], ['update'], ['feed', 'refresh']]) {
        const result = await trees(fixture.root, [...command, '--json']);
        assert.equal(result.status, 1, `${command.join(' ')}: ${result.stdout}${result.stderr}`);
        assert.ok(result.stdout.includes(`"${code}"`), `${command.join(' ')}: ${result.stdout}`);
        assert.match(result.stderr, message);
        assert.deepEqual(everything(), before, command.join(' '));
      }
    }

    before(async () => {
      writeFileSync(path, good);
      await fixture.feed.publish({ ...index, sequence: (sequence += 1) });
      assert.equal((await trees(fixture.root, ['feed', 'refresh'])).status, 0);
    });

    it('that was tampered with', async () => {
      await fixture.feed.publish({ ...index, sequence: sequence + 1 });
      const text = readFileSync(file(), 'utf8');
      writeFileSync(file(), text.replace('the app tool', 'the app fool'));
      await refusedIndex('SIGNATURE_INVALID', /signature|tampered/i);
    });

    it('of an older sequence', async () => {
      await fixture.feed.publish({ ...index, sequence: sequence - 1 });
      await refusedIndex('INDEX_REPLAYED', /sequence is \d+, but \d+ has been seen/);
    });

    it('of the same sequence, but not the same', async () => {
      await fixture.feed.publish({ ...index, sequence, created: '2026-02-02T00:00:00Z' });
      await refusedIndex('INDEX_REPLAYED', /seen with other contents/);
    });

    it('that has expired', async () => {
      const times = { created: '2020-01-01T00:00:00Z', expires: '2020-02-01T00:00:00Z' };
      await fixture.feed.publish({ ...index, ...times, sequence: sequence + 1 });
      await refusedIndex('INDEX_EXPIRED', /expired at 2020-02-01/);
    });

    it('signed by another key', async () => {
      await fixture.feed.publish({ ...index, sequence: sequence + 1 }, fixture.feed.otherKey);
      await refusedIndex('FEED_UNTRUSTED', /key/);
    });

    it('of another feed', async () => {
      await fixture.feed.publish({ ...index, feed: 'elsewhere', sequence: sequence + 1 });
      await refusedIndex('INDEX_REPLAYED', /"elsewhere".*"test"/);
    });

    it('with the signature of another file', async () => {
      await fixture.feed.publish('another file');
      const signature = readFileSync(file('index.json.minisig'));
      await fixture.feed.publish({ ...index, sequence: sequence + 1 });
      writeFileSync(file('index.json.minisig'), signature);
      await refusedIndex('SIGNATURE_INVALID', /signature/i);
    });

    it('without a signature', async () => {
      await fixture.feed.publish({ ...index, sequence: sequence + 1 });
      rmSync(file('index.json.minisig'));
      await refusedIndex('FEED_UNTRUSTED', /not signed/);
    });

    it('that is right installs after all that', async () => {
      await fixture.feed.publish({ ...index, sequence: (sequence += 1) });
      const result = await trees(fixture.root, ['install', 'tool']);
      assert.equal(result.status, 0, result.stderr);
      assert.equal(currentTree(fixture.paths, 'tool').version, '2.0.0');
      await assertSound(fixture.paths);
    });
  });
});
