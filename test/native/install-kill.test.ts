import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { readInstalled } from '../../trees/store/generations.js';
import { removeApp } from '../../trees/store/remove.js';
import type { Files } from '../support/plain-publisher.js';
import { runProgram } from '../support/rig.js';
import {
  assertSound,
  createStoreFixture,
  currentTree,
  publishTool,
  type StoreFixture,
} from '../support/store-fixture.js';

const script = fileURLToPath(new URL('../support/install-child.ts', import.meta.url));
const ROUNDS = 36;

interface Child {
  readonly process: ChildProcess;
  readonly done: Promise<boolean>;
}

/** Starts an installation; resolves when it is about to begin. */
async function start(fixture: StoreFixture, app: string): Promise<Child> {
  const child = spawn(process.execPath, ['--import', 'tsx', script, fixture.paths.root, app], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_EXTRA_CA_CERTS: undefined },
  });
  assert.ok(child.stdout !== null);
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk;
  });
  const closed = once(child, 'close');
  await Promise.race([once(child.stdout, 'data'), closed]);
  assert.match(output, /^ready/, 'the child came as far as installing');
  return { process: child, done: closed.then(() => output.includes('done')) };
}

function manyFiles(): Files {
  return Object.fromEntries(
    Array.from({ length: 400 }, (_, i) => [`usr/lib/d${i % 40}/f${i}`, `content ${i}\n`.repeat(20)]),
  );
}

describe('an installation that is killed', () => {
  it('leaves the old or the new generation, and the next one finishes the job', { timeout: 600_000 }, async (t) => {
    await using fixture = await createStoreFixture();
    const { base, v1, v2 } = await publishTool(fixture, manyFiles());
    await fixture.publish([
      [null, base],
      [base, v1],
      [base, v2],
    ]);
    await fixture.install('tool@1');
    const old = currentTree(fixture.paths, 'tool').tree;
    await fixture.install('tool@2', { name: 'reference' });
    const next = currentTree(fixture.paths, 'reference').tree;
    const remove = async (name: string): Promise<void> =>
      void (await removeApp({ ...fixture.options(name), name, purge: true, force: false }));
    await remove('reference');
    await remove('tool');

    const began = performance.now();
    const measured = await start(fixture, 'tool@1');
    const loaded = performance.now() - began;
    assert.equal(await measured.done, true);
    const duration = performance.now() - began - loaded;
    const outcomes = { nothing: 0, old: 0, new: 0 };
    const states = new Set<string>();
    for (let round = 0; round < ROUNDS; round += 1) {
      // In turn: over an installed version, and on an empty store.
      const fresh = round % 2 === 1;
      if (readInstalled(fixture.paths, 'tool') !== undefined) await remove('tool');
      if (!fresh) await fixture.install('tool@1');

      const child = await start(fixture, 'tool@2');
      await sleep(Math.random() * duration * 1.1);
      child.process.kill('SIGKILL');
      await child.done;

      states.add(describeState(fixture));
      const installed = readInstalled(fixture.paths, 'tool');
      if (installed === undefined) {
        assert.ok(fresh, 'what was installed is still installed');
        outcomes.nothing += 1;
      } else {
        const { version, tree } = currentTree(fixture.paths, 'tool');
        assert.deepEqual(tree, version === '2.0.0' ? next : old);
        assert.ok(!fresh || version === '2.0.0');
        outcomes[version === '2.0.0' ? 'new' : 'old'] += 1;
      }
      // Where the repository has not come into being there is nothing to check.
      if (readdirSync(fixture.paths.root).includes('repo')) await assertSound(fixture.paths);

      await fixture.install('tool@2');
      assert.deepEqual(currentTree(fixture.paths, 'tool'), { version: '2.0.0', tree: next });
      await assertSound(fixture.paths);
      const left = readdirSync(fixture.paths.app('tool')).filter((name) => name.startsWith('.'));
      assert.deepEqual(left, [], 'what the killed one left is gone');
    }
    t.diagnostic(`killed ${ROUNDS} times within ${Math.round(duration)} ms: ${JSON.stringify(outcomes)}`);
    t.diagnostic(`states seen: ${[...states].sort().join(' | ')}`);
  });

  it('leaves a removal that the next one finishes', { timeout: 600_000 }, async () => {
    await using fixture = await createStoreFixture();
    const { base, v1 } = await publishTool(fixture, manyFiles());
    await fixture.publish([
      [null, base],
      [base, v1],
    ]);
    const remover = fileURLToPath(new URL('../support/remove-child.ts', import.meta.url));
    for (let round = 0; round < 8; round += 1) {
      await fixture.install('tool@1');
      const child = spawn(process.execPath, ['--import', 'tsx', remover, fixture.paths.root, 'tool'], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const closed = once(child, 'close');
      assert.ok(child.stdout !== null);
      await once(child.stdout, 'data');
      await sleep(Math.random() * 60);
      child.kill('SIGKILL');
      await closed;
      await assertSound(fixture.paths);
      const { apps, repo } = fixture.paths;
      if (readdirSync(apps).includes('tool')) {
        await removeApp({ ...fixture.options('tool'), name: 'tool', purge: false, force: false });
      } else {
        const { collectGarbage } = await import('../../trees/store/gc.js');
        await collectGarbage({ ...fixture.options('gc'), keep: 0, dryRun: false });
      }
      assert.deepEqual(readdirSync(apps), []);
      const objects = await runProgram('find', [join(repo, 'objects'), '-type', 'f']);
      assert.equal(objects.stdout, '');
    }
  });
});

/** How far a killed installation came, for the record of what the random kills have covered. */
function describeState({ paths }: StoreFixture): string {
  const safe = (path: string): string[] => {
    try {
      return readdirSync(path);
    } catch {
      return [];
    }
  };
  const app = safe(paths.app('tool'));
  return [
    safe(paths.downloads).length > 0 ? 'download' : '',
    safe(join(paths.repo, 'tmp')).some((name) => name.startsWith('staging')) ? 'staging' : '',
    safe(join(paths.repo, 'refs/heads/layer/tool/x86_64')).join('+'),
    safe(join(paths.repo, 'refs/heads/tree/tool'))
      .map((name) => `tree${name}`)
      .join('+'),
    app.some((name) => name.startsWith('.new')) ? 'half-made' : '',
    app
      .filter((name) => /^\d+$/.test(name))
      .map((name) => `gen${name}`)
      .join('+'),
    app.includes('current') ? 'current' : '',
  ]
    .filter((part) => part !== '')
    .join(' ');
}
