import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { TreesError } from '../errors.js';

/**
 * Copies through tar archives, as podman's `cp -`. What is in one lies in a private temporary directory meanwhile: names in
 * an instance are only ever looked up in directories that are held, and the system's tar, which packs and unpacks because it
 * keeps all that a file is, knows nothing of that.
 */

/**
 * @param fill puts what is to be copied into a directory
 * @returns the archive; the directory is there until it ends
 * @throws TreesError `SYSTEM_ERROR` with tar's words
 */
export async function* packCopy(fill: (directory: string) => Promise<unknown>): AsyncGenerator<Uint8Array> {
  using directory = temporary();
  await fill(directory.path);
  const options = ['--create', '--file=-', '--numeric-owner', `--directory=${directory.path}`, '--'];
  const tar = spawn('tar', [...options, ...readdirSync(directory.path)], { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = endOf(tar, 'SYSTEM_ERROR', 'cannot pack what was copied');
  for await (const chunk of tar.stdout) {
    if (chunk instanceof Uint8Array) yield chunk;
  }
  await ended;
}

/**
 * Unpacks an archive and hands its directory on.
 * @throws TreesError `USAGE` with tar's words
 */
export async function unpackCopy<T>(input: Readable, take: (directory: string) => Promise<T>): Promise<T> {
  using directory = temporary();
  const options = ['--extract', '--file=-', '--numeric-owner', `--directory=${directory.path}`];
  const tar = spawn('tar', options, { stdio: ['pipe', 'ignore', 'pipe'] });
  tar.stdin.on('error', () => undefined); // it has ended, and says why
  input.pipe(tar.stdin);
  try {
    await endOf(tar, 'USAGE', 'cannot copy from standard input: Expected a tar archive that is not compressed');
  } finally {
    input.unpipe().pause();
  }
  return await take(directory.path);
}

function temporary(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), 'trees-cp-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

async function endOf(tar: ChildProcess, code: 'USAGE' | 'SYSTEM_ERROR', what: string): Promise<void> {
  let words = '';
  tar.stderr?.setEncoding('utf8').on('data', (chunk: string) => (words = (words + chunk).slice(0, 4096)));
  const [status]: unknown[] = await once(tar, 'close');
  if (status === 0) return;
  throw new TreesError(code, `${what}: ${words.trim().split('\n')[0] ?? `tar ended with ${String(status)}`}`);
}
