import { tmpdir } from 'node:os';
import { resolve } from 'node:path';
import { TreesError } from '../errors.js';
import { type NativeBundleInfo, runJob } from './addon.js';
import type { BundleCommit, BundleInfo } from './types.js';

/**
 * Reads what a bundle is from the file's end: seek table, commit, list of parts. No part is decompressed (but the one
 * that shares the last frame), so this is quick for bundles of any size. Plain inline deltas can be read as well.
 *
 * @throws TreesError `BUNDLE_UNREADABLE` (no such file, no permission), `BUNDLE_CORRUPT`.
 */
export async function bundleInfo(
  path: string,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<BundleInfo> {
  return toBundleInfo(await openBundle(path, { ...options, parts: true }));
}

/**
 * Opens and validates; the result's `handle` can be applied. With `sha256` the file must have that digest, which applying checks.
 * `temporary` is a directory for what does not fit into memory. `parts` lists the parts and their objects.
 */
export async function openBundle(
  path: string,
  options: {
    sha256?: string | undefined;
    temporary?: string;
    parts?: boolean;
    signal?: AbortSignal | undefined;
  },
): Promise<NativeBundleInfo> {
  try {
    return await runJob(
      async (native, job) =>
        native.open(job, {
          path: resolve(path),
          temporary: options.temporary ?? tmpdir(),
          sha256: options.sha256,
          parts: options.parts === true,
        }),
      { what: `cannot read the bundle ${path}`, ioCode: 'BUNDLE_UNREADABLE', signal: options.signal },
    );
  } catch (error) {
    throw noBundle(error);
  }
}

/** What does not even have the frame of a static delta may be any file: then that is what is wrong with it. */
function noBundle(error: unknown): unknown {
  if (!(error instanceof TreesError) || error.code !== 'BUNDLE_CORRUPT') return error;
  if (!/superblock's (framing|metadata)|static delta is too short/.test(error.message)) return error;
  return new TreesError(error.code, `${error.message}: it is no bundle, or a damaged one`, {
    hint: 'expected a bundle (trees bundle create) or an inline static delta (ostree static-delta generate --inline)',
    ...(error.details === undefined ? {} : { details: error.details }),
    cause: error,
  });
}

export function toBundleInfo(native: NativeBundleInfo): BundleInfo {
  const { from, to, size, rawSize, writes, objects, parts, commitBytes, detached } = native;
  const encoding = native.encoding === 'fast' || native.encoding === 'small' ? native.encoding : 'stock';
  const commit = toCommit(native);
  return { from, to, encoding, size, rawSize, writes, objects, parts, commit, commitBytes, detached };
}

function toCommit(native: NativeBundleInfo): BundleCommit {
  const [metadata, parent, , subject, body, timestamp] = native.commit;
  return {
    checksum: native.to,
    parent: parent.length === 0 ? undefined : Buffer.from(parent).toString('hex'),
    subject,
    body,
    // Stored big-endian; the addon gives the number as it lies in memory.
    timestamp: Number(fromBigEndian(timestamp)),
    metadata,
  };
}

function fromBigEndian(value: bigint): bigint {
  const bytes = new DataView(new ArrayBuffer(8));
  new BigUint64Array(bytes.buffer)[0] = value;
  return bytes.getBigUint64(0);
}
