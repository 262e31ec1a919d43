import { type Answer, type Call, field, notFound, page, Refusal, requireWrite } from './answer.js';
import { descends } from './commits.js';
import { refDocument, repositoryPath } from './documents.js';

/** git-check-ref-format(1), as far as tests need it. */
const REF = /^refs\/(?!.*(\.\.|\/\/|@\{|[\s~^:?*[\\]))[^/]+\/.*[^/.]$/;

function requireCommit({ repository }: Call, sha: string): void {
  if (!/^[0-9a-f]{40}$/.test(sha))
    throw new Refusal(422, `The sha parameter must be exactly 40 characters and contain only [0-9a-f].`);
  if (!repository.commits.has(sha)) throw new Refusal(422, 'Object does not exist');
}

export function createRef(call: Call): Answer {
  requireWrite(call);
  const { world, repository } = call;
  const ref = field(call.body, 'ref', 'string') ?? '';
  const sha = field(call.body, 'sha', 'string') ?? '';
  if (repository.refs.size === 0) throw new Refusal(409, 'Git Repository is empty.');
  if (!REF.test(ref)) throw new Refusal(422, `${ref} is not a valid ref name.`);
  requireCommit(call, sha);
  if (repository.refs.has(ref)) throw new Refusal(422, 'Reference already exists');
  repository.refs.set(ref, sha);
  const body = refDocument(world, repository, ref, sha);
  return { status: 201, body, headers: { location: body.url } };
}

export function getRef({ world, repository, params }: Call): Answer {
  if (repository.refs.size === 0) throw new Refusal(409, 'Git Repository is empty.');
  const ref = `refs/${params['ref']}`;
  const sha = repository.refs.get(ref);
  if (sha === undefined) throw notFound();
  return { status: 200, body: refDocument(world, repository, ref, sha) };
}

export function listMatchingRefs(call: Call): Answer {
  const { world, repository, params } = call;
  if (repository.refs.size === 0) throw new Refusal(409, 'Git Repository is empty.');
  const prefix = `refs/${params['ref']}`;
  const found = [...repository.refs].filter(([ref]) => ref.startsWith(prefix)).sort(([a], [b]) => (a < b ? -1 : 1));
  return page(
    call,
    `${repositoryPath(repository)}/git/matching-refs/${params['ref']}`,
    found.map(([ref, sha]) => refDocument(world, repository, ref, sha)),
  );
}

export function updateRef(call: Call): Answer {
  requireWrite(call);
  const { world, repository } = call;
  const ref = `refs/${call.params['ref']}`;
  const sha = field(call.body, 'sha', 'string') ?? '';
  if (!repository.refs.has(ref)) throw new Refusal(422, 'Reference does not exist');
  requireCommit(call, sha);
  const current = repository.refs.get(ref) ?? '';
  if (!descends(repository.commits, sha, current) && field(call.body, 'force', 'boolean') !== true) {
    throw new Refusal(422, 'Update is not a fast forward');
  }
  repository.refs.set(ref, sha);
  return { status: 200, body: refDocument(world, repository, ref, sha) };
}

export function deleteRef(call: Call): Answer {
  requireWrite(call);
  if (!call.repository.refs.delete(`refs/${call.params['ref']}`)) throw new Refusal(422, 'Reference does not exist');
  return { status: 204 };
}
