import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import * as z from 'zod/mini';
import { launcherPath } from '../../trees/run/exec-launcher.js';
import { servicesSchema } from '../../trees/run/service-spec.js';
import { projectRoot } from '../support/rig.js';
import { bench, childrenOf, eventually } from './support/container.js';
import { linesOf, missingForServices, sh } from './support/services.js';

const skip = missingForServices;
const box = bench();
after(() => box[Symbol.dispose]());

/** How many times as fast its clock runs: a day in ten seconds. */
const SPEED = 8640;

/** Launcher and init side by side, the init with that clock. @returns the launcher */
function buildFastInit(): string {
  const directory = join(box.directory, 'fast');
  mkdirSync(directory);
  const clock = [`-DFAST_CLOCK=${SPEED}`, '-include', join(import.meta.dirname, 'support/fast-clock.h')];
  const { status, stderr } = spawnSync(
    process.execPath,
    [join(projectRoot, 'trees/launcher/build.mjs'), 'init', directory, 'Release', ...clock],
    { encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(`cannot build the init: ${stderr}`);
  const launcher = join(directory, 'trees-launch');
  copyFileSync(join(dirname(launcherPath()), 'trees-launch'), launcher);
  return launcher;
}

test('a day of restarts, checks and jobs leaves no memory and no descriptors behind in PID 1', { skip }, async () => {
  const services = z.parse(servicesSchema, {
    // Its pauses grow to a minute; a moment here is longer than what resets them by default.
    crash: { exec: sh('echo again; exit 1'), restart: { policy: 'always', resetAfter: 100_000 } },
    sick: { exec: ['sleep', '1000'], health: { exec: ['true'], interval: 120, timeout: 3600, retries: 100 } },
    hourly: { exec: sh('echo tick'), oneshot: true, when: { interval: 3600 } },
    main: { exec: ['sleep', '1000'], main: true },
  });
  const child = spawn(buildFastInit(), [box.planFile(box.spec({ services }))], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const done = new Promise((resolve) => child.once('close', resolve));
  try {
    const hours = (): number => linesOf(output, 'hourly').length;
    const reach = async (count: number): Promise<void> => {
      // Each wait has its own limit: a machine may be slow, but not stand still.
      for (let hour = hours(); hour < count; hour = hours()) {
        await eventually(
          () => hours() > hour || child.exitCode !== null,
          () => `hour ${hour + 1}: ${output.slice(-500)}`,
        );
        assert.equal(child.exitCode, null, output.slice(-500));
      }
    };
    await reach(2);
    const [init = 0] = childrenOf(child.pid ?? 0);
    const files = (): number[] => Array.from({ length: 20 }, () => readdirSync(`/proc/${init}/fd`).length);
    const rss = (): number => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${init}/status`, 'utf8'))?.[1]);
    const before = { rss: rss(), files: Math.max(...files()) };
    await reach(24);
    const now = { rss: rss(), files: Math.min(...files()) };
    const restarts = linesOf(output, 'crash').length;
    assert.ok(restarts > 100, `${restarts} restarts`);
    assert.ok(now.rss <= before.rss + 32, `RSS went from ${before.rss} to ${now.rss} kB`);
    assert.ok(now.rss <= 1024, `RSS is ${now.rss} kB`);
    assert.ok(now.files <= before.files, `descriptors went from ${before.files} to ${now.files}`);
  } finally {
    child.kill('SIGKILL');
    await done;
  }
});
