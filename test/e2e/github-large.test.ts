import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { generateKeyPair } from '../../releases/key-file.js';
import { createBuildRepo } from '../support/build-repo.js';
import { createGithubFixture, FEED } from '../support/github-publisher.js';
import { projectRoot } from '../support/rig.js';

/** Gigabytes; needs some eight times as much room for temporary files, and many minutes. */
const size = Number(process.env['TREES_TEST_LARGE'] ?? 0);
const FILE = 50e6;
const ASSET_LIMIT = 1.9e9;

/** Largest resident set of a process so far, in MB; 0 once it has ended. */
function peak(pid: number | undefined): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) / 1000;
  } catch {
    return 0;
  }
}

interface Peaks {
  /** MB. */
  readonly publishing: number;
  readonly installing: number;
}

/** Publishes a base of so many gigabytes and an app on it, and installs them. */
async function publishAndInstall(gigabytes: number, report: (line: string) => void): Promise<Peaks> {
  const dir = await mkdtemp(join(tmpdir(), 'trees-large-'));
  await using fixture = await createGithubFixture();
  const trees = async (root: string, args: readonly string[], env: Readonly<Record<string, string>>) => {
    const child = spawn(process.execPath, [join(projectRoot, 'dist/cli/bin.js'), '--root', root, ...args, '--json'], {
      env: { ...process.env, TMPDIR: dir, ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let memory = 0;
    const timer = setInterval(() => (memory = Math.max(memory, peak(child.pid))), 100);
    const chunks: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
    const started = performance.now();
    const [status] = await once(child, 'close');
    clearInterval(timer);
    assert.equal(status, 0, Buffer.concat(chunks).toString());
    const seconds = (performance.now() - started) / 1000;
    report(`${gigabytes} GB: trees ${args[0]}: ${memory.toFixed(0)} MB at most, ${seconds.toFixed(0)} s`);
    return memory;
  };
  try {
    const key = join(dir, 'k.key');
    await generateKeyPair({ secret: key, public: join(dir, 'k.pub') }, { force: false });
    const publisher = join(dir, 'publisher');
    const built = await createBuildRepo(join(publisher, 'var/lib/trees'));
    const content = join(dir, 'content/srv');
    await mkdir(content, { recursive: true });
    const block = Buffer.alloc(FILE);
    for (let at = 0; at * FILE < gigabytes * 1e9; at += 1) {
      const file = await open(join(content, `data-${at}`), 'w');
      await file.write(randomFillSync(block));
      await file.close();
    }
    const base = await built.commit({ kind: 'base', name: 'big', version: '1.0.0', directory: join(dir, 'content') });
    await rm(join(dir, 'content'), { recursive: true });
    const on = { name: 'big', range: '^1', version: '1.0.0', commit: base };
    await built.commit({ kind: 'layer', name: 'app', version: '1.0.0', base: on, files: { 'bin/app': 'app\n' } });
    const publishing = await trees(
      publisher,
      ['release', '--to', FEED.href, '--key', key, '--quick', '--no-build'],
      fixture.env,
    );
    const assets = [...fixture.repository.releases.values()].flatMap((release) => [...release.assets.values()]);
    const pieces = assets.filter(({ name }) => /\.zst\.\d+$/.test(name));
    const count = Math.ceil((gigabytes * 1e9) / ASSET_LIMIT);
    assert.equal(pieces.length, count > 1 ? count : 0);
    assert.ok(pieces.every((piece) => piece.size <= ASSET_LIMIT));
    assert.deepEqual(fixture.github.violations, []);
    const reader = { GITHUB_SERVER_URL: fixture.github.server };
    const root = join(dir, 'reader');
    await trees(root, ['feed', 'add', FEED.href, '--key', join(dir, 'k.pub')], reader);
    return { publishing, installing: await trees(root, ['install', 'app'], reader) };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

describe('a feed of gigabytes', { skip: size > 0 ? false : 'needs TREES_TEST_LARGE=3 (gigabytes)' }, () => {
  it('is published in pieces and installed, in little memory on both sides, however large', {
    timeout: 3 * 3600_000,
  }, async (t) => {
    const report = (line: string): void => t.diagnostic(line);
    const small = await publishAndInstall(size / 6, report);
    const large = await publishAndInstall(size, report);
    assert.ok(large.publishing < 512, `publishing took ${large.publishing} MB`);
    assert.ok(large.installing < 256, `installing took ${large.installing} MB`);
    for (const side of ['publishing', 'installing'] as const) {
      const grown = large[side] - small[side];
      assert.ok(grown < small[side] / 5, `${side} took ${small[side]} MB, and ${large[side]} for six times as much`);
    }
  });
});
