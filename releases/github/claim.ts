import type { GithubApi } from './api.js';
import { pause } from './pause.js';
import { deleteRef } from './releases.js';
import { isAlreadyThere, isStatus } from './request-error.js';

/**
 * Who may publish index `n`: whoever has created the ref `refs/trees/index/<n>`. Creating a ref either succeeds or finds
 * it there, so of several publishers exactly one gets each number, and the others plan again on what it publishes.
 *
 * The ref points at a commit of nobody's history whose message names the publisher. A publisher that died while it
 * held a number is succeeded: by a commit on top of its own, moved to without force. GitHub refuses such a move unless
 * the new commit descends from the current one, so of several successors, and the old holder if it is alive after all,
 * only one wins.
 */

export interface Claim {
  readonly sequence: number;
  /** The commit that the ref points at. */
  readonly commit: string;
}

/** What is known of a number that is taken. */
interface Holder {
  readonly commit: string;
  readonly publisher: string;
  /** Milliseconds since it gave a sign of life, by the server's clock. */
  readonly age: number;
}

const refName = (sequence: number): string => `trees/index/${sequence}`;
const message = (publisher: string, sequence: number): string => `Index ${sequence}\n\nPublisher: ${publisher}\n`;

/** A commit of a tree with one file, on top of `parent`. The server dates it. */
async function makeCommit(
  api: GithubApi,
  publisher: string,
  { sequence, parent }: { sequence: number; parent: string | undefined },
): Promise<string> {
  const { owner, repo } = api;
  const what = `claim index ${sequence}`;
  const file = { path: 'publisher', mode: '100644', type: 'blob', content: `${publisher}\n` } as const;
  const tree = await api.call(what, async ({ rest }) => await rest.git.createTree({ owner, repo, tree: [file] }), {
    changes: true,
  });
  const text = message(publisher, sequence);
  const parents = parent === undefined ? [] : [parent];
  const commit = await api.call(
    what,
    async ({ rest }) => await rest.git.createCommit({ owner, repo, message: text, tree: tree.data.sha, parents }),
    { changes: true },
  );
  return commit.data.sha;
}

async function readHolder(api: GithubApi, sequence: number): Promise<Holder | undefined> {
  const { owner, repo } = api;
  const missing = (error: unknown): boolean => isStatus(error, 404);
  try {
    const what = `read the claim of index ${sequence}`;
    const ref = await api.call(
      what,
      async ({ rest }) => await rest.git.getRef({ owner, repo, ref: refName(sequence) }),
      { pass: missing },
    );
    const { sha } = ref.data.object;
    const commit = await api.call(
      what,
      async ({ rest }) => await rest.git.getCommit({ owner, repo, commit_sha: sha }),
      { pass: missing },
    );
    const publisher = /^Publisher: (.+)$/m.exec(commit.data.message)?.[1] ?? '';
    const now = Date.parse(commit.headers.date ?? '');
    const age = (Number.isNaN(now) ? Date.now() : now) - Date.parse(commit.data.committer.date);
    return { commit: sha, publisher, age };
  } catch (error) {
    if (missing(error)) return undefined;
    throw error;
  }
}

/** Moves the claim from one commit to the next on top of it. @returns undefined if somebody else has moved it */
async function advance(
  api: GithubApi,
  publisher: string,
  { sequence, commit: parent }: Claim,
): Promise<Claim | undefined> {
  const { owner, repo } = api;
  const commit = await makeCommit(api, publisher, { sequence, parent });
  // 422: not a fast-forward, or no such ref any more.
  const lost = (error: unknown): boolean => isStatus(error, 422, 404, 409);
  try {
    await api.call(
      `claim index ${sequence}`,
      async ({ rest }) => await rest.git.updateRef({ owner, repo, ref: refName(sequence), sha: commit, force: false }),
      { changes: true, pass: lost },
    );
    return { sequence, commit };
  } catch (error) {
    if (lost(error)) return undefined;
    throw error;
  }
}

/**
 * Claims a number.
 * @param publisher its own earlier claims, of a run that was killed, are taken up at once
 * @param isOver asked while somebody else holds the number: whether it has been used meanwhile
 * @returns undefined if it has been used: then plan again
 * @throws TreesError RELEASE_FAILED
 */
export async function claimSequence(
  api: GithubApi,
  sequence: number,
  { publisher, isOver }: { readonly publisher: string; readonly isOver: () => Promise<boolean> },
): Promise<Claim | undefined> {
  const { owner, repo, pace, signal, reporter } = api;
  const commit = await makeCommit(api, publisher, { sequence, parent: undefined });
  try {
    await api.call(
      `claim index ${sequence}`,
      async ({ rest }) => await rest.git.createRef({ owner, repo, ref: `refs/${refName(sequence)}`, sha: commit }),
      { changes: true, pass: isAlreadyThere },
    );
    return { sequence, commit };
  } catch (error) {
    if (!isAlreadyThere(error)) throw error;
  }
  for (let told = false; ; ) {
    if (await isOver()) return undefined;
    const holder = await readHolder(api, sequence);
    // Its holder has given it up: it may have failed.
    if (holder === undefined) return undefined;
    // An answer that was lost on the way makes an own request look like somebody else's.
    if (holder.commit === commit) return { sequence, commit };
    if (holder.publisher === publisher || holder.age > pace.lease) {
      return await advance(api, publisher, { sequence, commit: holder.commit });
    }
    if (!told) reporter.info(`waiting for another publisher, which is about to publish index ${sequence}`);
    told = true;
    await pause(pace.poll * (0.75 + Math.random() / 2), signal);
  }
}

/** A sign of life, and the proof that the number is still ours. @returns undefined if it is not */
export async function renewClaim(api: GithubApi, publisher: string, claim: Claim): Promise<Claim | undefined> {
  return await advance(api, publisher, claim);
}

/** Gives a number back that was not used, unless somebody else has taken it over. */
export async function releaseClaim(api: GithubApi, publisher: string, sequence: number): Promise<void> {
  const holder = await readHolder(api, sequence);
  if (holder?.publisher === publisher) await deleteRef(api, refName(sequence));
}

export { refName as claimRef };
