import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { trees } from '../support/cli.js';
import { createCrash, scenarios } from '../support/crash-scenarios.js';
import { createFailingDisk } from '../support/failing-disk.js';
import { reasonToSkipMounts } from '../support/mount.js';
import { createStoreFixture, publishTool, readTree } from '../support/store-fixture.js';
import { mountTmpfs, type Tmpfs } from '../support/tmpfs.js';

const ROOMY = 'size=400m,nr_inodes=20000';
/** Inodes more at each step: every file, directory and link that a command makes takes one. */
const STEP = 8;

describe('a full disk', { skip: reasonToSkipMounts, timeout: 900_000 }, () => {
  let dir: string;
  let disk: Tmpfs;
  let roomy: Readonly<Record<string, string>>;
  before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'trees-full-'));
    disk = await mountTmpfs(join(dir, 'disk'), ROOMY);
    ({ roomy } = await createFailingDisk(dir));
  });
  after(async () => {
    try {
      await disk[Symbol.asyncDispose]();
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });

  for (const scenario of scenarios.filter(({ args: [name = ''] }) => ['install', 'update', 'fsck'].includes(name))) {
    it(`at any stage of ${scenario.name} is told, leaves the store as it was, and can be got over`, async (t) => {
      await disk.limit(ROOMY);
      await using crash = await createCrash(scenario, { copyTo: join(disk.path, 'copy') });
      const codes = new Map<string, number>();
      let spare = 0;
      const step = scenario.damaged === true ? 1 : STEP;
      for (; ; spare += step) {
        await disk.limit(ROOMY);
        const { root, paths } = await crash.restore();
        await disk.limit(`size=400m,nr_inodes=${(await disk.used()).inodes + spare}`);
        // What it finds out in the middle is of interest here, not that it would not begin.
        const result = await trees(root, [...scenario.args, '--json'], [], { env: roomy });
        await disk.limit(ROOMY);
        if (result.status === 0) break;
        const code = /"code": ?"([A-Z_]+)"/.exec(result.stdout + result.stderr)?.[1] ?? 'none';
        codes.set(code, (codes.get(code) ?? 0) + 1);
        assert.ok(result.status === 1, `${spare} inodes: ${result.stdout}${result.stderr}`);
        // A repair tells of each thing it could not do, and what is damaged still.
        const said = scenario.damaged === true ? /no space/i : /NO_SPACE/;
        const output = result.stdout + result.stderr;
        assert.match(output, said, `${spare} inodes to spare: ${output}`);
        await crash.afterFailure(paths);
        await crash.finish(root);
      }
      t.diagnostic(`failed with up to ${spare - step} inodes to spare: ${JSON.stringify([...codes])}`);
      assert.ok(spare > 0, 'there were stages to fail at');
    });
  }

  it('is told before anything is fetched where there are too few bytes', async () => {
    await disk.limit(ROOMY);
    const update = scenarios.find(({ args }) => args[0] === 'update');
    assert.ok(update !== undefined);
    await using crash = await createCrash(update, { copyTo: join(disk.path, 'copy') });
    for (const megabytes of [1, 20, 60]) {
      const { root, paths } = await crash.restore();
      const { bytes } = await disk.used();
      await disk.limit(`size=${bytes + megabytes * 1_000_000}`);
      const result = await trees(root, ['update', '--json']);
      await disk.limit(ROOMY);
      assert.equal(result.status, 1);
      assert.match(result.stdout, /NO_SPACE/);
      assert.match(result.stdout, /MB are needed at .*, .* MB are free/);
      await crash.afterFailure(paths);
      assert.deepEqual(readdirSync(paths.downloads), []);
      await crash.finish(root);
    }
  });

  it('is told before anything is fetched where there are too few inodes', async () => {
    await disk.limit(ROOMY);
    const update = scenarios.find(({ args }) => args[0] === 'update');
    assert.ok(update !== undefined);
    await using crash = await createCrash(update, { copyTo: join(disk.path, 'copy') });
    let told = 0;
    for (const spare of [1, 3, 4, 5, 6]) {
      const { root, paths } = await crash.restore();
      await disk.limit(`size=400m,nr_inodes=${(await disk.used()).inodes + spare}`);
      const planned = await trees(root, ['update', '--dry-run', '--json']);
      const result = await trees(root, ['update', '--json']);
      await disk.limit(ROOMY);
      if (spare === 1) assert.match(planned.stdout, /"fits": ?false/);
      assert.equal(result.status, 1);
      assert.match(result.stdout, /NO_SPACE/);
      // With fewer not even the index can be stored.
      if (/about \d+ files will be made at .* has room for \d \(free inodes\)/.test(result.stdout)) told += 1;
      await crash.afterFailure(paths);
      assert.deepEqual(readdirSync(paths.downloads), []);
      await crash.finish(root);
    }
    assert.ok(told > 0, 'that it is inodes');
  });

  it('while an app is copied out leaves whole files or none', async () => {
    await disk.limit(ROOMY);
    await using fixture = await createStoreFixture();
    const big = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`usr/share/f${i}`, `${i}`.repeat(40_000)]));
    const { base, v1 } = await publishTool(fixture, big);
    await fixture.publish([
      [null, base],
      [base, v1],
    ]);
    await fixture.install('tool@1');
    const wanted = readTree(fixture.paths.rootfs('tool', 1));
    const target = join(disk.path, 'target');
    for (const kilobytes of [4, 40, 200, 600]) {
      rmSync(target, { recursive: true, force: true });
      await disk.limit(`size=${(await disk.used()).bytes + kilobytes * 1024}`);
      const result = await trees(fixture.root, ['co', 'tool', '-t', target, '--copy', '--json']);
      await disk.limit(ROOMY);
      assert.equal(result.status, 1, `${kilobytes} kB`);
      assert.match(result.stdout, /NO_SPACE/);
      for (const [path, content] of Object.entries(readTree(disk.path))) {
        const inside = path.replace(/^target\//, '');
        if (inside !== path && !path.endsWith('/')) assert.equal(content, wanted[inside], path);
      }
      const again = await trees(fixture.root, ['co', 'tool', '-t', target, '--copy']);
      assert.equal(again.status, 0, again.stderr);
      assert.deepEqual(readTree(target), wanted);
    }
  });
});
