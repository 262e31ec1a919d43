import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Asset, nextId, now, type Release, type Repository, type World } from './world.js';

/** Puts a published release there, as if somebody had uploaded it. It becomes the latest one. */
export async function seedRelease(
  world: World,
  repository: Repository,
  { tag, files }: { tag: string; files: Readonly<Record<string, Buffer>> },
): Promise<Release> {
  const created = now(world);
  const assets = new Map<number, Asset>();
  for (const [name, bytes] of Object.entries(files)) {
    const id = nextId(world);
    const path = join(world.directory, String(id));
    await writeFile(path, bytes);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const contentType = 'application/octet-stream';
    const size = bytes.length;
    assets.set(id, {
      id,
      name,
      label: null,
      contentType,
      size,
      state: 'uploaded',
      sha256,
      path,
      created,
      updated: created,
      downloads: 0,
    });
  }
  const release: Release = {
    id: nextId(world),
    tag,
    target: 'main',
    name: null,
    body: null,
    draft: false,
    prerelease: false,
    created,
    published: created,
    immutable: false,
    assets,
  };
  repository.releases.set(release.id, release);
  repository.refs.set(`refs/tags/${tag}`, repository.refs.get('refs/heads/main') ?? '');
  repository.latest = release.id;
  return release;
}
