import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import type { Octokit } from 'octokit';
import { TreesError } from '../../trees/errors.js';
import type { GithubApi } from './api.js';
import { type Asset, assetOf, deleteAsset, listAssets, type Release } from './releases.js';
import { isAlreadyThere } from './request-error.js';

/** Bytes to upload: all of a file, a stretch of it, or what is in memory. */
export interface Upload {
  readonly name: string;
  readonly size: number;
  readonly sha256: string;
  readonly source: Uint8Array | { readonly path: string; readonly start: number };
}

const ATTEMPTS = 4;

type Content = Pick<Upload, 'size' | 'sha256'>;

/** Whether an asset is known to have these bytes. */
function isWhole(asset: Asset, content: Content): boolean {
  return asset.state === 'uploaded' && asset.size === content.size && asset.sha256 === content.sha256;
}

/** Whether nothing speaks against it: older GitHub Enterprise gives no digests. */
export function seemsWhole(asset: Asset | undefined, { size, sha256 }: Content): boolean {
  return asset?.state === 'uploaded' && asset.size === size && (asset.sha256 ?? sha256) === sha256;
}

/** A fresh stream for each attempt; at most a few chunks of it are in memory. */
function open({ source, size }: Upload): Readable {
  if (source instanceof Uint8Array) return Readable.from([Buffer.from(source)]);
  return createReadStream(source.path, { start: source.start, end: source.start + size - 1 });
}

/** Sends the bytes once; aborted if they stop flowing. */
async function send(octokit: Octokit, release: Release, upload: Upload, api: GithubApi): Promise<Asset> {
  using task = api.reporter.task(`uploading ${upload.name}`, { total: upload.size, unit: 'bytes' });
  const stream = open(upload);
  const stalled = new AbortController();
  let sent = 0;
  const { stall } = api.pace;
  const timer = setInterval(() => {
    stalled.abort();
  }, stall);
  async function* counted(): AsyncGenerator<Buffer> {
    for await (const chunk of stream) {
      const bytes: Buffer = chunk;
      yield bytes;
      sent += bytes.length;
      timer.refresh();
      task.update(sent);
    }
  }
  try {
    const { data } = await octokit.request({
      method: 'POST',
      // From the release itself: GitHub Enterprise has another host, and so have tests.
      url: release.uploadUrl,
      name: upload.name,
      headers: { 'content-type': 'application/octet-stream', 'content-length': upload.size },
      data: counted(),
      request: {
        signal: api.signal === undefined ? stalled.signal : AbortSignal.any([api.signal, stalled.signal]),
      },
    });
    task.done(`uploaded ${upload.name}`);
    return assetOf(data);
  } catch (error) {
    api.signal?.throwIfAborted();
    if (stalled.signal.aborted) throw new StalledUpload(`no progress for ${stall / 1000} s`, { cause: error });
    throw error;
  } finally {
    clearInterval(timer);
    stream.destroy();
  }
}

class StalledUpload extends Error {
  override readonly name = 'StalledUpload';
}

/**
 * Sees to it that a draft has an asset with these bytes. One that is there and whole is left alone; what is damaged,
 * half uploaded or of other bytes is replaced.
 * @param assets of the draft by name; kept up to date
 * @throws TreesError RELEASE_FAILED
 */
export async function ensureAsset(
  api: GithubApi,
  release: Release,
  upload: Upload,
  assets: Map<string, Asset>,
): Promise<Asset> {
  for (let attempt = 1; ; attempt += 1) {
    const there = assets.get(upload.name);
    if (there !== undefined && isWhole(there, upload)) return there;
    if (there !== undefined) {
      await deleteAsset(api, there.id);
      assets.delete(upload.name);
    }
    const outcome = await tryUpload(api, release, upload);
    if (typeof outcome !== 'string') {
      assets.set(upload.name, outcome);
      // A server that gives no digests: the proof fetches the bytes back and compares them.
      if (seemsWhole(outcome, upload)) return outcome;
    }
    if (attempt >= ATTEMPTS) {
      const why = typeof outcome === 'string' ? outcome : `the server has ${outcome.size} bytes of ${upload.size}`;
      throw new TreesError('RELEASE_FAILED', `cannot upload ${upload.name} to ${api.url}: ${why}`, {
        hint: 'run the command again: it goes on from here',
      });
    }
    // What the server has now is not what we knew: a broken connection may have left something, or somebody else.
    const now = (await listAssets(api, release.id)).find(({ name }) => name === upload.name);
    if (now === undefined) assets.delete(upload.name);
    else assets.set(now.name, now);
  }
}

/** @returns why it failed, if looking again may help */
async function tryUpload(api: GithubApi, release: Release, upload: Upload): Promise<Asset | string> {
  try {
    return await api.call(`upload ${upload.name}`, async (octokit) => await send(octokit, release, upload, api), {
      changes: true,
      pass: isAlreadyThere,
    });
  } catch (error) {
    api.signal?.throwIfAborted();
    if (isAlreadyThere(error)) return 'an asset of that name is there already';
    if (error instanceof StalledUpload) return error.message;
    throw error;
  }
}
