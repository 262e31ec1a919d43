import assert from 'node:assert/strict';
import { appendFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { reasonToSkip, sweep, trees } from '../support/kill-sweep.js';
import { assertSound, createStoreFixture, currentTree, publishTool } from '../support/store-fixture.js';

describe('killed at each system call that changes something', { skip: reasonToSkip(), timeout: 1_800_000 }, () => {
  it('an update leaves each app at its old or new generation, and again finishes it', async (t) => {
    await using fixture = await createStoreFixture();
    const { base, v1, v2 } = await publishTool(fixture);
    const on = { base: 'deb', tested: '12.0.0', range: '^12' };
    const other = await fixture.publisher.layer('other', '1.0.0', { 'usr/bin/other': 'other\n' }, on);
    const next = await fixture.publisher.base('deb', '12.1.0', { 'usr/bin/sh': '#!shell, fixed\n' });
    await fixture.publish([
      [null, base],
      [base, v1],
      [base, other],
    ]);
    await fixture.install('tool@1', { base: 'deb@12.0.0' });
    await fixture.install('other', { base: 'deb@12.0.0' });
    await fixture.publish([
      [v1, v2],
      [base, next],
    ]);
    const versions = { tool: ['1.0.0', '2.0.0'], other: ['1.0.0'] };
    const seen = new Set<string>();
    const rounds = await sweep(fixture, ['update'], async (paths, { killed }) => {
      for (const name of ['tool', 'other'] as const) {
        const { version, tree } = currentTree(paths, name);
        assert.ok(versions[name].includes(version));
        // Old app on the old base, or new app on the new base; nothing in between.
        const moved = tree['usr/bin/sh'] === '#!shell, fixed\n';
        if (name === 'tool') assert.equal(moved, version === '2.0.0');
        if (!killed) assert.ok(moved, `${name} is on the new base`);
        if (killed) seen.add(`${name} ${moved ? 'new' : 'old'}`);
        if (killed) continue;
        assert.deepEqual(
          readdirSync(paths.app(name)).filter((entry) => entry.startsWith('.')),
          [],
        );
      }
      await assertSound(paths);
    });
    t.diagnostic(`killed ${rounds} times: ${[...seen].sort().join(', ')}`);
    assert.ok(rounds >= 30, `only ${rounds} rounds`);
    assert.ok(seen.has('other new') && seen.has('tool old'), 'killed between the apps');
  });

  it('a rollback leaves one of the two generations current, and again finishes it', async (t) => {
    await using fixture = await createStoreFixture();
    const { base, v1, v2 } = await publishTool(fixture);
    await fixture.publish([
      [null, base],
      [base, v1],
      [base, v2],
    ]);
    await fixture.install('tool@1');
    const old = currentTree(fixture.paths, 'tool');
    await fixture.install('tool@2');
    const next = currentTree(fixture.paths, 'tool');
    const dry = await trees(fixture.root, ['rollback', 'tool', '1', '--dry-run']);
    assert.equal(dry.status, 0, dry.stderr);
    const rounds = await sweep(fixture, ['rollback', 'tool', '1'], async (paths, { killed }) => {
      const found = currentTree(paths, 'tool');
      assert.deepEqual(found, killed && found.version === '2.0.0' ? next : old);
      await assertSound(paths);
      if (killed) return;
      assert.deepEqual(readdirSync(paths.app('tool')).sort(), ['1', '2', 'current']);
    });
    t.diagnostic(`killed ${rounds} times`);
    assert.ok(rounds >= 3, `only ${rounds} rounds`);
  });

  it('a repair can be finished by the next one, and data stays', async (t) => {
    await using fixture = await createStoreFixture();
    const { base, v1 } = await publishTool(fixture);
    await fixture.publish([
      [null, base],
      [base, v1],
    ]);
    await fixture.install('tool@1');
    const whole = currentTree(fixture.paths, 'tool');
    mkdirSync(join(fixture.paths.data, 'tool'));
    writeFileSync(join(fixture.paths.data, 'tool', 'precious'), 'mine\n');
    appendFileSync(join(fixture.paths.rootfs('tool', 1), 'usr/bin/sh'), 'damaged\n');
    const rounds = await sweep(fixture, ['fsck', '--repair'], async (paths, { killed }) => {
      assert.equal(readFileSync(join(paths.data, 'tool', 'precious'), 'utf8'), 'mine\n');
      const found = currentTree(paths, 'tool');
      const damaged = found.tree['usr/bin/sh']?.endsWith('damaged\n') === true;
      assert.deepEqual({ ...found.tree, 'usr/bin/sh': '' }, { ...whole.tree, 'usr/bin/sh': '' });
      if (killed && damaged) return;
      assert.deepEqual(found, whole);
      if (!killed) await assertSound(paths);
    });
    t.diagnostic(`killed ${rounds} times`);
    assert.ok(rounds >= 15, `only ${rounds} rounds`);
  });
});
