import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { type Answer, type Call, mayWrite, notFound, page, Refusal, requireWrite, validationFailed } from './answer.js';
import { assetDocument, repositoryPath } from './documents.js';
import { signedUrl } from './downloads.js';
import { findRelease } from './releases.js';
import { type Asset, nextId, now, type Release } from './world.js';

/** GitHub renames what has other characters than these, and leading and trailing periods. */
function storedName(name: string): string {
  const plain = name.replaceAll(/[^A-Za-z0-9._+@-]+/g, '.').replace(/\.+$/, '');
  return plain.startsWith('.') ? `default${plain}` : plain;
}

function findAsset(call: Call): { release: Release; asset: Asset } {
  const id = Number(call.params['asset_id']);
  for (const release of call.repository.releases.values()) {
    const asset = release.assets.get(id);
    if (asset !== undefined && (!release.draft || mayWrite(call))) return { release, asset };
  }
  throw notFound();
}

function checkUpload(call: Call, release: Release, { name, size }: { name: string; size: number }): void {
  const { limits } = call.world;
  const fail = (field: string, code: string, message?: string): Refusal =>
    validationFailed({ resource: 'ReleaseAsset', code, field, ...(message === undefined ? {} : { message }) });
  if (release.immutable) throw new Refusal(422, 'Cannot upload assets to an immutable release.');
  if (name === '') throw fail('name', 'missing_field');
  if ([...release.assets.values()].some((asset) => asset.name === name)) throw fail('name', 'already_exists');
  if (size > limits.assetBytes) throw fail('size', 'custom', `size must be less than or equal to ${limits.assetBytes}`);
  if (release.assets.size >= limits.assetsPerRelease) {
    throw fail('file_count', 'custom', `file_count limited to ${limits.assetsPerRelease} assets per release`);
  }
}

/** Fails an upload on purpose after this many bytes of the body. */
export interface UploadFault {
  readonly after: number;
}

/**
 * Streams an upload to disk. From the first byte to the last the asset is there as `starter`; if the connection or
 * `fault` ends the upload it stays like that, and its name stays taken.
 */
export async function uploadAsset(call: Call, request: IncomingMessage, fault?: UploadFault): Promise<Answer> {
  requireWrite(call);
  const { world, repository } = call;
  const release = findRelease(call);
  const length = request.headers['content-length'];
  if (length === undefined || !/^[1-9]\d*$/.test(length)) throw new Refusal(400, `Bad Content-Length: ${length ?? ''}`);
  const contentType = request.headers['content-type'];
  if (contentType === undefined) {
    throw validationFailed({ resource: 'ReleaseAsset', code: 'missing_field', field: 'content_type' });
  }
  const name = storedName(call.query.get('name') ?? '');
  const size = Number(length);
  checkUpload(call, release, { name, size });
  const id = nextId(world);
  const created = now(world);
  const path = join(world.directory, String(id));
  const asset: Asset = {
    id,
    name,
    label: call.query.get('label'),
    contentType,
    size,
    state: 'starter',
    sha256: undefined,
    path,
    created,
    updated: created,
    downloads: 0,
  };
  release.assets.set(id, asset);
  const { received, sha256 } = await receive(request, path, fault);
  if (received !== size) throw new Refusal(502, 'Bad Gateway');
  asset.sha256 = sha256;
  asset.state = 'uploaded';
  asset.updated = now(world);
  return { status: 201, body: assetDocument(world, repository, release, asset) };
}

async function receive(request: IncomingMessage, path: string, fault: UploadFault | undefined) {
  const hash = createHash('sha256');
  const file = createWriteStream(path);
  let received = 0;
  try {
    for await (const chunk of request) {
      const bytes: Buffer = chunk;
      hash.update(bytes);
      received += bytes.length;
      if (!file.write(bytes)) await once(file, 'drain');
      if (fault !== undefined && received >= fault.after) return { received: -1, sha256: '' };
    }
  } catch {
    return { received: -1, sha256: '' };
  } finally {
    file.end();
    await finished(file);
  }
  return { received, sha256: hash.digest('hex') };
}

export function listAssets(call: Call): Answer {
  const { world, repository } = call;
  const release = findRelease(call);
  return page(
    call,
    `${repositoryPath(repository)}/releases/${release.id}/assets`,
    [...release.assets.values()].map((asset) => assetDocument(world, repository, release, asset)),
  );
}

/** The asset's description, or with the right Accept header the way to its bytes. */
export function getAsset(call: Call): Answer {
  const { world, repository } = call;
  const { release, asset } = findAsset(call);
  if (!call.accept.includes('application/octet-stream')) {
    return { status: 200, body: assetDocument(world, repository, release, asset) };
  }
  if (asset.state !== 'uploaded') throw notFound();
  return { status: 302, headers: { location: signedUrl(world, asset) } };
}

export async function deleteAsset(call: Call): Promise<Answer> {
  requireWrite(call);
  const { release, asset } = findAsset(call);
  if (release.immutable) throw new Refusal(422, 'Cannot delete asset from an immutable release.');
  release.assets.delete(asset.id);
  await rm(asset.path, { force: true });
  return { status: 204 };
}
