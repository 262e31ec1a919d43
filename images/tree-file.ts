import type { Repo } from '../trees/ostree/index.js';
import type { Checksum } from '../trees/ostree/types.js';

/** The content of a file of a commit; undefined when there is no regular file of that path. Follows no symbolic links. */
export async function readTreeFile(repo: Repo, commit: Checksum, path: string): Promise<string | undefined> {
  const entry = await repo.lookupPath(commit, path);
  if (entry?.kind !== 'file' || (await repo.readFileInfo(entry.checksum)).kind !== 'regular') return undefined;
  return Buffer.from(await repo.readFile(entry.checksum)).toString('utf8');
}
