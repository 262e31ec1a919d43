import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fetchBundle } from '../../trees/feed/download.js';
import type { Feed } from '../../trees/feed/feed.js';
import { openFeed } from '../../trees/feed/open.js';
import { readRange } from '../../trees/feed/range.js';
import type { BundleEntry } from '../../trees/feed/schema.js';
import { bundle, checksum, failsWith } from '../support/feed-fixture.js';
import { type FeedServer, serveDirectory } from '../support/feed-server.js';

const SIZE = 300_000;
const content = Buffer.alloc(SIZE, 'some bytes of a bundle ');
const sha256 = createHash('sha256').update(content).digest('hex');
const entry: BundleEntry = bundle(null, checksum('to'), { file: 'one.zst', size: SIZE, sha256 });

interface Place extends AsyncDisposable {
  readonly source: string;
  readonly downloads: string;
  readonly server: FeedServer;
  readonly http: Feed;
  readonly directory: Feed;
}

async function place(served: Buffer = content): Promise<Place> {
  const dir = await mkdtemp(join(tmpdir(), 'trees-download-'));
  await writeFile(join(dir, 'one.zst'), served);
  const server = await serveDirectory(dir);
  return {
    source: dir,
    downloads: join(dir, 'downloads'),
    server,
    http: openFeed(`${server.origin}/some/feed`),
    directory: openFeed(`dir:${dir}`),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

const listing = async (path: string): Promise<string[]> => await readdir(path).catch(() => []);

for (const kind of ['directory', 'http'] as const) {
  describe(`fetchBundle from ${kind}`, () => {
    it('fetches, verifies and names the file by its digest', async () => {
      await using here = await place();
      const path = await fetchBundle(here[kind], entry, here.downloads);
      assert.equal(path, join(here.downloads, sha256));
      assert.deepEqual(await readFile(path), content);
      assert.deepEqual(await listing(here.downloads), [sha256]);
    });

    it('uses what was verified before, but only if it still is', async () => {
      await using here = await place();
      const path = await fetchBundle(here[kind], entry, here.downloads);
      await rm(join(here.source, 'one.zst'));
      assert.equal(await fetchBundle(here[kind], entry, here.downloads), path);
      await writeFile(path, Buffer.alloc(SIZE, 'x'));
      await assert.rejects(
        fetchBundle(here[kind], entry, here.downloads),
        failsWith('FEED_UNREACHABLE', /no such file/),
      );
    });

    it('resumes a partial file', async () => {
      await using here = await place();
      await fetchBundle(here[kind], entry, here.downloads);
      await rm(join(here.downloads, sha256));
      await writeFile(join(here.downloads, `${sha256}.partial`), content.subarray(0, 200_001));
      assert.deepEqual(await readFile(await fetchBundle(here[kind], entry, here.downloads)), content);
      if (kind === 'http') assert.equal(here.server.seen.at(-1)?.range, 'bytes=200001-');
    });

    it('starts again where the partial file is damaged or too long', async () => {
      for (const partial of [Buffer.alloc(100_000, 'x'), Buffer.alloc(SIZE, 'x'), Buffer.alloc(SIZE + 1, 'x')]) {
        await using here = await place();
        await fetchBundle(here[kind], entry, here.downloads);
        await rm(join(here.downloads, sha256));
        await writeFile(join(here.downloads, `${sha256}.partial`), partial);
        assert.deepEqual(await readFile(await fetchBundle(here[kind], entry, here.downloads)), content);
      }
    });

    it('refuses changed, truncated and extended bundles, and keeps nothing of them', async () => {
      const flipped = Buffer.from(content);
      flipped.writeUInt8(flipped.readUInt8(1000) ^ 1, 1000);
      for (const [bytes, message] of [
        [flipped, /SHA-256/],
        [content.subarray(0, 100), /ends after 100 of/],
        [Buffer.alloc(0), /ends after 0 of/],
        [Buffer.concat([content, Buffer.from('x')]), /longer than/],
      ] as const) {
        await using here = await place(bytes);
        await assert.rejects(fetchBundle(here[kind], entry, here.downloads), failsWith('BUNDLE_CORRUPT', message));
        assert.deepEqual(await listing(here.downloads), []);
      }
    });

    it('stops when it is told to and keeps what it has', async () => {
      await using here = await place();
      const abort = new AbortController();
      abort.abort();
      const stopped = fetchBundle(here[kind], entry, here.downloads, { signal: abort.signal });
      await assert.rejects(stopped, { name: 'AbortError' });
      assert.ok(!(await listing(here.downloads)).includes(sha256));
    });
  });
}

describe('fetchBundle over a bad line', () => {
  it('goes on where the connection broke', async () => {
    await using here = await place();
    here.server.fail('one.zst', { kind: 'cut', after: 100_000 }, { kind: 'cut', after: 50_000 });
    assert.deepEqual(await readFile(await fetchBundle(here.http, entry, here.downloads)), content);
    const ranges = here.server.seen.map(({ range }) => range);
    assert.equal(ranges[0], undefined);
    assert.match(ranges[1] ?? '', /^bytes=\d+-$/);
    assert.ok(ranges.length >= 3);
  });

  it('starts again at a server that does not know ranges', async () => {
    await using here = await place();
    here.server.ranges = false;
    here.server.fail('one.zst', { kind: 'cut', after: 100_000 });
    assert.deepEqual(await readFile(await fetchBundle(here.http, entry, here.downloads)), content);
  });

  it('gives up after a while, keeps the partial file, and finishes the next time', async () => {
    await using here = await place();
    const dead = { kind: 'cut', after: 0 } as const;
    here.server.fail('one.zst', { kind: 'cut', after: 100_000 }, dead, dead, dead, dead, dead);
    await assert.rejects(fetchBundle(here.http, entry, here.downloads), failsWith('FEED_UNREACHABLE'));
    assert.deepEqual(await listing(here.downloads), [`${sha256}.partial`]);
    here.server.fail('one.zst');
    assert.deepEqual(await readFile(await fetchBundle(here.http, entry, here.downloads)), content);
  });

  it('names the address and the reason when the server refuses or is not there', async () => {
    await using here = await place();
    here.server.fail('one.zst', { kind: 'status', status: 403 });
    await assert.rejects(fetchBundle(here.http, entry, here.downloads), failsWith('FEED_UNREACHABLE', /one\.zst.*403/));
    const closed = openFeed(here.server.origin);
    await here.server[Symbol.asyncDispose]();
    await assert.rejects(fetchBundle(closed, entry, here.downloads), failsWith('FEED_UNREACHABLE', /ECONNREFUSED/));
  });
});

describe('http feeds', () => {
  it('follow redirects, but not for ever, and never to something that is not HTTP', async () => {
    await using here = await place();
    here.server.fail('one.zst', { kind: 'redirect', to: '/elsewhere/one.zst' });
    assert.deepEqual(await readFile(await fetchBundle(here.http, entry, here.downloads)), content);
    assert.equal(here.server.seen.at(-1)?.url, '/elsewhere/one.zst');
    const loop = Array.from({ length: 10 }, () => ({ kind: 'redirect', to: '/x/one.zst' }) as const);
    here.server.fail('one.zst', ...loop);
    await assert.rejects(here.http.open('one.zst'), failsWith('FEED_UNREACHABLE', /redirected more than 5/));
    here.server.fail('one.zst', { kind: 'redirect', to: 'ftp://example.org/one.zst' });
    await assert.rejects(here.http.open('one.zst'), failsWith('FEED_UNREACHABLE', /ftp:/));
  });

  it('send nothing that says who asks', async () => {
    await using here = await place();
    await fetchBundle(here.http, entry, here.downloads);
    const headers = here.server.seen[0]?.headers ?? {};
    assert.equal(headers.authorization, undefined);
    assert.equal(headers.cookie, undefined);
    assert.equal(headers['user-agent'], 'trees');
  });

  it('find files of a GitHub release without the API', async () => {
    await using here = await place();
    const github = openFeed('github:owner/repo', { github: { server: here.server.origin } });
    const file = await github.open('one.zst');
    file?.stream.destroy();
    await fetchBundle(github, { ...entry, release: 'v7' }, here.downloads);
    assert.deepEqual(
      here.server.seen.map(({ url }) => url),
      ['/owner/repo/releases/latest/download/one.zst', '/owner/repo/releases/download/v7/one.zst'],
    );
    assert.equal(await github.open('no-such-file'), undefined);
  });
});

describe('fetchBundle tells what has arrived', () => {
  it('as it grows, from what was there on', async () => {
    await using here = await place();
    await mkdir(here.downloads);
    await writeFile(join(here.downloads, `${sha256}.partial`), content.subarray(0, 1000));
    const seen: number[] = [];
    const path = await fetchBundle(here.http, entry, here.downloads, {
      onAvailable(download) {
        assert.equal(download.path, join(here.downloads, `${sha256}.partial`));
        assert.deepEqual(readFileSync(download.path), content.subarray(0, download.bytes));
        seen.push(download.bytes);
      },
      onRestart: () => assert.fail('nothing was wrong'),
    });
    assert.equal(seen[0], 1000);
    assert.equal(seen.at(-1), SIZE);
    assert.deepEqual(
      seen,
      seen.toSorted((a, b) => a - b),
    );
    const again: unknown[] = [];
    await fetchBundle(here.http, entry, here.downloads, { onAvailable: (download) => again.push(download) });
    assert.deepEqual(again, [{ path, bytes: SIZE }]);
  });

  it('and is hashed here only if who reads it did not find it right', async () => {
    for (const isRight of [true, false]) {
      await using here = await place(Buffer.from(content).fill('x', 1000, 1001));
      let asked = 0;
      const isVerified = async (): Promise<boolean> => {
        asked += 1;
        assert.equal((await readFile(join(here.downloads, `${sha256}.partial`))).length, SIZE);
        return await Promise.resolve(isRight);
      };
      const fetched = fetchBundle(here.http, entry, here.downloads, { isVerified });
      if (isRight) assert.equal(await fetched, join(here.downloads, sha256));
      else await assert.rejects(fetched, failsWith('BUNDLE_CORRUPT', /SHA-256/));
      assert.equal(asked, 1);
      assert.deepEqual(await listing(here.downloads), isRight ? [sha256] : []);
    }
  });

  it('and starts again where what was left is damaged and who reads it says so', async () => {
    await using here = await place();
    await mkdir(here.downloads);
    await writeFile(join(here.downloads, `${sha256}.partial`), Buffer.alloc(1000, 'y'));
    let restarts = 0;
    const path = await fetchBundle(here.http, entry, here.downloads, {
      isVerified: async () => await Promise.resolve(false),
      onRestart: () => {
        restarts += 1;
      },
    });
    assert.equal(restarts, 1);
    assert.deepEqual(await readFile(path), content);
  });

  it('and when all of it has to come again', async () => {
    await using here = await place();
    await mkdir(here.downloads);
    await writeFile(join(here.downloads, `${sha256}.partial`), Buffer.alloc(1000, 'x'));
    const seen: (number | 'restart')[] = [];
    await fetchBundle(here.http, entry, here.downloads, {
      onAvailable: ({ bytes }) => seen.push(bytes),
      onRestart: () => seen.push('restart'),
    });
    assert.equal(seen.filter((event) => event === 'restart').length, 1);
    assert.equal(seen.at(-1), SIZE);
  });
});

describe('a bundle in pieces', () => {
  const cuts = [0, 100_000, 100_001, SIZE];
  const pieces = cuts.slice(1).map((end, index) => {
    const bytes = content.subarray(cuts[index], end);
    return { file: `one.zst.${index}`, size: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
  });
  const inPieces: BundleEntry = { ...entry, file: 'whole.zst', pieces };

  async function pieced(): Promise<Place> {
    const here = await place();
    for (const [index, { file }] of pieces.entries()) {
      await writeFile(join(here.source, file), content.subarray(cuts[index], cuts[index + 1]));
    }
    return here;
  }

  for (const kind of ['directory', 'http'] as const) {
    it(`is fetched as one from ${kind}`, async () => {
      await using here = await pieced();
      assert.deepEqual(await readFile(await fetchBundle(here[kind], inPieces, here.downloads)), content);
      await rm(join(here.downloads, sha256));
      await writeFile(join(here.downloads, `${sha256}.partial`), content.subarray(0, 100_000));
      assert.deepEqual(await readFile(await fetchBundle(here[kind], inPieces, here.downloads)), content);
    });

    it(`gives ranges across pieces from ${kind}`, async () => {
      await using here = await pieced();
      for (const which of [entry, inPieces]) {
        for (const [offset, length] of [
          [0, 1],
          [99_999, 3],
          [100_000, 1],
          [0, SIZE],
          [SIZE - 1, 1],
          [5, 0],
        ] as const) {
          const bytes = await readRange(here[kind], which, { offset, length });
          assert.deepEqual(bytes, content.subarray(offset, offset + length), `${length} from ${offset}`);
        }
      }
    });
  }

  it('goes on in the middle of a piece where the connection broke', async () => {
    await using here = await pieced();
    here.server.fail('one.zst.2', { kind: 'cut', after: 70_000 });
    assert.deepEqual(await readFile(await fetchBundle(here.http, inPieces, here.downloads)), content);
    assert.ok(here.server.seen.filter(({ url }) => url.endsWith('.0')).length === 1);
  });
});

describe('readRange', () => {
  it('asks for just the bytes', async () => {
    await using here = await place();
    await readRange(here.http, entry, { offset: 1000, length: 500 });
    assert.deepEqual(
      here.server.seen.map(({ range }) => range),
      ['bytes=1000-1499'],
    );
  });

  it('gets them from a server that sends everything, and from one that breaks off', async () => {
    await using here = await place();
    here.server.ranges = false;
    const want = content.subarray(1000, 250_000);
    assert.deepEqual(await readRange(here.http, entry, { offset: 1000, length: want.length }), want);
    here.server.ranges = true;
    here.server.fail('one.zst', { kind: 'cut', after: 70_000 }, { kind: 'cut', after: 70_000 });
    assert.deepEqual(await readRange(here.http, entry, { offset: 1000, length: want.length }), want);
  });

  it('refuses a shorter file', async () => {
    await using here = await place(content.subarray(0, 1000));
    const read = readRange(here.directory, entry, { offset: 999, length: 2 });
    await assert.rejects(read, failsWith('BUNDLE_CORRUPT', /ends after 1000 bytes/));
  });
});
