import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { feedDirectory } from '../../trees/feed/records.js';
import { linkSpeed, measureLink } from '../../trees/store/link-speed.js';

const root = mkdtempSync(join(tmpdir(), 'trees-link-'));
after(() => rmSync(root, { recursive: true, force: true }));
mkdirSync(feedDirectory(root, 'web'), { recursive: true });
const feed = { name: 'web', url: 'https://example.org/', keys: [], priority: 0, added: '2026-01-01T00:00:00Z' };

/** A download of which so many bytes were there after so many milliseconds. */
function measured(...steps: ReadonlyArray<readonly [milliseconds: number, bytes: number]>) {
  let now = 0;
  const link = measureLink(() => now);
  for (const [milliseconds, bytes] of steps) {
    now = milliseconds;
    link.update(bytes);
  }
  return link;
}

test('the speed of a link is known once enough has arrived to tell', () => {
  assert.equal(measured().bytesPerSecond(), undefined);
  assert.equal(measured([0, 0], [100, 900_000]).bytesPerSecond(), undefined);
  // What an earlier run had fetched is not counted.
  assert.equal(measured([0, 5_000_000], [500, 15_000_000]).bytesPerSecond(), 20_000_000);
  // A download that began again is measured from there.
  assert.equal(measured([0, 5_000_000], [500, 0], [1500, 2_000_000]).bytesPerSecond(), 2_000_000);
});

test('it is remembered, the newest measurement for half, and too small ones not at all', async () => {
  assert.equal(linkSpeed(root, feed), undefined);
  await measured([0, 0], [1000, 900_000]).record(root, 'web');
  assert.equal(linkSpeed(root, feed), undefined);
  await measured([0, 0], [1000, 2_000_000]).record(root, 'web');
  assert.equal(linkSpeed(root, feed), 2_000_000);
  await measured([0, 0], [1000, 4_000_000]).record(root, 'web');
  assert.equal(linkSpeed(root, feed), 3_000_000);
  assert.equal(readFileSync(join(feedDirectory(root, 'web'), 'link.json'), 'utf8'), '{"bytesPerSecond":3000000}\n');
});
