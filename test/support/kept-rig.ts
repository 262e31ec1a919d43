import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { copyInstallation } from './private-installation.js';

/** Longer than two changes of a file can have the same time. */
const SETTLED_MS = 50;
const TRIES = 5;

export interface Started {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** What was said about where the plan came from: `kept`, `compiled`, `compiled, not kept: …`. */
  readonly plan: string | undefined;
}

export interface StartPlace {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
}

export interface KeptRig extends Disposable {
  readonly directory: string;
  /** Whose files a test may change. */
  readonly installation: string;
  readonly bin: string;
  readonly prefix: string;
  readonly store: string;
  readonly runtimeDir: string;
  /** Where launches are kept. */
  readonly kept: string;
  readonly home: string;
  path(...parts: string[]): string;
  trees(words: readonly string[], place?: StartPlace): Started;
  /** `trees run --explain-time …` */
  run(words: readonly string[], place?: StartPlace): Started;
  /** Runs a line until it is kept. @returns the last time */
  warm(words: readonly string[], place?: StartPlace): Promise<Started>;
  entries(): string[];
}

/** A machine of its own, with a copy of the built command. */
export function createKeptRig(): KeptRig {
  const directory = mkdtempSync(join(tmpdir(), 'trees-kept-'));
  const path = (...parts: string[]): string => join(directory, ...parts);
  const installation = path('installation');
  const bin = copyInstallation(installation);
  const [prefix, home] = [path('prefix'), path('home')];
  for (const made of [prefix, home, path('work')]) mkdirSync(made);
  const runtimeDir = join(prefix, 'run/trees');
  const kept = join(runtimeDir, '.kept');
  const trees: KeptRig['trees'] = (words, { env, cwd } = {}) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, ['--', bin, ...words], {
      cwd: cwd ?? path('work'),
      env: { PATH: process.env['PATH'], HOME: home, TREES_ROOT: prefix, NO_COLOR: '1', ...env },
      encoding: 'utf8',
      timeout: 120_000,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    return { status, stdout, stderr, plan: /^plan: (.*)$/m.exec(stderr)?.[1] };
  };
  const run: KeptRig['run'] = (words, place) => trees(['run', '--explain-time', ...words], place);
  return {
    directory,
    installation,
    bin,
    prefix,
    store: join(prefix, 'var/lib/trees'),
    runtimeDir,
    kept,
    home,
    path,
    trees,
    run,
    async warm(words, place) {
      const seen: (string | undefined)[] = [];
      for (let tries = 0; tries < TRIES; tries++) {
        const started = run(words, place);
        if (started.plan === 'kept') return started;
        seen.push(started.plan ?? started.stderr);
        await sleep(SETTLED_MS);
      }
      return assert.fail(`${words.join(' ')} is never kept: ${seen.join('; ')}`);
    },
    entries: () => readdirSync(kept),
    [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true, maxRetries: 3 }),
  };
}
