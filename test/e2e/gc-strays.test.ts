import assert from 'node:assert/strict';
import { existsSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { trees } from '../support/cli.js';
import { createStoreFixture, publishTool } from '../support/store-fixture.js';

it('gc deletes what killed writers left beside the records of feeds, and nothing else there', async () => {
  await using fixture = await createStoreFixture();
  const { base, v1 } = await publishTool(fixture);
  await fixture.publish([
    [null, base],
    [base, v1],
  ]);
  await fixture.install('tool@1');
  const name = readdirSync(fixture.paths.feeds).find((entry) => !entry.startsWith('.'));
  assert.ok(name !== undefined);
  const directory = join(fixture.paths.feeds, name);
  const before = readdirSync(directory).toSorted();
  const place = (file: string, hoursOld: number): void => {
    writeFileSync(join(directory, file), 'half');
    const time = Date.now() / 1000 - hoursOld * 3600;
    utimesSync(join(directory, file), time, time);
  };
  place('.new-0123456789ab', 0);
  place('state.json.0123456789ab.tmp', 2);
  // Somebody may be at it: feeds are written to without the store's lock.
  place('feed.json.0123456789ab.tmp', 0);
  place('notes.tmp', 2);
  const { status, stderr } = await trees(fixture.root, ['gc']);
  assert.equal(status, 0, stderr);
  assert.deepEqual(
    readdirSync(directory).toSorted(),
    [...before, 'feed.json.0123456789ab.tmp', 'notes.tmp'].toSorted(),
  );
  assert.ok(existsSync(fixture.paths.rootfs('tool', 1)));
});
