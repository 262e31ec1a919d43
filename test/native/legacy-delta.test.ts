import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { it, type TestContext } from 'node:test';
import { bundleInfo } from '../../trees/delta/index.js';
import { TreesError } from '../../trees/errors.js';
import type { Feed } from '../../trees/feed/feed.js';
import { readLegacyDelta } from '../../trees/feed/legacy-delta.js';
import { commitFacts } from '../../trees/ostree/commit-facts.js';
import { commitTree, initRepo, noise, ostree, temporaryDirectory } from '../support/delta-fixture.js';
import { createRandom } from '../support/random.js';

/** A feed of one file, which counts what is asked of it. */
function feedOf(bytes: Buffer): Feed & { readonly asked: number[] } {
  const asked: number[] = [];
  return {
    url: 'legacy:untoreh/trees',
    asked,
    retries: { attempts: 1, firstPause: 1, longestWait: 1 },
    async open(_, { offset = 0, length = bytes.length } = {}) {
      asked.push(length);
      return await Promise.resolve({ stream: Readable.from([bytes.subarray(offset, offset + length)]), offset });
    },
  };
}

/** An inline delta as `ostree` makes it, and the tar of it. */
function tarOf(t: TestContext, files: number): { delta: string; tar: Buffer; to: string; from: string } {
  const dir = temporaryDirectory(t);
  const repo = initRepo(join(dir, 'repo'));
  const from = commitTree(repo, 'trunk', { 'usr/bin/busybox': { content: noise(20_000, 1) } });
  const tree = join(dir, 'tree');
  mkdirSync(tree);
  for (let file = 0; file < files; file += 1) writeFileSync(join(tree, String(file)), `content ${file}\n`);
  const to = ostree('commit', `--repo=${repo}`, '--branch=app', '--subject=app', `--tree=dir=${tree}`).trim();
  const delta = join(dir, to);
  const options = ['--inline', '--min-fallback-size=0', `--filename=${delta}`, `--from=${from}`, `--to=${to}`];
  ostree('static-delta', 'generate', `--repo=${repo}`, ...options);
  execFileSync('tar', ['-C', dir, '-cf', join(dir, 'tar'), to]);
  return { delta, tar: readFileSync(join(dir, 'tar')), to, from };
}

const read = async (feed: Feed) => await readLegacyDelta(feed, { file: 'app.tar', release: 'app' });

it('reads from both ends of a tar what the whole delta says, however many objects it has', async (t) => {
  for (const [files, requests] of [
    [3, 2],
    // 33 bytes each in the header: more than is asked for at first.
    [7000, 3],
  ] as const) {
    const { delta, tar, to, from } = tarOf(t, files);
    const feed = feedOf(tar);
    const found = await read(feed);
    const info = await bundleInfo(delta);
    assert.deepEqual(
      [found.from, found.to, found.objects, found.writes],
      [from, to, info.objects, info.writes],
      `${files} files`,
    );
    assert.deepEqual({ rootTree: found.rootTree, time: found.time }, commitFacts(info.commitBytes));
    assert.equal(found.time, info.commit.timestamp);
    assert.equal(found.size, 512 + readFileSync(delta).length);
    assert.equal(feed.asked.length, requests);
  }
});

it('refuses damaged and hostile tars with one error, whatever is in them', async (t) => {
  const { tar } = tarOf(t, 3);
  const random = createRandom();
  t.diagnostic(`seed ${random.seed}`);
  const good = await read(feedOf(tar));
  for (let round = 0; round < 600; round += 1) {
    const bytes = Buffer.from(tar);
    const changes = 1 + random.below(4);
    // The headers of the tar and of the delta: what is between them is not read.
    for (let change = 0; change < changes; change += 1) {
      const at = random.next() < 0.2 ? random.below(512) : good.size - 1 - random.below(700);
      bytes[Math.max(0, at)] = random.below(256);
    }
    const cut = random.next() < 0.1 ? bytes.subarray(0, random.below(bytes.length)) : bytes;
    try {
      const found = await read(feedOf(cut));
      assert.match(found.rootTree, /^[0-9a-f]{64}$/);
      assert.ok(Number.isSafeInteger(found.writes) && found.writes >= 0);
    } catch (error) {
      assert.ok(error instanceof TreesError, String(error instanceof Error ? error.stack : error));
      assert.equal(error.code, 'BUNDLE_CORRUPT');
    }
  }
});
