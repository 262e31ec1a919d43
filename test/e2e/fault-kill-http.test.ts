import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { addFeed } from '../../trees/feed/feeds.js';
import type { BundleEntry } from '../../trees/feed/schema.js';
import type { StorePaths } from '../../trees/store/paths.js';
import { treesCommand } from '../support/cli.js';
import { createCrash, type Scenario } from '../support/crash-scenarios.js';
import { fastDirectory, noise } from '../support/delta-fixture.js';
import { type FeedServer, serveDirectory } from '../support/feed-server.js';
import { publishTool } from '../support/store-fixture.js';

const KILLS = 20;
/** Milliseconds between pieces of 16 KiB: some 5 MB a second, so that most of the time bytes are on their way. */
const PAUSE = 3;
/** Of a bundle that is resumed: its tail is read by itself, in vain if the rest is already there. */
const TAILS = 2 * 256 * 1024;

describe('an installation over HTTP', { timeout: 900_000 }, () => {
  it('killed at any byte of its downloads resumes and finishes', async (t) => {
    let server: FeedServer | undefined;
    let bundles: readonly BundleEntry[] = [];
    const scenario: Scenario = {
      name: 'an installation over HTTP',
      args: ['install', 'tool@1'],
      async prepare(fixture) {
        const large = Object.fromEntries(
          Array.from({ length: 6 }, (_, i) => [`usr/lib/large${i}`, noise(250_000, i + 1).toString('latin1')]),
        );
        const { base, v1 } = await publishTool(fixture, large);
        const index = await fixture.publisher.publish([
          [null, base],
          [base, v1],
        ]);
        ({ bundles } = index);
        const started = await serveDirectory(fixture.feed.feed);
        t.after(async () => await started[Symbol.asyncDispose]());
        server = started;
        await addFeed(fixture.paths.root, server.origin, {
          name: 'test',
          keys: [fixture.feed.key.public],
          confirm: async () => await Promise.resolve(false),
        });
      },
    };
    await using crash = await createCrash(scenario, { parent: fastDirectory() });
    assert.ok(server !== undefined);
    const origin: FeedServer = server;
    const total = bundles.reduce((sum, { size }) => sum + size, 0);
    const seen = new Map<string, number>();
    let resumed = 0;
    for (let round = 0; round < KILLS; round += 1) {
      const { root, paths } = await crash.restore();
      const [program, ...args] = treesCommand(root, scenario.args);
      const child = spawn(program, args, { stdio: 'ignore', env: { ...process.env, NODE_EXTRA_CA_CERTS: undefined } });
      const closed = once(child, 'close');
      const killAt = Math.floor((total * round) / (KILLS - 1));
      let sent = 0;
      origin.beforePiece = async (file, bytes) => {
        if (!file.endsWith('.zst')) return;
        sent += bytes;
        if (sent >= killAt) child.kill('SIGKILL');
        await sleep(PAUSE);
      };
      await closed;
      assert.equal(child.signalCode, 'SIGKILL', `at byte ${killAt} of ${total}`);
      const outcome = await crash.afterKill(paths);
      seen.set(outcome, (seen.get(outcome) ?? 0) + 1);

      const kept = keptOf(paths, bundles);
      let again = 0;
      origin.beforePiece = async (file, bytes) => {
        if (file.endsWith('.zst')) again += bytes;
        await Promise.resolve();
      };
      await crash.finish(root);
      if (kept > 0) resumed += 1;
      assert.ok(again <= total - kept + TAILS, `${again} of ${total} bytes were sent again, where ${kept} were kept`);
    }
    t.diagnostic(`killed ${KILLS} times, resumed ${resumed} times; ${JSON.stringify(Object.fromEntries(seen))}`);
    assert.ok(resumed >= KILLS / 2, `only ${resumed} of ${KILLS} kills left something to resume`);
  });
});

/** Bytes of downloads, whole or partial. */
function keptOf({ downloads }: StorePaths, bundles: readonly BundleEntry[]): number {
  if (!existsSync(downloads)) return 0;
  return readdirSync(downloads)
    .filter((name) => bundles.some(({ sha256 }) => name.startsWith(sha256)))
    .reduce((sum, name) => sum + statSync(join(downloads, name)).size, 0);
}
