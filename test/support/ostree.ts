/** What the tests of the libostree binding share: scratch directories, the `ostree` command as the oracle, fixtures. */
import { execFile, execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Repo, type RepoMode } from '../../trees/ostree/index.js';

export const projectRoot = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const TIMESTAMP = 1_700_000_000;

/** A directory that is gone at the end of the block, or of the process if the block never ends. */
export class Scratch implements Disposable {
  readonly path: string;
  readonly #onExit = (): void => {
    rmSync(this.path, { recursive: true, force: true });
  };

  constructor() {
    this.path = mkdtempSync(join(tmpdir(), 'ostree-ts-'));
    process.on('exit', this.#onExit);
  }

  join(...parts: string[]): string {
    return join(this.path, ...parts);
  }

  [Symbol.dispose](): void {
    process.off('exit', this.#onExit);
    rmSync(this.path, { recursive: true, force: true });
  }
}

// The CLI must not inherit a preloaded sanitizer.
const env = { ...process.env, LD_PRELOAD: '', LC_ALL: 'C.UTF-8' };

/** Runs `ostree --repo=…` and returns its output. */
export function ostree(repo: string, ...args: string[]): string {
  return execFileSync('ostree', [`--repo=${repo}`, ...args], {
    encoding: 'utf8',
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** As {@link ostree}, without blocking: for commands that wait for this process. */
export async function ostreeAsync(repo: string, ...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)('ostree', [`--repo=${repo}`, ...args], { encoding: 'utf8', env });
  return stdout;
}

/** Files by path: a string is content, `{to}` a symlink, `{mode}` an empty directory. */
export type Fixture = Readonly<Record<string, string | Buffer | { to: string } | { mode: number; content?: string }>>;

export const basicFixture: Fixture = {
  'etc/hostname': 'box\n',
  'etc/link': { to: 'hostname' },
  'usr/bin/tool': { mode: 0o755, content: '#!/bin/sh\nexit 0\n' },
  'usr/bin/su': { mode: 0o4755, content: 'set-id' },
  'usr/share/empty': '',
  'usr/share/big': Buffer.alloc(200_000, 'x'),
  'usr.txt': 'sorts between usr and usr/…',
};

export function writeTree(root: string, fixture: Fixture): string {
  mkdirSync(root, { recursive: true });
  for (const [path, entry] of Object.entries(fixture)) {
    const full = join(root, path);
    mkdirSync(dirname(full), { recursive: true });
    if (typeof entry === 'string' || Buffer.isBuffer(entry)) {
      writeFileSync(full, entry);
      chmodSync(full, 0o644);
    } else if ('to' in entry) {
      symlinkSync(entry.to, full);
    } else {
      writeFileSync(full, entry.content ?? '');
      chmodSync(full, entry.mode);
    }
  }
  return root;
}

/** A repository with one commit of {@link basicFixture} on the ref `main`. */
export async function seededRepo(
  scratch: Scratch,
  mode: RepoMode = 'bare',
  name = 'repo',
): Promise<{ repo: Repo; path: string; source: string; commit: string }> {
  const source = writeTree(scratch.join(`${name}-source`), basicFixture);
  const path = scratch.join(name);
  const repo = await Repo.create(path, { mode });
  const commit = await repo.commitDirectory(source, { timestamp: TIMESTAMP, subject: 'seed', ref: 'main' });
  return { repo, path, source, commit };
}

/** An ELF-like file of pseudo-random bytes, the same for the same seed. */
export function noise(size: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(size);
  let state = seed;
  for (let index = 0; index < size; index += 1) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    bytes[index] = state >>> 16;
  }
  return bytes;
}
