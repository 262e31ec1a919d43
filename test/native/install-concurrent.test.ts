import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { collectGarbage } from '../../trees/store/gc.js';
import { listInstalled } from '../../trees/store/generations.js';
import { assertSound, createStoreFixture, currentTree, type StoreFixture } from '../support/store-fixture.js';

const script = fileURLToPath(new URL('../support/install-child.ts', import.meta.url));
const APPS = ['one', 'two', 'three', 'four'];

async function installElsewhere(fixture: StoreFixture, app: string): Promise<void> {
  const child = spawn(process.execPath, ['--import', 'tsx', script, fixture.paths.root, app], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let errors = '';
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    errors += chunk;
  });
  await once(child, 'close');
  assert.equal(child.exitCode, 0, errors);
}

describe('several trees at once', () => {
  it('install different apps, and one twice, while another collects garbage', { timeout: 300_000 }, async () => {
    await using fixture = await createStoreFixture();
    const { publisher } = fixture;
    const files = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`usr/lib/f${i}`, `content ${i}\n`]));
    const base = await publisher.base('deb', '12.0.0', files);
    const layers: string[] = [];
    for (const app of APPS) {
      layers.push(
        await publisher.layer(app, '1.0.0', { [`opt/${app}`]: `${app}\n` }, { base: 'deb', tested: '12.0.0' }),
      );
    }
    await fixture.publish([[null, base], ...layers.map((layer) => [base, layer] as const)]);

    const installed = new AbortController();
    const collecting = (async (): Promise<number> => {
      let count = 0;
      while (!installed.signal.aborted) {
        await collectGarbage({ ...fixture.options('gc'), command: 'gc', keep: 0, dryRun: false });
        count += 1;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      return count;
    })();
    const results = await Promise.allSettled([...APPS, 'one'].map(async (app) => await installElsewhere(fixture, app)));
    installed.abort();
    const collected = await collecting;

    for (const result of results) if (result.status === 'rejected') throw result.reason;
    assert.ok(collected > 0);
    assert.deepEqual(
      listInstalled(fixture.paths).map((app) => [app.name, app.generations]),
      APPS.toSorted().map((app) => [app, [1]]),
    );
    for (const app of APPS) assert.equal(currentTree(fixture.paths, app).tree[`opt/${app}`], `${app}\n`);
    await assertSound(fixture.paths);
    const last = await collectGarbage({ ...fixture.options('gc'), command: 'gc', keep: 0, dryRun: false });
    assert.deepEqual(last.generations, []);
    for (const app of APPS) assert.equal(currentTree(fixture.paths, app).tree['usr/lib/f0'], 'content 0\n');
    await assertSound(fixture.paths);
  });
});
