import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { trees } from '../support/cli.js';
import { mount, reasonToSkipMounts } from '../support/mount.js';
import { createStoreFixture, publishTools, type StoreFixture } from '../support/store-fixture.js';
import { listContents } from '../support/untouched.js';

describe('a store on a read-only file system', { skip: reasonToSkipMounts, timeout: 300_000 }, () => {
  let fixture: StoreFixture;
  let mounted: AsyncDisposable;
  let root: string;
  let contents: string[];

  before(async () => {
    fixture = await createStoreFixture();
    await publishTools(fixture);
    await fixture.install('tool@1');
    await fixture.install('tool@2');
    root = join(fixture.feed.dir, 'read-only');
    mounted = await mount(root, ['--bind', '-o', 'ro', fixture.root]);
    contents = listContents(fixture.root);
  });
  after(async () => {
    try {
      await mounted[Symbol.asyncDispose]();
    } finally {
      await fixture[Symbol.asyncDispose]();
    }
  });

  const reading = [
    ['ls'],
    ['ls', '--size'],
    ['info', 'tool'],
    ['history', 'tool'],
    ['diff', 'tool', '1', '2'],
    ['search', 'tool'],
    ['feed', 'list'],
    ['fsck'],
    ['config'],
    ['gc', '--dry-run'],
    ['install', 'tool@1', '--dry-run'],
    ['update', '--dry-run'],
    ['rm', 'tool', '--dry-run'],
  ];
  for (const command of reading) {
    it(`lets ${command.join(' ')} work`, async () => {
      const result = await trees(root, command);
      assert.equal(result.status, 0, result.stdout + result.stderr);
      assert.deepEqual(listContents(fixture.root), contents);
    });
  }

  const writing = [
    ['install', 'tool@1'],
    ['install', 'tool', '-f'],
    ['rollback', 'tool'],
    ['pin', 'tool'],
    ['unpin', 'tool'],
    ['rm', 'tool'],
    ['tool', '-d'],
    ['gc'],
    ['fsck', '--repair'],
    ['feed', 'remove', 'test', '--force'],
    ['feed', 'set', 'test', '--priority', '3'],
  ];
  for (const command of writing) {
    it(`is told by ${command.join(' ')}`, async () => {
      const result = await trees(root, [...command, '--yes']);
      assert.equal(result.status, 1, result.stdout + result.stderr);
      assert.match(result.stderr, /^error: .*read-only/m);
      assert.match(result.stderr, /^hint: /m);
      assert.doesNotMatch(result.stderr, /internal error/);
      assert.deepEqual(listContents(fixture.root), contents);
    });
  }

  it('is what check says of it', async () => {
    const result = await trees(root, ['check']);
    assert.equal(result.status, 1);
    assert.match(result.stdout + result.stderr, /read-only file system/);
  });

  it('lets a checkout go elsewhere', async () => {
    const result = await trees(root, ['co', 'tool', '-t', join(fixture.feed.dir, 'target'), '--copy']);
    assert.equal(result.status, 0, result.stderr);
  });
});
