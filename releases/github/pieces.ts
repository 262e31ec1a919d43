import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { BundleEntry } from '../../trees/feed/schema.js';
import type { Upload } from './upload.js';

/**
 * Bytes that one asset may have. GitHub's own limit is 2 GiB, but exactly that has failed; see
 * https://docs.github.com/repositories/releasing-projects-on-github/about-releases.
 */
export const ASSET_LIMIT = 1_900_000_000;

async function digestOf(path: string, start: number, size: number): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { start, end: start + size - 1 })) hash.update(chunk);
  return hash.digest('hex');
}

/**
 * The assets that hold a bundle: itself, or pieces of nearly equal size where it is larger than the limit.
 * @param path the bundle's file; only read, piece by piece
 * @returns the entry, with its pieces if there are any, and what to upload
 */
export async function cutToSize(
  entry: BundleEntry,
  path: string,
  limit: number,
): Promise<{ readonly entry: BundleEntry; readonly uploads: readonly Upload[] }> {
  const { file: name, size, sha256 } = entry;
  if (size <= limit) return { entry, uploads: [{ name, size, sha256, source: { path, start: 0 } }] };
  const count = Math.ceil(size / limit);
  const length = Math.ceil(size / count);
  const uploads: Upload[] = [];
  for (let start = 0; start < size; start += length) {
    const bytes = Math.min(length, size - start);
    const digits = String(uploads.length + 1).padStart(String(count).length, '0');
    const digest = await digestOf(path, start, bytes);
    uploads.push({ name: `${name}.${digits}`, size: bytes, sha256: digest, source: { path, start } });
  }
  const pieces = uploads.map((upload) => ({ file: upload.name, size: upload.size, sha256: upload.sha256 }));
  return { entry: { ...entry, pieces }, uploads };
}

/** Names, sizes and digests of the assets that an entry of an index stands for. */
export function assetsOf(entry: BundleEntry): ReadonlyArray<{ file: string; size: number; sha256: string }> {
  return entry.pieces ?? [entry];
}
