import { rm } from 'node:fs/promises';
import {
  type Answer,
  type Call,
  field,
  mayWrite,
  notFound,
  page,
  Refusal,
  requireWrite,
  validationFailed,
} from './answer.js';
import { releaseDocument, repositoryPath } from './documents.js';
import { latestRelease, nextId, now, type Release } from './world.js';

/** The commit that a release's tag is to be made from. */
function resolveTarget({ repository }: Call, target: string): string {
  const sha = repository.refs.get(`refs/heads/${target}`) ?? (repository.commits.has(target) ? target : undefined);
  if (sha === undefined) throw validationFailed({ resource: 'Release', code: 'invalid', field: 'target_commitish' });
  return sha;
}

function checkTag({ repository }: Call, tag: string, self?: Release): void {
  if (tag === '') throw validationFailed({ resource: 'Release', code: 'missing_field', field: 'tag_name' });
  if (!/^[^\s~^:?*[\\]+$/.test(tag)) {
    throw validationFailed({
      resource: 'Release',
      code: 'custom',
      field: 'tag_name',
      message: 'tag_name is not well-formed',
    });
  }
  // Any number of drafts may carry a tag, but only one release that is out.
  const taken = [...repository.releases.values()].some((other) => other !== self && !other.draft && other.tag === tag);
  if (taken) throw validationFailed({ resource: 'Release', code: 'already_exists', field: 'tag_name' });
}

/** What happens when a release becomes visible: the tag is made, and `latest` moves. */
function publish(call: Call, release: Release): void {
  const { repository, world } = call;
  const tag = `refs/tags/${release.tag}`;
  if (!repository.refs.has(tag)) repository.refs.set(tag, resolveTarget(call, release.target));
  release.published ??= now(world);
  release.immutable = repository.immutableReleases;
}

function moveLatest(call: Call, release: Release, isNew: boolean): void {
  const wanted = field(call.body, 'make_latest', 'string');
  if (wanted !== undefined && !['true', 'false', 'legacy'].includes(wanted)) {
    throw validationFailed({ resource: 'Release', code: 'invalid', field: 'make_latest' });
  }
  if (release.draft || release.prerelease) {
    if (wanted === 'true') throw validationFailed({ resource: 'Release', code: 'custom', field: 'make_latest' });
    return;
  }
  if (wanted === 'true' || (wanted === undefined && isNew)) call.repository.latest = release.id;
}

export function createRelease(call: Call): Answer {
  requireWrite(call);
  const { world, repository, body } = call;
  if (repository.refs.size === 0)
    throw validationFailed({ resource: 'Release', code: 'custom', message: 'Repository is empty.' });
  const draft = field(body, 'draft', 'boolean') ?? false;
  const tag = field(body, 'tag_name', 'string') ?? '';
  checkTag(call, tag);
  const release: Release = {
    id: nextId(world),
    tag,
    target: field(body, 'target_commitish', 'string') ?? 'main',
    name: field(body, 'name', 'string') ?? null,
    body: field(body, 'body', 'string') ?? null,
    draft,
    prerelease: field(body, 'prerelease', 'boolean') ?? false,
    created: now(world),
    published: null,
    immutable: false,
    assets: new Map(),
  };
  if (!draft) publish(call, release);
  moveLatest(call, release, !draft);
  repository.releases.set(release.id, release);
  const document = releaseDocument(world, repository, release);
  return { status: 201, body: document, headers: { location: document.url } };
}

/** The release with the id of the address, if the caller may see it. */
export function findRelease(call: Call): Release {
  const release = call.repository.releases.get(Number(call.params['release_id']));
  if (release === undefined || (release.draft && !mayWrite(call))) throw notFound();
  return release;
}

export function updateRelease(call: Call): Answer {
  requireWrite(call);
  const { world, repository, body } = call;
  const release = findRelease(call);
  const tag = field(body, 'tag_name', 'string');
  if (release.immutable && tag !== undefined && tag !== release.tag) {
    throw new Refusal(422, 'Cannot change the tag of an immutable release.');
  }
  const draft = field(body, 'draft', 'boolean') ?? release.draft;
  checkTag(call, tag ?? release.tag, draft ? undefined : release);
  const wasDraft = release.draft;
  release.tag = tag ?? release.tag;
  release.target = field(body, 'target_commitish', 'string') ?? release.target;
  if (wasDraft && !draft) publish(call, release);
  release.name = field(body, 'name', 'string') ?? release.name;
  release.body = field(body, 'body', 'string') ?? release.body;
  release.prerelease = field(body, 'prerelease', 'boolean') ?? release.prerelease;
  release.draft = draft;
  moveLatest(call, release, wasDraft && !draft);
  return { status: 200, body: releaseDocument(world, repository, release) };
}

export function getRelease(call: Call): Answer {
  return { status: 200, body: releaseDocument(call.world, call.repository, findRelease(call)) };
}

export function getLatestRelease({ world, repository }: Call): Answer {
  const release = latestRelease(repository);
  if (release === undefined) throw notFound();
  return { status: 200, body: releaseDocument(world, repository, release) };
}

export function getReleaseByTag({ world, repository, params }: Call): Answer {
  const release = [...repository.releases.values()].find(({ tag, draft }) => !draft && tag === params['tag']);
  if (release === undefined) throw notFound();
  return { status: 200, body: releaseDocument(world, repository, release) };
}

export function listReleases(call: Call): Answer {
  const { world, repository } = call;
  const visible = [...repository.releases.values()].filter(({ draft }) => !draft || mayWrite(call));
  const newest = visible.toSorted((a, b) => b.id - a.id);
  return page(
    call,
    `${repositoryPath(repository)}/releases`,
    newest.map((release) => releaseDocument(world, repository, release)),
  );
}

/** The tag stays, as on GitHub. */
export async function deleteRelease(call: Call): Promise<Answer> {
  requireWrite(call);
  const release = findRelease(call);
  call.repository.releases.delete(release.id);
  for (const { path } of release.assets.values()) await rm(path, { force: true });
  return { status: 204 };
}
