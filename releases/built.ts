import * as z from 'zod/mini';
import { TreesError } from '../trees/errors.js';
import { nearest } from '../trees/feed/nearest.js';
import type { Commit, Repo } from '../trees/ostree/index.js';
import { commitKey } from '../trees/store/metadata.js';
import { text } from '../trees/store/tree-commit.js';

interface BuiltVersion {
  readonly name: string;
  readonly version: string;
  readonly arch: string;
  readonly commit: string;
  readonly summary: string;
  /** ISO 8601; the commit's own time. */
  readonly released: string;
}

export interface BuiltBase extends BuiltVersion {
  readonly kind: 'base';
}

export interface BuiltLayer extends BuiltVersion {
  readonly kind: 'layer';
  /** The base it was built on. */
  readonly base: { readonly name: string; readonly range: string; readonly version: string; readonly commit: string };
}

export type Built = BuiltBase | BuiltLayer;

const builtOnSchema = z.object({ name: z.string(), range: z.string(), version: z.string(), commit: z.string() });

function describe(ref: string, commit: Commit): Built {
  const [kind, name = '', arch = '', version = ''] = ref.split('/');
  const found = [commitKey.kind, commitKey.name, commitKey.arch, commitKey.version].map((key) => text(commit, key));
  if (found.join('/') !== ref) {
    throw new TreesError(
      'RELEASE_FAILED',
      `cannot release ${ref}: Expected its commit to say so, got "${found.map((part) => part ?? '?').join('/')}"`,
      { hint: `build it again: trees build ${name}`, details: { ref, commit: commit.checksum } },
    );
  }
  const summary = text(commit, commitKey.summary) ?? '';
  const released = new Date(commit.timestamp * 1000).toISOString();
  const common = { name, version, arch, commit: commit.checksum, summary, released };
  if (kind === 'base') return { kind, ...common };
  try {
    return { kind: 'layer', ...common, base: z.parse(builtOnSchema, JSON.parse(text(commit, commitKey.base) ?? '')) };
  } catch (cause) {
    throw new TreesError('RELEASE_FAILED', `cannot release ${ref}: its commit does not say what base it is for`, {
      hint: `build it again: trees build ${name}`,
      cause,
    });
  }
}

/**
 * What `trees build` has left in its repository.
 * @param names only these, and the bases that the apps among them were built on; none: everything
 * @throws TreesError APP_NOT_FOUND for a name that was not built, RELEASE_FAILED for a ref that is not what it says
 */
export async function readBuilt(repo: Repo, names: readonly string[]): Promise<readonly Built[]> {
  const all: Built[] = [];
  for (const prefix of ['base', 'layer']) {
    for (const [ref, checksum] of await repo.listRefs(prefix)) all.push(describe(ref, await repo.readCommit(checksum)));
  }
  if (names.length === 0) return all;
  const known = [...new Set(all.map(({ name }) => name))];
  for (const name of names) {
    if (known.includes(name)) continue;
    const near = nearest(name, known);
    throw new TreesError('APP_NOT_FOUND', `cannot release "${name}": it has not been built`, {
      hint:
        near.length > 0
          ? `did you mean ${near.join(' or ')}?`
          : 'root builds it first if it has a definition; --definitions DIR says where to look for that',
      details: { name, near },
    });
  }
  const wanted = new Set(names);
  for (const built of all) if (built.kind === 'layer' && wanted.has(built.name)) wanted.add(built.base.name);
  return all.filter(({ name }) => wanted.has(name));
}

/**
 * Equal for commits of the same content, summary, run specification and base range, whatever their version and date and
 * whichever build of the base they were made on.
 */
export async function fingerprint(repo: Repo, checksum: string): Promise<string> {
  const commit = await repo.readCommit(checksum);
  const on = z.safeParse(z.object({ range: z.string() }), JSON.parse(text(commit, commitKey.base) ?? 'null'));
  const { summary, run } = commitKey;
  const range = on.data?.range ?? null;
  return JSON.stringify([commit.rootTree, commit.rootMeta, text(commit, summary), text(commit, run), range]);
}
