import { createHash } from 'node:crypto';
import { createWriteStream, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { TreesError } from '../trees/errors.js';
import type { PayloadContext } from './payload.js';
import type { PayloadSpec } from './schema.js';

const CONNECT_TIMEOUT_MS = 30_000;

/**
 * Downloads an archive into the cache, unless it is there, and checks its digest.
 *
 * @throws TreesError `BUILD_FAILED` naming the URL when it cannot be had, when nothing says what its digest is, or when
 * it has another one
 */
export async function fetchArchive(context: PayloadContext, spec: PayloadSpec): Promise<string> {
  const url = spec.source ?? '';
  const wanted = spec.sha256 ?? (await listedDigest(context, url, spec.sha256From));
  const directory = join(context.cache, 'sources');
  mkdirSync(directory, { recursive: true });
  const file = join(directory, wanted);
  if (existsSync(file)) return file;
  const partial = `${file}.part`;
  using task = context.reporter.task(`downloading ${url}`);
  const response = await request(context, url);
  const hash = createHash('sha256');
  try {
    await pipeline(
      Readable.fromWeb(response),
      async function* (chunks: AsyncIterable<Uint8Array>) {
        for await (const chunk of chunks) {
          hash.update(chunk);
          yield chunk;
        }
      },
      createWriteStream(partial),
      { signal: context.signal },
    );
    const digest = hash.digest('hex');
    if (digest !== wanted) {
      throw new TreesError('BUILD_FAILED', `cannot use ${url}: Expected its SHA-256 to be ${wanted}, got ${digest}`);
    }
    renameSync(partial, file);
  } catch (error) {
    if (error instanceof TreesError || context.signal.aborted) throw error;
    throw unreachable(url, error);
  } finally {
    rmSync(partial, { force: true });
  }
  task.done(`downloaded ${url}`);
  return file;
}

/** Looks a file up in a list as sha256sum prints it: `DIGEST  NAME`, or a lone digest. */
async function listedDigest(context: PayloadContext, url: string, from: string | undefined): Promise<string> {
  if (from === undefined) {
    throw new TreesError('DEFINITION_INVALID', `cannot download ${url}: nothing says what its SHA-256 is`, {
      hint: 'add build.sha256, or build.sha256From with the URL of a list',
    });
  }
  const text = await new Response(await request(context, from)).text();
  const name = url.slice(url.lastIndexOf('/') + 1);
  for (const line of text.split('\n')) {
    const [, digest, file] = /^([0-9a-f]{64})(?:\s+[*]?(.+))?$/.exec(line.trim()) ?? [];
    if (digest !== undefined && (file === undefined || file.endsWith(name))) return digest;
  }
  throw new TreesError('BUILD_FAILED', `cannot use ${url}: ${from} does not list ${name}`);
}

async function request(context: PayloadContext, url: string) {
  // The time limit is for the answer to begin; a body may take as long as it needs.
  const slow = new AbortController();
  const timer = setTimeout(() => slow.abort(new Error('no answer for 30 s')), CONNECT_TIMEOUT_MS);
  try {
    const response = await fetch(url, { signal: AbortSignal.any([context.signal, slow.signal]) });
    if (response.ok && response.body !== null) return response.body;
    throw new Error(`HTTP status ${response.status}`);
  } catch (error) {
    context.signal.throwIfAborted();
    throw unreachable(url, error);
  } finally {
    clearTimeout(timer);
  }
}

function unreachable(url: string, error: unknown): TreesError {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const why = cause instanceof Error ? cause.message : String(cause);
  return new TreesError('BUILD_FAILED', `cannot download the source ${url}: ${why}`, {
    hint: 'check the network and the URL in the definition (build.source)',
    cause: error,
  });
}
