import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { applyBundle, createBundle } from '../../trees/delta/index.js';
import { TreesError } from '../../trees/errors.js';
import { commitTree, initRepo, stockApply, temporaryDirectory } from '../support/delta-fixture.js';

const asRoot = process.geteuid?.() === 0;

for (const attribute of ['trusted.overlay.redirect', 'user.overlay.opaque']) {
  test(`a file with ${attribute} is refused`, { skip: !asRoot && 'needs root' }, async (t) => {
    const directory = temporaryDirectory(t);
    const repo = initRepo(join(directory, 'repo'));
    const commit = commitTree(repo, 'evil', {
      'usr/good': { content: 'good', xattrs: { 'user.overlays': 'no overlay’s' } },
      'usr/evil': { content: 'evil', xattrs: { [attribute]: '/etc' } },
    });
    const path = join(directory, 'evil.zst');
    await createBundle({ repoPath: repo, to: commit, output: path });
    const mine = initRepo(join(directory, 'mine'));
    await assert.rejects(applyBundle({ repoPath: mine, path, ref: 'evil' }), (error) => {
      assert.ok(error instanceof TreesError);
      assert.equal(error.code, 'BUNDLE_CORRUPT');
      assert.ok(error.message.includes(`"${attribute}", which is overlayfs's own`), error.message);
      return true;
    });
    assert.equal(execFileSync('find', [join(mine, 'objects'), '-type', 'f'], { encoding: 'utf8' }), '');
    // It is we who refuse it: stock ostree takes it.
    const stock = initRepo(join(directory, 'stock'));
    stockApply(path, stock);
  });
}
