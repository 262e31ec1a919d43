/** Repositories for the bundle tests, made and checked with the stock tools, which are the oracle. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { setXattr } from '../../trees/system/index.js';

/** tmpfs where it can hold `bare-user` repositories: on disk, libostree and the stock tools sync the whole file system. */
export function fastDirectory(): string {
  return holdsXattrs('/dev/shm') ? '/dev/shm' : tmpdir();
}

export function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(fastDirectory(), 'trees-delta-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

function holdsXattrs(parent: string): boolean {
  let directory: string | undefined;
  try {
    directory = mkdtempSync(join(parent, 'trees-delta-'));
    setXattr(directory, 'user.trees', Buffer.from('1'));
    return true;
  } catch {
    return false;
  } finally {
    if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
  }
}

export function ostree(...args: string[]): string {
  return execFileSync('ostree', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 1 << 28 });
}

export function initRepo(path: string, mode = 'bare'): string {
  ostree('init', `--repo=${path}`, `--mode=${mode}`);
  return path;
}

export interface Entry {
  readonly content?: Uint8Array | string;
  readonly target?: string;
  readonly mode?: number;
  readonly xattrs?: Readonly<Record<string, string>>;
}

export type TreeSpec = Readonly<Record<string, Entry>>;

/** Commits what `spec` describes (paths to entries; a path ending in `/` is a directory) and returns the checksum. */
export function commitTree(repo: string, branch: string, spec: TreeSpec): string {
  const root = mkdtempSync(join(dirname(repo), 'tree-'));
  try {
    for (const [path, entry] of Object.entries(spec)) writeEntry(join(root, path), path.endsWith('/'), entry);
    const owner = process.getuid?.() === 0 ? [] : ['--owner-uid=0', '--owner-gid=0'];
    return ostree(
      'commit',
      `--repo=${repo}`,
      `--branch=${branch}`,
      `--tree=dir=${root}`,
      '--timestamp=2025-01-02T03:04:05Z',
      `--subject=${branch}`,
      ...owner,
    ).trim();
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

function writeEntry(path: string, isDirectory: boolean, entry: Entry): void {
  mkdirSync(isDirectory ? path : dirname(path), { recursive: true });
  if (entry.target !== undefined) symlinkSync(entry.target, path);
  else if (!isDirectory) writeFileSync(path, entry.content ?? '');
  if (entry.target === undefined && entry.mode !== undefined) chmodSync(path, entry.mode);
  for (const [name, value] of Object.entries(entry.xattrs ?? {})) setXattr(path, name, Buffer.from(value));
}

/** Every object of the commit, as `ostree ls` prints it. */
export function listing(repo: string, commit: string): string {
  return ostree('ls', `--repo=${repo}`, '-R', '-C', '-X', commit);
}

/** Asserts that `ostree fsck` finds nothing wrong, including objects without a ref. */
export function assertClean(repo: string): void {
  const result = spawnSync('ostree', ['fsck', `--repo=${repo}`, '--all', '--quiet'], { encoding: 'utf8' });
  assert.equal(result.status, 0, `ostree fsck ${repo}: ${result.stdout}${result.stderr}`);
}

/** `zstd -d FILE && ostree static-delta apply-offline`, what every bundle must survive. */
export function stockApply(bundle: string, repo: string): void {
  const delta = `${bundle}.delta`;
  execFileSync('zstd', ['-dqf', bundle, '-o', delta]);
  ostree('static-delta', 'apply-offline', `--repo=${repo}`, delta);
}

/** Asserts that `commit` is in `repo`, whole and the same as in `original`. */
export function assertSameCommit(repo: string, original: string, commit: string): void {
  assertClean(repo);
  assert.equal(listing(repo, commit), listing(original, commit));
}

/** Deterministic bytes that hardly compress. */
export function noise(size: number, seed: number): Buffer {
  const bytes = Buffer.alloc(size);
  let state = seed >>> 0 || 1;
  for (let i = 0; i < size; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[i] = state & 255;
  }
  return bytes;
}
