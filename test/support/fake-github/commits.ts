import { createHash } from 'node:crypto';
import { type Answer, type Call, field, notFound, Refusal, requireWrite } from './answer.js';
import { repositoryPath } from './documents.js';
import { type Commit, now } from './world.js';

/** The only account there is. */
const AUTHOR = { name: 'octocat', email: 'octocat@example.com' };

function hash(...parts: readonly string[]): string {
  return createHash('sha1').update(parts.join('\0')).digest('hex');
}

function list(body: unknown, name: string): unknown[] {
  const value: unknown = Reflect.get(Object(body), name);
  return Array.isArray(value) ? value : [];
}

/** Trees of files whose contents come with the request. */
export function createTree(call: Call): Answer {
  requireWrite(call);
  const { world, repository, body } = call;
  if (repository.refs.size === 0) throw new Refusal(409, 'Git Repository is empty.');
  const entries = list(body, 'tree').map((entry) => {
    const content = field(entry, 'content', 'string') ?? '';
    const sha = hash('blob', content);
    const [path = '', mode = '', type = ''] = ['path', 'mode', 'type'].map((name) => field(entry, name, 'string'));
    const url = `${world.urls.api}${repositoryPath(repository)}/git/blobs/${sha}`;
    return { path, mode, type, sha, size: Buffer.byteLength(content), url };
  });
  if (entries.length === 0) throw new Refusal(422, 'Invalid tree info');
  const sha = hash('tree', ...entries.map(({ path, mode, sha: blob }) => `${mode} ${path} ${blob}`));
  repository.trees.add(sha);
  const url = `${world.urls.api}${repositoryPath(repository)}/git/trees/${sha}`;
  return { status: 201, body: { sha, url, tree: entries, truncated: false }, headers: { location: url } };
}

export function createCommit(call: Call): Answer {
  requireWrite(call);
  const { world, repository, body } = call;
  if (repository.refs.size === 0) throw new Refusal(409, 'Git Repository is empty.');
  const tree = field(body, 'tree', 'string') ?? '';
  if (!repository.trees.has(tree)) throw new Refusal(422, 'Tree SHA does not exist');
  const parents = list(body, 'parents').map(String);
  const missing = parents.find((parent) => !repository.commits.has(parent));
  if (missing !== undefined) throw new Refusal(422, `Parent SHA does not exist or is not a commit object`);
  const commit: Commit = { tree, parents, message: field(body, 'message', 'string') ?? '', date: now(world) };
  const sha = hash('commit', tree, ...parents, commit.message, commit.date.toISOString(), String(world.lastId++));
  repository.commits.set(sha, commit);
  const document = commitDocument(call, sha, commit);
  return { status: 201, body: document, headers: { location: document.url } };
}

export function getCommit(call: Call): Answer {
  const sha = call.params['commit_sha'] ?? '';
  const commit = call.repository.commits.get(sha);
  if (commit === undefined) throw notFound();
  return { status: 200, body: commitDocument(call, sha, commit) };
}

function commitDocument({ world, repository }: Call, sha: string, commit: Commit) {
  const { api, web } = world.urls;
  const base = `${api}${repositoryPath(repository)}/git`;
  const page = (id: string): string => `${web}/${repository.owner}/${repository.name}/commit/${id}`;
  const date = commit.date.toISOString().replace(/\.\d+Z$/, 'Z');
  return {
    sha,
    node_id: `C_${sha}`,
    url: `${base}/commits/${sha}`,
    html_url: page(sha),
    author: { ...AUTHOR, date },
    committer: { ...AUTHOR, date },
    message: commit.message,
    tree: { sha: commit.tree, url: `${base}/trees/${commit.tree}` },
    parents: commit.parents.map((id) => ({ sha: id, url: `${base}/commits/${id}`, html_url: page(id) })),
    verification: { verified: false, reason: 'unsigned', signature: null, payload: null, verified_at: null },
  };
}

/** Whether a commit is, or comes after, another one. */
export function descends(commits: ReadonlyMap<string, Commit>, sha: string, from: string): boolean {
  if (sha === from) return true;
  return commits.get(sha)?.parents.some((parent) => descends(commits, parent, from)) === true;
}
