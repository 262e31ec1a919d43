import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { reasonToSkip, sweep, trees } from '../support/kill-sweep.js';
import { runProgram } from '../support/rig.js';
import { assertSound, createStoreFixture, currentTree, publishTool } from '../support/store-fixture.js';

describe('killed at each system call that changes something', { skip: reasonToSkip(), timeout: 900_000 }, () => {
  it('an installation leaves the old or the new generation, and again finishes it', async (t) => {
    await using fixture = await createStoreFixture();
    const { base, v1, v2 } = await publishTool(fixture);
    await fixture.publish([
      [null, base],
      [base, v1],
      [base, v2],
    ]);
    await fixture.install('tool@1');
    const old = currentTree(fixture.paths, 'tool');
    const reference = await fixture.install('tool@2', { name: 'reference' });
    assert.equal(reference.generation.version, '2.0.0');
    const next = currentTree(fixture.paths, 'reference');
    const removed = await trees(fixture.root, ['rm', 'reference']);
    assert.equal(removed.status, 0, removed.stderr);

    const seen = { old: 0, new: 0 };
    const rounds = await sweep(fixture, ['install', 'tool@2'], async (paths, { killed }) => {
      const found = currentTree(paths, 'tool');
      if (killed) seen[found.version === '1.0.0' ? 'old' : 'new'] += 1;
      assert.deepEqual(found, found.version === '1.0.0' && killed ? old : next);
      await assertSound(paths);
      if (killed) return;
      assert.deepEqual(
        readdirSync(paths.app('tool')).filter((name) => name.startsWith('.')),
        [],
      );
    });
    t.diagnostic(`killed ${rounds} times: ${JSON.stringify(seen)}`);
    assert.ok(rounds >= 30, `only ${rounds} rounds`);
  });

  it('a first installation can be done again from whatever is there', async (t) => {
    await using fixture = await createStoreFixture();
    const { base, v1 } = await publishTool(fixture);
    await fixture.publish([
      [null, base],
      [base, v1],
    ]);
    const rounds = await sweep(fixture, ['install', 'tool@1'], async (paths, { killed }) => {
      // Killed while the repository is created, there is no repository to look at yet.
      if (killed && !existsSync(join(paths.repo, 'refs/heads/base'))) return;
      await assertSound(paths);
      if (!killed) assert.equal(currentTree(paths, 'tool').tree['usr/bin/tool'], 'tool one\n');
    });
    t.diagnostic(`killed ${rounds} times`);
  });

  it('a removal can be finished by the next one', async (t) => {
    await using fixture = await createStoreFixture();
    const { base, v1, v2 } = await publishTool(fixture);
    await fixture.publish([
      [null, base],
      [base, v1],
      [base, v2],
    ]);
    await fixture.install('tool@1');
    await fixture.install('tool@2');
    const rounds = await sweep(fixture, ['rm', 'tool'], async (paths, { killed }) => {
      await assertSound(paths);
      if (killed) return;
      assert.deepEqual(readdirSync(paths.apps), []);
      const objects = await runProgram('find', [join(paths.repo, 'objects'), '-type', 'f']);
      assert.equal(objects.stdout, '');
    });
    t.diagnostic(`killed ${rounds} times`);
  });

  it('a collection keeps what is current', async (t) => {
    await using fixture = await createStoreFixture();
    const { base, v1, v2 } = await publishTool(fixture);
    await fixture.publish([
      [null, base],
      [base, v1],
      [base, v2],
    ]);
    await fixture.install('tool@1');
    await fixture.install('tool@2');
    const wanted = currentTree(fixture.paths, 'tool');
    const rounds = await sweep(fixture, ['gc', '--keep', '0'], async (paths, { killed }) => {
      assert.deepEqual(currentTree(paths, 'tool'), wanted);
      await assertSound(paths);
      if (!killed) assert.deepEqual(readdirSync(paths.app('tool')).sort(), ['2', 'current']);
    });
    t.diagnostic(`killed ${rounds} times`);
  });
});
