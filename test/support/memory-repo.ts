import { createHash } from 'node:crypto';
import type { Checksum, Commit, CommitInput, DirTree } from '../../trees/ostree/types.js';

/**
 * A content-addressed repository in memory with the metadata half of `Repo`. Checksums are of JSON, not of GVariants:
 * equal content has equal checksums, which is all that composing relies on. Like libostree it refuses a directory whose
 * entries are out of order.
 */
export class MemoryRepo {
  readonly trees = new Map<Checksum, DirTree>();
  readonly commits = new Map<Checksum, Commit>();
  reads = 0;
  writes = 0;

  async readCommit(checksum: Checksum): Promise<Commit> {
    const commit = this.commits.get(checksum);
    if (commit === undefined) throw new Error(`no commit ${checksum}`);
    return commit;
  }

  async readDirTree(checksum: Checksum): Promise<DirTree> {
    this.reads += 1;
    const tree = this.trees.get(checksum);
    if (tree === undefined) throw new Error(`no dirtree ${checksum}`);
    return tree;
  }

  async writeDirTree(tree: DirTree): Promise<Checksum> {
    this.writes += 1;
    assertSorted(tree.files);
    assertSorted(tree.dirs);
    const checksum = hash(['dirtree', tree]);
    this.trees.set(checksum, tree);
    return checksum;
  }

  async writeCommit(input: CommitInput): Promise<Checksum> {
    if (!this.trees.has(input.rootTree)) throw new Error(`no dirtree ${input.rootTree}`);
    const checksum = hash(['commit', input]);
    this.commits.set(checksum, {
      checksum,
      parent: input.parent,
      subject: input.subject ?? '',
      body: input.body ?? '',
      timestamp: input.timestamp,
      metadata: input.metadata ?? {},
      rootTree: input.rootTree,
      rootMeta: input.rootMeta,
    });
    return checksum;
  }
}

function assertSorted(entries: ReadonlyArray<{ readonly name: string }>): void {
  const names = entries.map((entry) => Buffer.from(entry.name));
  names.forEach((name, index) => {
    const previous = names[index - 1];
    if (previous !== undefined && Buffer.compare(previous, name) >= 0)
      throw new Error(`names out of order at ${name.toString()}`);
  });
}

/** A made-up checksum of a value. */
export function hash(value: unknown): Checksum {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}
